use std::error::Error as StdError;
use std::io;

/// What a failed call to a place means for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no such object.
    Missing,
    /// No space is left, or no quota.
    Full,
    /// The place can be read only.
    ReadOnly,
    /// The place does not let us in: credentials or permissions.
    Refused,
    /// A disk cannot give what was asked for: a bad sector, or a checksum of the file system that does not fit. Other
    /// bytes may still be readable, of the same object too.
    Unreadable,
    /// Anything else: the place does not work, or not now.
    Failed,
}

impl Fault {
    /// What the reader of the message can do about it, or nothing where the source says it all.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("no space is left; free some, or make the place larger"),
            Self::ReadOnly => Some("the file system is mounted read-only"),
            Self::Refused => Some("access is denied; check credentials and permissions"),
            Self::Missing | Self::Unreadable | Self::Failed => None,
        }
    }
}

/// Finds out what `error` means.
pub fn fault_of(error: &object_store::Error) -> Fault {
    use object_store::Error as E;
    match error {
        E::NotFound { .. } => Fault::Missing,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Fault::Refused,
        other => io_cause(other).map_or(Fault::Failed, fault_of_io),
    }
}

fn io_cause(error: &object_store::Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref() {
            return Some(io);
        }
        cause = inner.source();
    }
    None
}

/// What Linux says of bytes that cannot be read: EIO, and what file systems and block devices say more exactly where
/// they can (ENODATA for a bad medium, EBADMSG for a checksum, EILSEQ for protection information).
const UNREADABLE: [i32; 4] = [5, 61, 74, 84];

/// Finds out what an error of the operating system means.
pub fn fault_of_io(error: &io::Error) -> Fault {
    use io::ErrorKind::{
        FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => Fault::Full,
        ReadOnlyFilesystem => Fault::ReadOnly,
        PermissionDenied => Fault::Refused,
        _ if is_unreadable(error) => Fault::Unreadable,
        _ => Fault::Failed,
    }
}

fn is_unreadable(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    number.is_some_and(|number| UNREADABLE.contains(&number))
}

//! QEMU's image locks, so that Strongroom and QEMU respect each other.
//!
//! Every user of an image holds shared locks on single bytes far inside the file (the file need not
//! be that long): byte 100 + n says "I use permission n", byte 200 + n says "nobody else may use
//! permission n". Each side first takes its bytes and then looks whether anybody holds the opposite
//! ones, so two users that start at once cannot both win.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

const USES: i64 = 100;
const FORBIDS: i64 = 200;

const CONSISTENT_READ: i64 = 0;
const WRITE: i64 = 1;
const WRITE_UNCHANGED: i64 = 2;
const RESIZE: i64 = 3;

/// What a user of an image does and what it cannot bear others doing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    uses: &'static [i64],
    forbids: &'static [i64],
}

/// Reads an image that must not change meanwhile; other readers are welcome.
pub(crate) const READER: Claim = Claim {
    uses: &[CONSISTENT_READ],
    forbids: &[WRITE, RESIZE],
};

/// Writes an image that is inconsistent until it is done, so nobody else may even read it.
pub(crate) const WRITER: Claim = Claim {
    uses: &[CONSISTENT_READ, WRITE, RESIZE],
    forbids: &[CONSISTENT_READ, WRITE, WRITE_UNCHANGED, RESIZE],
};

impl Claim {
    /// Takes the locks, which then live until [`release`] or as long as `file` is open; false if somebody is in the way.
    pub(crate) fn take(self, file: &File) -> io::Result<bool> {
        let uses = self.uses.iter().map(|n| USES + n);
        let forbids = self.forbids.iter().map(|n| FORBIDS + n);
        for byte in uses.chain(forbids) {
            let lock = region(libc::F_RDLCK, byte, 1);
            match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        let opposite_uses = self.forbids.iter().map(|n| USES + n);
        let opposite_forbids = self.uses.iter().map(|n| FORBIDS + n);
        for byte in opposite_uses.chain(opposite_forbids) {
            if is_locked(file, byte, 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Ends every claim on `file`, also while a process that is being started still has a copy of its descriptor.
pub(crate) fn release(file: &File) -> io::Result<()> {
    let all = region(libc::F_UNLCK, USES, 2 * (FORBIDS - USES));
    fcntl(file, FcntlArg::F_OFD_SETLK(&all))?;
    Ok(())
}

/// Does anybody else write the image? Readers, a backup of ours among them, are not in the way of a look.
pub(crate) fn is_written(file: &File) -> io::Result<bool> {
    Ok(is_locked(file, USES + WRITE, 1)? || is_locked(file, USES + RESIZE, 1)?)
}

/// Does another open file hold a lock on one of the bytes?
fn is_locked(file: &File, start: i64, length: i64) -> io::Result<bool> {
    let mut lock = region(libc::F_WRLCK, start, length);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn region(kind: i32, start: i64, length: i64) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).expect("lock kinds are 0, 1 and 2"),
        l_whence: i16::try_from(libc::SEEK_SET).expect("SEEK_SET is 0"),
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

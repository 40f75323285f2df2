//! What is written over a disk that is only read, in one sparse file on a local disk.
//!
//! The file keeps whole grains of 64 KiB, and two maps of those that it has. A grain enters the *running* map before its
//! write is answered, and the *safe* map by a flush, after the data is on the disk. Who opens the file
//! again trusts the running map if the kernel is still the one that wrote it, since what a killed process wrote is in
//! its memory, and the safe map otherwise. `docs/formats/overlay.md` has the bytes and the argument.

mod grains;
mod header;
mod maps;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use strongroom_nbd::{Allocation, ErrorCode, Export, Fault, Stretch, Writable};

use grains::{GRAIN_BYTES, Piece, pieces};
use header::{Header, boot_id};
use maps::Maps;

/// Who takes up a grain holds one of so many locks.
const STRIPES: usize = 64;
/// What one question about holes is answered for at most.
const STRETCHES_BYTES: u64 = 1 << 30;

/// Why an overlay cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It is none, or one of a newer program.
    #[error("{} is no overlay that this program understands", .0.display())]
    NotAnOverlay(PathBuf),
    /// It was made over another disk.
    #[error("{} lies over {found} and not over {wanted}", path.display())]
    OtherDisk {
        path: PathBuf,
        found: String,
        wanted: String,
    },
    #[error("the overlay {} cannot be opened", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A disk that can be written, over one that is only read.
pub struct Overlay {
    below: Arc<dyn Export>,
    file: Flock<File>,
    header: Header,
    maps: Maps,
    /// Held by who takes up a grain from below, so that nobody else does so with older bytes.
    stripes: [Mutex<()>; STRIPES],
    /// Flushes come one after the other.
    flushing: Mutex<()>,
    /// What the disk failed to keep is not promised any more.
    has_failed: AtomicBool,
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overlay(over {})", self.header)
    }
}

impl Overlay {
    /// Opens the file, or makes it if there is none. `identity` names what lies below, in at most 64 bytes: a file that
    /// was made over something else is refused.
    pub fn open(path: &Path, below: Arc<dyn Export>, identity: &str) -> Result<Self, Error> {
        let failed = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let wanted = Header::new(below.size_bytes(), identity);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, Errno::EWOULDBLOCK)) => return Err(Error::InUse(path.to_owned())),
            Err((_, errno)) => return Err(failed(errno.into())),
        };
        if Header::is_still_missing(&file, &wanted).map_err(failed)? {
            make(&file, &wanted, path).map_err(failed)?;
        }
        let not_one = || Error::NotAnOverlay(path.to_owned());
        let header = Header::read(&file).map_err(failed)?.ok_or_else(not_one)?;
        if (header.size_bytes, &header.identity) != (wanted.size_bytes, &wanted.identity) {
            return Err(Error::OtherDisk {
                path: path.to_owned(),
                found: header.to_string(),
                wanted: wanted.to_string(),
            });
        }
        let maps = Maps::read(&file, &header, boot_id().as_ref()).map_err(failed)?;
        Ok(Self {
            below,
            file,
            header,
            maps,
            stripes: std::array::from_fn(|_| Mutex::default()),
            flushing: Mutex::default(),
            has_failed: AtomicBool::new(false),
        })
    }

    fn put(&self, offset: u64, data: &[u8]) -> Result<(), Fault> {
        let place = self.header.data_offset() + offset;
        self.file
            .write_all_at(data, place)
            .map_err(|error| fault(&error))
    }

    /// Writes a part of a grain, the rest of which comes from below if the grain is not here yet.
    fn write_piece(&self, piece: &Piece, data: &[u8]) -> Result<(), Fault> {
        if self.maps.holds(piece.grain) {
            return self.put(piece.offset, data);
        }
        let _taking_up = lock(&self.stripes[stripe_of(piece.grain)]);
        if self.maps.holds(piece.grain) {
            return self.put(piece.offset, data);
        }
        let grain = self.header.grain(piece.grain);
        if data.len() as u64 == grain.end - grain.start {
            self.put(piece.offset, data)?;
        } else {
            let index = |length: u64| usize::try_from(length).expect("within a grain");
            let mut whole = vec![0; index(grain.end - grain.start)];
            self.below.read_at(grain.start, &mut whole)?;
            let at = index(piece.offset - grain.start);
            whole[at..at + data.len()].copy_from_slice(data);
            self.put(grain.start, &whole)?;
        }
        self.maps
            .add(&self.file, piece.grain..piece.grain + 1)
            .map_err(|error| fault(&error))
    }

    /// Makes whole grains zeros that occupy nothing. False if the file system makes no holes.
    fn punch(&self, first: u64, last: u64) -> Result<bool, Fault> {
        let (start, end) = (
            self.header.grain(first).start,
            self.header.grain(last - 1).end,
        );
        let _taking_up: Vec<_> = self.stripes.iter().map(lock).collect();
        let modes = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let signed = |bytes: u64| i64::try_from(bytes).expect("a file is shorter");
        let place = self.header.data_offset() + start;
        match fallocate(&*self.file, modes, signed(place), signed(end - start)) {
            Ok(()) => {}
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(false),
            Err(errno) => return Err(fault(&errno.into())),
        }
        self.maps
            .add(&self.file, first..last)
            .map_err(|error| fault(&error))?;
        Ok(true)
    }

    fn refuse_if_failed(&self) -> Result<(), Fault> {
        if self.has_failed.load(Ordering::Acquire) {
            let message = "the overlay's disk failed to keep what was written";
            return Err(Fault::new(ErrorCode::IO, message));
        }
        Ok(())
    }

    fn try_flush(&self) -> io::Result<()> {
        let new = self.maps.unsafe_part();
        self.file.sync_data()?;
        if self.maps.make_safe(&self.file, new)? {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// The header comes last: whoever finds a file without one makes it anew.
fn make(file: &File, header: &Header, path: &Path) -> io::Result<()> {
    file.set_len(header.file_bytes())?;
    header.write(file)?;
    file.sync_all()?;
    let absolute = std::path::absolute(path)?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    File::open(folder)?.sync_all()
}

impl Export for Overlay {
    fn size_bytes(&self) -> u64 {
        self.header.size_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let mut rest = buffer;
        let end = offset + rest.len() as u64;
        for run in self.maps.runs(offset..end) {
            let length = usize::try_from(run.end - run.start).expect("within the buffer");
            let (part, behind) = rest.split_at_mut(length);
            if run.is_here {
                let place = self.header.data_offset() + run.start;
                self.file
                    .read_exact_at(part, place)
                    .map_err(|error| fault(&error))?;
            } else {
                self.below.read_at(run.start, part)?;
            }
            rest = behind;
        }
        Ok(())
    }

    fn stretches(&self, offset: u64, length: u64) -> Result<Vec<Stretch>, Fault> {
        let end = offset + length.min(STRETCHES_BYTES);
        let mut told = Vec::new();
        for run in self.maps.runs(offset..end) {
            let mut position = run.start;
            while position < run.end {
                let stretches = if run.is_here {
                    vec![Stretch {
                        length: run.end - position,
                        allocation: Allocation::Data,
                    }]
                } else {
                    self.below.stretches(position, run.end - position)?
                };
                for stretch in stretches {
                    let length = stretch.length.min(run.end - position);
                    if length > 0 {
                        told.push(Stretch { length, ..stretch });
                        position += length;
                    }
                }
            }
        }
        Ok(told)
    }

    fn writable(&self) -> Option<&dyn Writable> {
        Some(self)
    }
}

impl Writable for Overlay {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Fault> {
        self.refuse_if_failed()?;
        let mut rest = data;
        for piece in pieces(offset..offset + data.len() as u64) {
            let length = usize::try_from(piece.length).expect("within the data");
            let (part, behind) = rest.split_at(length);
            self.write_piece(&piece, part)?;
            rest = behind;
        }
        Ok(())
    }

    fn zero(&self, offset: u64, length: u64) -> Result<(), Fault> {
        self.refuse_if_failed()?;
        let end = offset + length;
        let first = offset.div_ceil(GRAIN_BYTES);
        let last = if end == self.header.size_bytes {
            end.div_ceil(GRAIN_BYTES)
        } else {
            end / GRAIN_BYTES
        };
        let zeros = vec![0; usize::try_from(GRAIN_BYTES).expect("64 KiB")];
        let write_zeros = |start: u64, end: u64| -> Result<(), Fault> {
            for piece in pieces(start..end) {
                let length = usize::try_from(piece.length).expect("within a grain");
                self.write_piece(&piece, &zeros[..length])?;
            }
            Ok(())
        };
        if first >= last || !self.punch(first, last)? {
            return write_zeros(offset, end);
        }
        write_zeros(offset, self.header.grain(first).start)?;
        write_zeros(self.header.grain(last - 1).end.min(end), end)
    }

    fn flush(&self) -> Result<(), Fault> {
        let _flushing = lock(&self.flushing);
        self.refuse_if_failed()?;
        self.try_flush().map_err(|error| {
            // The kernel tells such a failure once, and may drop what it could not write.
            self.has_failed.store(true, Ordering::Release);
            if let Err(error) = Header::forget_boot(&self.file) {
                tracing::error!(%error, "an overlay that failed cannot be marked so");
            }
            fault(&error)
        })
    }
}

fn fault(error: &io::Error) -> Fault {
    let code = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => ErrorCode::NO_SPACE,
        _ => ErrorCode::IO,
    };
    Fault::new(code, format!("the overlay: {error}"))
}

fn stripe_of(grain: u64) -> usize {
    usize::try_from(grain % STRIPES as u64).expect("below the number of stripes")
}

/// Nobody panics while holding one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

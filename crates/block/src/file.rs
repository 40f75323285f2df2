//! One opened file or block device: positioned I/O whose errors name the file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::libc;
use nix::unistd::{Whence, lseek};

use crate::lock::{READER, WRITER};
use crate::{Error, Extent, ExtentKind, Result};

/// Zeros are written in pieces of this size where no hole can be made.
const ZERO_PIECE_BYTES: u64 = 1 << 20;
/// Devices take holes only on their block's boundaries; no common one has larger blocks.
const DEVICE_ALIGNMENT: u64 = 4096;

/// Why an image is opened; decides about locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Look at it, whoever uses it.
    Probe,
    /// Read it as the lower layer of another image, perhaps together with others.
    Backing,
    /// Read it while nobody writes it.
    Read,
    /// Write it while nobody else uses it.
    Write,
}

#[derive(Debug)]
pub(crate) struct ImageFile {
    file: File,
    path: PathBuf,
    size_bytes: u64,
    is_block_device: bool,
    /// Where the last extent that was looked up began, and what it was.
    last_extent: Option<(u64, Extent)>,
}

impl ImageFile {
    pub(crate) fn open(path: &Path, purpose: Purpose) -> Result<Self> {
        Self::open_unnamed(path, purpose).map_err(|error| Error::from_io(path, error))?
    }

    /// The inner result holds refusals, the outer one what the system said.
    fn open_unnamed(path: &Path, purpose: Purpose) -> io::Result<Result<Self>> {
        let is_block_device = path.metadata()?.file_type().is_block_device();
        // A device that is mounted, or part of another one, refuses to be opened exclusively.
        let alone = matches!(purpose, Purpose::Read | Purpose::Write) && is_block_device;
        let exclusive = if alone { libc::O_EXCL } else { 0 };
        let file = OpenOptions::new()
            .read(true)
            .write(purpose == Purpose::Write)
            // Opening a named pipe would wait for its other end otherwise.
            .custom_flags(libc::O_NONBLOCK | exclusive)
            .open(path)?;
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            let what = "it is neither a file nor a block device";
            return Ok(Err(Error::unsupported(path, what)));
        }
        let size_bytes = if kind.is_block_device() {
            seek(&file, 0, Whence::SeekEnd)?
        } else {
            metadata.len()
        };
        let image = Self {
            file,
            path: path.to_owned(),
            size_bytes,
            is_block_device: kind.is_block_device(),
            last_extent: None,
        };
        Ok(image.lock(purpose))
    }

    /// A new file that reads as zeros; only its owner may read it, as disks hold secrets.
    pub(crate) fn create(path: &Path, size_bytes: u64) -> Result<Self> {
        let create = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.set_len(size_bytes)?;
            let folder = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            // The file's name is durable only when its folder is.
            File::open(folder)?.sync_all()?;
            Ok(file)
        };
        let image = Self {
            file: create().map_err(|error| Error::from_io(path, error))?,
            path: path.to_owned(),
            size_bytes,
            is_block_device: false,
            last_extent: None,
        };
        image.lock(Purpose::Write)
    }

    /// A file that may be new and empty, under the lock of a writer.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self> {
        match Self::create(path, 0) {
            Err(Error::Exists { .. }) => Self::open(path, Purpose::Write),
            created => created,
        }
    }

    fn lock(self, purpose: Purpose) -> Result<Self> {
        let claim = match purpose {
            Purpose::Probe => return Ok(self),
            Purpose::Backing | Purpose::Read => READER,
            Purpose::Write => WRITER,
        };
        if claim.take(&self.file).map_err(|e| self.error(e))? {
            Ok(self)
        } else {
            Err(Error::InUse {
                path: self.path.clone(),
            })
        }
    }

    /// What a process has that is being started just now.
    #[cfg(test)]
    pub(crate) fn copy_of_descriptor(&self) -> File {
        self.file.try_clone().expect("descriptors are left")
    }

    pub(crate) fn is_locked(&self) -> Result<bool> {
        crate::lock::is_written(&self.file).map_err(|e| self.error(e))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Grows when something is written behind the end.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn is_block_device(&self) -> bool {
        self.is_block_device
    }

    /// What the file occupies on its storage.
    pub(crate) fn allocated_bytes(&self) -> Result<u64> {
        if self.is_block_device {
            return Ok(self.size_bytes);
        }
        let metadata = self.file.metadata().map_err(|e| self.error(e))?;
        Ok(metadata.blocks().saturating_mul(512))
    }

    /// Two files with the same identity are one.
    pub(crate) fn identity(&self) -> Result<(u64, u64)> {
        let metadata = self.file.metadata().map_err(|e| self.error(e))?;
        if self.is_block_device {
            return Ok((u64::MAX, metadata.rdev()));
        }
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Tells the system that the file will be read from its beginning to its end.
    pub(crate) fn expect_sequential_reads(&self) {
        let advice = PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL;
        if let Err(errno) = posix_fadvise(&self.file, 0, 0, advice) {
            tracing::debug!(path = %self.path.display(), %errno, "read-ahead advice refused");
        }
    }

    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let result = self.file.read_exact_at(buffer, offset);
        result.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.error(ended_early()),
            _ => self.error(error),
        })
    }

    pub(crate) fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.last_extent = self
            .last_extent
            .and_then(|known| after_write(known, offset, data.len() as u64));
        #[cfg(test)]
        crate::tests::power::before_write(&self.file, offset, data.len())
            .map_err(|e| self.error(e))?;
        let result = self.file.write_all_at(data, offset);
        result.map_err(|e| self.error(e))?;
        self.size_bytes = self.size_bytes.max(offset + data.len() as u64);
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| self.error(e))?;
        #[cfg(test)]
        crate::tests::power::after_sync();
        Ok(())
    }

    pub(crate) fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        if offset >= self.size_bytes {
            return Ok(Extent::hole(0));
        }
        if let Some((start, extent)) = self.last_extent
            && offset >= start
            && offset - start < extent.length
        {
            let length = extent.length - (offset - start);
            return Ok(Extent { length, ..extent });
        }
        let found = self.find_extent(offset).map_err(|e| self.error(e))?;
        let extent = found.up_to(self.size_bytes - offset);
        self.last_extent = Some((offset, extent));
        Ok(extent)
    }

    fn find_extent(&self, offset: u64) -> io::Result<Extent> {
        let rest = self.size_bytes - offset;
        if self.is_block_device {
            return Ok(Extent::data(rest));
        }
        match seek(&self.file, offset, Whence::SeekData) {
            Ok(data) if data > offset => Ok(Extent::hole(data - offset)),
            Ok(_) => {
                let end = seek(&self.file, offset, Whence::SeekHole)?;
                Ok(Extent::data(end.saturating_sub(offset)))
            }
            // No data until the end, wherever that is now.
            Err(Errno::ENXIO) if self.file.metadata()?.len() >= self.size_bytes => {
                Ok(Extent::hole(rest))
            }
            Err(Errno::ENXIO) => Err(ended_early()),
            // The file system keeps no record of holes.
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(Extent::data(rest)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes the range read as zeros, as a hole where the storage has holes.
    pub(crate) fn zero_range(&mut self, offset: u64, length: u64) -> Result<()> {
        self.last_extent = None;
        let end = offset + length;
        let (start, stop) = if self.is_block_device {
            (
                offset.next_multiple_of(DEVICE_ALIGNMENT).min(end),
                end - end % DEVICE_ALIGNMENT,
            )
        } else {
            (offset, end)
        };
        if start < stop && self.punch(start, stop - start)? {
            self.write_zeros(offset, start - offset)?;
            self.write_zeros(stop, end - stop)
        } else {
            self.write_zeros(offset, length)
        }
    }

    /// False if the storage makes no holes there.
    fn punch(&self, offset: u64, length: u64) -> Result<bool> {
        let keep = FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let modes = [
            FallocateFlags::FALLOC_FL_PUNCH_HOLE | keep,
            FallocateFlags::FALLOC_FL_ZERO_RANGE | keep,
        ];
        let (offset, length) = (signed(offset), signed(length));
        for mode in modes {
            loop {
                match fallocate(&self.file, mode, offset, length) {
                    Ok(()) => return Ok(true),
                    Err(Errno::EINTR) => {}
                    Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::ENODEV) => break,
                    Err(errno) => return Err(self.error(errno.into())),
                }
            }
        }
        Ok(false)
    }

    /// Gives back the space of a range whose content no longer matters, where that is easy.
    pub(crate) fn discard(&mut self, offset: u64, length: u64) {
        self.last_extent = None;
        if self.is_block_device {
            return;
        }
        if let Err(error) = self.punch(offset, length) {
            tracing::debug!(path = %self.path.display(), ?error, "space was not given back");
        }
    }

    fn write_zeros(&mut self, offset: u64, length: u64) -> Result<()> {
        let piece = usize::try_from(length.min(ZERO_PIECE_BYTES)).expect("at most 1 MiB");
        let zeros = vec![0; piece];
        let mut written = 0;
        while written < length {
            let count = zeros
                .len()
                .min(usize::try_from(length - written).unwrap_or(usize::MAX));
            self.write_at(offset + written, &zeros[..count])?;
            written += count as u64;
        }
        Ok(())
    }

    /// Refuses a range that leaves a disk of `size_bytes`.
    pub(crate) fn check_range(&self, size_bytes: u64, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= size_bytes => Ok(()),
            _ => {
                let detail = format!("{length} bytes at {offset} leave the {size_bytes} byte disk");
                Err(self.error(io::Error::new(io::ErrorKind::InvalidInput, detail)))
            }
        }
    }

    fn error(&self, source: io::Error) -> Error {
        Error::from_io(&self.path, source)
    }
}

/// Cut short before it was opened, or made shorter since.
fn ended_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends too early")
}

impl Drop for ImageFile {
    fn drop(&mut self) {
        if let Err(error) = crate::lock::release(&self.file) {
            tracing::debug!(path = %self.path.display(), %error, "locks end when the file is closed");
        }
    }
}

/// What is known of an extent when something was written. Data stays data, and grows with what is written behind it: asking
/// the file system after each write would have it look through all of a large file each time.
fn after_write((start, extent): (u64, Extent), offset: u64, length: u64) -> Option<(u64, Extent)> {
    let end = start + extent.length;
    let touches = offset <= end && offset + length >= start;
    match extent.kind {
        ExtentKind::Hole => (!touches).then_some((start, extent)),
        ExtentKind::Data if touches && offset >= start => {
            Some((start, Extent::data(end.max(offset + length) - start)))
        }
        ExtentKind::Data => Some((start, extent)),
    }
}

fn seek(file: &File, offset: u64, whence: Whence) -> nix::Result<u64> {
    let found = lseek(file, signed(offset), whence)?;
    Ok(u64::try_from(found).unwrap_or(0))
}

/// Offsets of files fit into i64; whatever does not is refused by the system.
fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

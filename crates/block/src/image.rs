use std::path::{Path, PathBuf};

use strongroom_types::VolumeFormat;

use crate::file::{ImageFile, Purpose};
use crate::qcow2::{self, Chain, Header};
use crate::raw::RawImage;
use crate::{BlockSink, BlockSource, Result};

/// What can be said about an image without reading its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    pub format: VolumeFormat,
    /// The disk's size as its machine sees it.
    pub size_bytes: u64,
    /// What the image occupies on its storage, without the images it builds on.
    pub allocated_bytes: u64,
    /// The images it builds on, the nearest first; empty for raw images.
    pub backing_files: Vec<PathBuf>,
    pub is_block_device: bool,
}

/// Looks at an image, whoever uses it: qcow2 by its magic, everything else is raw.
///
/// A guest can write qcow2's magic into its raw disk. Probe when a volume becomes known, keep the
/// answer, and open by what was kept.
pub fn probe(path: &Path) -> Result<ImageInfo> {
    let file = ImageFile::open(path, Purpose::Probe)?;
    let mut info = ImageInfo {
        format: VolumeFormat::Raw,
        size_bytes: file.size_bytes(),
        allocated_bytes: file.allocated_bytes()?,
        backing_files: Vec::new(),
        is_block_device: file.is_block_device(),
    };
    if Header::is_present(&file)? {
        info.format = VolumeFormat::Qcow2;
        info.size_bytes = Header::read(&file)?.size_bytes;
        info.backing_files = Chain::default().list(&file)?;
    }
    Ok(info)
}

/// Does any process, this one included, write the image, as a running machine does?
///
/// The answer may be old when it arrives: whoever wants to use the image opens it and handles
/// [`InUse`](crate::Error::InUse).
pub fn is_in_use(path: &Path) -> Result<bool> {
    ImageFile::open(path, Purpose::Probe)?.is_locked()
}

/// Opens a disk for reading, under a lock that keeps writers away until it is dropped.
///
/// [`InUse`](crate::Error::InUse) if somebody writes the image, or if it is a device that is mounted.
pub fn open_source(path: &Path, format: VolumeFormat) -> Result<Box<dyn BlockSource>> {
    let file = ImageFile::open(path, Purpose::Read)?;
    file.expect_sequential_reads();
    Ok(match format {
        VolumeFormat::Raw => Box::new(RawImage::new(file)),
        VolumeFormat::Qcow2 => Box::new(qcow2::Image::open(file, &mut Chain::default())?),
    })
}

/// Opens an existing disk to restore into it, under a lock that keeps everybody else away until it
/// is dropped; a machine that uses it cannot start meanwhile.
pub fn open_sink(path: &Path, format: VolumeFormat) -> Result<Box<dyn BlockSink>> {
    let file = ImageFile::open(path, Purpose::Write)?;
    Ok(match format {
        VolumeFormat::Raw => Box::new(RawImage::new(file)),
        VolumeFormat::Qcow2 => Box::new(qcow2::Writer::open(file)?),
    })
}

/// Makes a new sparse file to restore into; [`Exists`](crate::Error::Exists) if anything has that name.
pub fn create_raw(path: &Path, size_bytes: u64) -> Result<Box<dyn BlockSink>> {
    let file = ImageFile::create(path, size_bytes)?;
    Ok(Box::new(RawImage::blank(file)))
}

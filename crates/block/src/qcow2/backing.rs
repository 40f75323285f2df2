//! Chains of images: an overlay over its backing file, which may be an overlay itself.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use strongroom_types::VolumeFormat;

use super::{Header, Image};
use crate::file::{ImageFile, Purpose};
use crate::raw::RawImage;
use crate::{BlockSource, Error, Extent, Result};

/// Longer chains are taken for a mistake.
const MAX_LAYERS: usize = 64;

/// What lies below an overlay.
pub(super) enum Layer {
    Raw(RawImage),
    Qcow2(Box<Image>),
}

impl Layer {
    pub(super) fn size_bytes(&self) -> u64 {
        match self {
            Self::Raw(image) => BlockSource::size_bytes(image),
            Self::Qcow2(image) => image.size_bytes(),
        }
    }

    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match self {
            Self::Raw(image) => BlockSource::read_at(image, offset, buffer),
            Self::Qcow2(image) => image.read_at(offset, buffer),
        }
    }

    /// What lies at `offset`, for `limit` bytes at most; behind the layer's end there are zeros.
    ///
    /// Unlike `next_extent` this looks no further than asked for: the effort of one call would
    /// multiply with each layer otherwise.
    pub(super) fn piece_at(&mut self, offset: u64, limit: u64) -> Result<Extent> {
        let rest = self.size_bytes().saturating_sub(offset);
        if rest == 0 {
            return Ok(Extent::hole(limit));
        }
        match self {
            Self::Raw(image) => Ok(BlockSource::next_extent(image, offset)?.up_to(limit)),
            Self::Qcow2(image) => image.piece_at(offset, limit.min(rest)),
        }
    }
}

/// The layers that were opened so far, by the identity of their files.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    layers: Vec<(u64, u64)>,
}

impl Chain {
    /// Refuses loops and chains without end.
    pub(super) fn enter(&mut self, file: &ImageFile) -> Result<()> {
        let identity = file.identity()?;
        if self.layers.contains(&identity) {
            return Err(Error::corrupt(file.path(), "it is its own backing file"));
        }
        if self.layers.len() >= MAX_LAYERS {
            let what = format!("it is the end of a chain of more than {MAX_LAYERS} images");
            return Err(Error::unsupported(file.path(), what));
        }
        self.layers.push(identity);
        Ok(())
    }

    pub(super) fn depth(&self) -> u64 {
        self.layers.len() as u64
    }

    /// Opens what `header`, the one of the image at `path`, names as its backing file.
    pub(super) fn open_below(
        &mut self,
        path: &Path,
        header: &Header,
        purpose: Purpose,
    ) -> Result<Option<Layer>> {
        let Some((path, format)) = resolve(path, header)? else {
            return Ok(None);
        };
        let file = ImageFile::open(&path, purpose)?;
        Ok(Some(match format {
            VolumeFormat::Qcow2 => Layer::Qcow2(Box::new(Image::open(file, self)?)),
            VolumeFormat::Raw => {
                self.enter(&file)?;
                Layer::Raw(RawImage::new(file))
            }
        }))
    }

    /// The paths below the image `file`, the nearest first, whoever uses them.
    pub(crate) fn list(&mut self, file: &ImageFile) -> Result<Vec<PathBuf>> {
        self.enter(file)?;
        let mut paths = Vec::new();
        let mut below = resolve(file.path(), &Header::read(file)?)?;
        while let Some((path, format)) = below {
            let file = ImageFile::open(&path, Purpose::Probe)?;
            self.enter(&file)?;
            below = match format {
                VolumeFormat::Raw => None,
                VolumeFormat::Qcow2 => resolve(&path, &Header::read(&file)?)?,
            };
            paths.push(path);
        }
        Ok(paths)
    }
}

/// Where the backing file lies and how to read it. A relative name starts at the overlay's folder.
fn resolve(path: &Path, header: &Header) -> Result<Option<(PathBuf, VolumeFormat)>> {
    let Some(backing) = &header.backing else {
        return Ok(None);
    };
    let name = backing.name.as_os_str().as_bytes();
    let stop = name.iter().position(|byte| matches!(byte, b':' | b'/'));
    if stop.is_some_and(|stop| name[stop] == b':') {
        let what = format!("its backing `{}` is not a file", backing.name.display());
        return Err(Error::unsupported(path, what));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let lower = folder.join(&backing.name);
    let format = match backing.format {
        Some(format) => format,
        None if Header::is_present(&ImageFile::open(&lower, Purpose::Probe)?)? => {
            VolumeFormat::Qcow2
        }
        None => VolumeFormat::Raw,
    };
    Ok(Some((lower, format)))
}

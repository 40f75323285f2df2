//! Disks wherever they lie: files and devices of this host, and exports of NBD servers, by the inventory's one spelling.

use std::path::Path;

use strongroom_block::{self as block, BlockSink, BlockSource, Result};
use strongroom_types::{VolumeFormat, is_nbd_uri};

use crate::exports::{self, ExportSink, ExportSource};

/// What can be said about a disk without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub format: VolumeFormat,
    /// As its machine sees it.
    pub size_bytes: u64,
    /// Somebody writes it just now. Of an export that cannot be known.
    pub in_use: bool,
}

/// Looks at a disk, whoever uses it.
pub fn probe(place: &Path) -> Result<Facts> {
    if let Some(uri) = as_uri(place) {
        return Ok(Facts {
            format: VolumeFormat::Raw,
            size_bytes: exports::size_bytes(uri)?,
            in_use: false,
        });
    }
    let image = block::probe(place)?;
    Ok(Facts {
        format: image.format,
        size_bytes: image.size_bytes,
        in_use: block::is_in_use(place)?,
    })
}

/// Opens a disk for reading. Files and devices are locked against writers; an export must be one that does not change.
pub fn open_source(place: &Path, format: VolumeFormat) -> Result<Box<dyn BlockSource>> {
    match as_uri(place) {
        Some(uri) => Ok(Box::new(ExportSource::open(raw(uri, format)?)?)),
        None => block::open_source(place, format),
    }
}

/// Opens an existing disk to restore into it. Files and devices are locked against everybody else.
pub fn open_sink(place: &Path, format: VolumeFormat) -> Result<Box<dyn BlockSink>> {
    match as_uri(place) {
        Some(uri) => Ok(Box::new(ExportSink::open(raw(uri, format)?)?)),
        None => block::open_sink(place, format),
    }
}

/// Is it an export, and not a path of this host?
pub fn is_export(place: &Path) -> bool {
    as_uri(place).is_some()
}

/// Whoever serves an export has undone its format.
fn raw(uri: &str, format: VolumeFormat) -> Result<&str> {
    match format {
        VolumeFormat::Raw => Ok(uri),
        VolumeFormat::Qcow2 => Err(block::Error::Unsupported {
            path: uri.into(),
            what: "an export holds raw bytes".to_owned(),
        }),
    }
}

fn as_uri(place: &Path) -> Option<&str> {
    place.to_str().filter(|place| is_nbd_uri(place))
}

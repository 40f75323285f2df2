//! The header: what an image is, and whether it can be used here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use strongroom_types::VolumeFormat;

use super::{be32, be64, small};
use crate::file::ImageFile;
use crate::{Error, Result};

pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";
const SIZE_V2: u64 = 72;
pub(super) const SIZE_V3: u64 = 104;
/// QEMU's own limits; they also bound what opening an image costs.
const MAX_L1_BYTES: u64 = 32 << 20;
const MAX_BACKING_NAME_BYTES: u32 = 1023;

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;

const EXTENSION_END: u32 = 0;
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;

/// Where the fields lie that a writer changes.
pub(super) const AUTOCLEAR_FIELD: u64 = 88;
pub(super) const REFCOUNT_TABLE_FIELD: u64 = 48;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(super) version: u32,
    pub(super) cluster_bits: u32,
    pub(crate) size_bytes: u64,
    pub(super) l1_offset: u64,
    pub(super) l1_entries: u32,
    pub(super) refcount_table_offset: u64,
    pub(super) refcount_table_clusters: u32,
    pub(super) snapshots_offset: u64,
    pub(super) incompatible: u64,
    pub(super) autoclear: u64,
    /// A reference count is `1 << refcount_order` bits wide.
    pub(super) refcount_order: u32,
    pub(super) compression: Compression,
    pub(super) backing: Option<Backing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Zlib,
    Zstd,
}

/// The image that unallocated clusters are read from, as the header names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backing {
    pub(super) name: PathBuf,
    /// Older images do not say.
    pub(super) format: Option<VolumeFormat>,
}

impl Header {
    /// Does the file begin as a qcow2 image does?
    pub(crate) fn is_present(file: &ImageFile) -> Result<bool> {
        let mut magic = [0; 4];
        if file.size_bytes() < SIZE_V2 {
            return Ok(false);
        }
        file.read_at(0, &mut magic)?;
        Ok(magic == MAGIC)
    }

    pub(crate) fn read(file: &ImageFile) -> Result<Self> {
        let path = file.path();
        if !Self::is_present(file)? {
            return Err(Error::corrupt(path, "it has no qcow2 header"));
        }
        let mut bytes = [0; 24];
        file.read_at(0, &mut bytes)?;
        let cluster_bits = be32(&bytes, 20);
        if !(9..=21).contains(&cluster_bits) {
            let detail = format!("clusters of 2^{cluster_bits} bytes do not exist");
            return Err(Error::corrupt(path, detail));
        }
        let length = file.size_bytes().min(1 << cluster_bits);
        let mut cluster = vec![0; small(length)];
        file.read_at(0, &mut cluster)?;
        let header = Self::parse(path, &cluster)?;
        header.check(file)?;
        Ok(header)
    }

    /// `cluster` is the first one, or what the file has of it.
    fn parse(path: &Path, cluster: &[u8]) -> Result<Self> {
        let version = be32(cluster, 4);
        let mut header = Self {
            version,
            cluster_bits: be32(cluster, 20),
            size_bytes: be64(cluster, 24),
            l1_entries: be32(cluster, 36),
            l1_offset: be64(cluster, 40),
            refcount_table_offset: be64(cluster, 48),
            refcount_table_clusters: be32(cluster, 56),
            snapshots_offset: be64(cluster, 64),
            incompatible: 0,
            autoclear: 0,
            refcount_order: 4,
            compression: Compression::Zlib,
            backing: None,
        };
        let mut length = SIZE_V2;
        if version == 3 {
            if (cluster.len() as u64) < SIZE_V3 {
                return Err(Error::corrupt(path, "its header is cut off"));
            }
            header.incompatible = be64(cluster, 72);
            header.autoclear = be64(cluster, 88);
            header.refcount_order = be32(cluster, 96);
            length = u64::from(be32(cluster, 100));
            if length < SIZE_V3 || length > cluster.len() as u64 {
                return Err(Error::corrupt(path, "its header has an impossible length"));
            }
        } else if version != 2 {
            let what = format!("it is qcow2 of version {version}, known are 2 and 3");
            return Err(Error::unsupported(path, what));
        }
        if be32(cluster, 32) != 0 {
            return Err(Error::unsupported(path, "it is encrypted"));
        }
        header.refuse_unknown_features(path)?;
        if header.incompatible & COMPRESSION_TYPE != 0 {
            let kind = (length > SIZE_V3).then(|| cluster[small(SIZE_V3)]);
            header.compression = match kind {
                Some(1) => Compression::Zstd,
                Some(0) | None => {
                    return Err(Error::corrupt(path, "it does not name its compression"));
                }
                Some(other) => {
                    let what = format!("compression of type {other} is unknown");
                    return Err(Error::unsupported(path, what));
                }
            };
        }
        header.backing = Backing::parse(path, cluster, length)?;
        Ok(header)
    }

    fn refuse_unknown_features(&self, path: &Path) -> Result<()> {
        if self.incompatible & EXTERNAL_DATA != 0 {
            let what = "its data lie in another file";
            return Err(Error::unsupported(path, what));
        }
        let unknown = self.incompatible & !KNOWN;
        if unknown != 0 {
            let what = format!("it has unknown incompatible features ({unknown:#x})");
            return Err(Error::unsupported(path, what));
        }
        Ok(())
    }

    fn check(&self, file: &ImageFile) -> Result<()> {
        let corrupt = |detail: &str| Err(Error::corrupt(file.path(), detail));
        if self.is_extended() && self.cluster_bits < 14 {
            return corrupt("its clusters are too small for subclusters");
        }
        if self.refcount_order > 6 {
            return corrupt("its reference counts are wider than 64 bits");
        }
        let l1_bytes = u64::from(self.l1_entries) * 8;
        if l1_bytes > MAX_L1_BYTES || !self.lies_inside(file, self.l1_offset, l1_bytes) {
            return corrupt("its L1 table does not lie inside the file");
        }
        let needed = self.size_bytes.div_ceil(self.table_span_bytes());
        if needed > u64::from(self.l1_entries) || i64::try_from(self.size_bytes).is_err() {
            return corrupt("its L1 table is too short for its size");
        }
        Ok(())
    }

    /// Is this a range of whole clusters' beginnings inside the file?
    pub(super) fn lies_inside(&self, file: &ImageFile, offset: u64, length: u64) -> bool {
        let end = offset.checked_add(length);
        offset.is_multiple_of(self.cluster_bytes())
            && end.is_some_and(|end| end <= file.size_bytes())
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.incompatible & DIRTY != 0
    }

    pub(super) fn is_marked_corrupt(&self) -> bool {
        self.incompatible & CORRUPT != 0
    }

    /// Are clusters divided into 32 subclusters with a state each?
    pub(super) fn is_extended(&self) -> bool {
        self.incompatible & EXTENDED_L2 != 0
    }

    pub(super) fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    pub(super) fn words_per_entry(&self) -> u64 {
        if self.is_extended() { 2 } else { 1 }
    }

    pub(super) fn entries_per_table(&self) -> u64 {
        self.cluster_bytes() / 8 / self.words_per_entry()
    }

    /// How much of the disk one L2 table describes.
    pub(super) fn table_span_bytes(&self) -> u64 {
        self.entries_per_table() << self.cluster_bits
    }
}

impl Backing {
    fn parse(path: &Path, cluster: &[u8], header_length: u64) -> Result<Option<Self>> {
        let (offset, length) = (be64(cluster, 8), be32(cluster, 16));
        if offset == 0 {
            return Ok(None);
        }
        let end = offset.checked_add(u64::from(length));
        let fits = end.is_some_and(|end| end <= cluster.len() as u64);
        if !fits || offset < header_length || length == 0 || length > MAX_BACKING_NAME_BYTES {
            let detail = "the name of its backing file does not lie in its header";
            return Err(Error::corrupt(path, detail));
        }
        let (start, end) = (small(offset), small(offset + u64::from(length)));
        let name = &cluster[start..end];
        if name.contains(&0) {
            return Err(Error::corrupt(
                path,
                "the name of its backing file has a NUL",
            ));
        }
        let format = find_backing_format(path, &cluster[small(header_length)..start])?;
        Ok(Some(Self {
            name: PathBuf::from(OsStr::from_bytes(name)),
            format,
        }))
    }
}

/// Walks the extensions between the header and the name of the backing file.
fn find_backing_format(path: &Path, mut area: &[u8]) -> Result<Option<VolumeFormat>> {
    while area.len() >= 8 {
        let (kind, length) = (be32(area, 0), be32(area, 4));
        if kind == EXTENSION_END {
            break;
        }
        let Some(data) = area[8..].get(..small(u64::from(length))) else {
            return Err(Error::corrupt(path, "a header extension leaves the header"));
        };
        if kind == EXTENSION_BACKING_FORMAT {
            return match data {
                b"raw" => Ok(Some(VolumeFormat::Raw)),
                b"qcow2" => Ok(Some(VolumeFormat::Qcow2)),
                other => {
                    let name = String::from_utf8_lossy(other);
                    let what = format!("its backing file is of format `{name}`");
                    Err(Error::unsupported(path, what))
                }
            };
        }
        area = area[8..]
            .get(data.len().next_multiple_of(8)..)
            .unwrap_or(&[]);
    }
    Ok(None)
}

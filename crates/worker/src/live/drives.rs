//! Which drive of a machine is which disk of the inventory: both lie in the same file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;
use strongroom_qemu::{Drive, Machine};
use strongroom_types::is_nbd_uri;

/// How QEMU writes a file whose options do not fit into a name.
#[derive(Deserialize)]
struct Options {
    filename: Option<String>,
    file: Option<Box<Options>>,
}

/// The drive that has `place`, a path or an NBD URI, as its file. Looks at files, so it blocks.
pub(super) fn drive_of<'a>(machine: &'a Machine, place: &str) -> Option<&'a Drive> {
    let is_it = |drive: &&Drive| file_of(drive).is_some_and(|file| same_place(&file, place));
    machine.drives.iter().find(is_it)
}

/// Whether two names are of one file, device or export. Looks at files, so it blocks.
pub(super) fn same_place(one: &str, other: &str) -> bool {
    one == other || (identity(one).is_some() && identity(one) == identity(other))
}

pub(super) fn file_of(drive: &Drive) -> Option<String> {
    let Some(options) = drive.file.strip_prefix("json:") else {
        return Some(drive.file.clone());
    };
    let mut options: Options = serde_json::from_str(options).ok()?;
    while let Some(inner) = options.file {
        options = *inner;
    }
    options.filename
}

/// The same for every name of one file or device. Where QEMU's own relative names begin, is not known here.
fn identity(place: &str) -> Option<(u64, u64)> {
    if is_nbd_uri(place) || !Path::new(place).is_absolute() {
        return None;
    }
    let found = fs::metadata(place).ok()?;
    Some((found.dev(), found.ino()))
}

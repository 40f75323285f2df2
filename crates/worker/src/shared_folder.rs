//! Folders in which other users of this host, such as QEMU's, find sockets and make files.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes a folder, which may be there already, as open to others as the one around it. Answers how open that is.
pub(crate) fn make_folder_like_parent(folder: &Path) -> io::Result<u32> {
    let around = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(around)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let mode = fs::metadata(around)?.permissions().mode() & 0o7777;
    fs::set_permissions(folder, Permissions::from_mode(mode))?;
    Ok(mode)
}

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that those may connect to whom `mode` lets write. Takes the place of one that an ended server left there;
/// [`io::ErrorKind::AddrInUse`] if somebody still serves it.
pub fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match UnixStream::connect(path) {
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path)? => {}
        Err(error) => return Err(error),
    }
    // Nobody connects before it is private, and clients that try again find the old or the new one.
    let new = &unfinished(path);
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(new)?;
    fs::set_permissions(new, Permissions::from_mode(mode))?;
    fs::rename(new, path)?;
    Ok(listener)
}

/// What a socket is called until it can be connected to.
pub(crate) fn unfinished(socket: &Path) -> PathBuf {
    let mut name = OsString::from(socket);
    name.push(".new");
    name.into()
}

/// Connections to files that are no sockets are refused, too.
fn is_socket(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;
    Ok(fs::symlink_metadata(path)?.file_type().is_socket())
}

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::bind;

#[test]
fn what_an_ended_server_left_is_replaced_and_what_is_served_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let serving = bind(&path, 0o600).unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(bind(&path, 0o600).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(serving);
    let _again = bind(&path, 0o600).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_file_that_is_no_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "mine").unwrap();
    assert!(bind(&path, 0o600).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_socket_is_as_open_as_it_is_told_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _serving = bind(&path, 0o660).unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    crate::remove_socket(&path).unwrap();
    assert!(!path.exists());
    crate::remove_socket(&path).unwrap();
}

//! Our client with nbdkit, which can be an old, a slow, a strict and a broken server.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};

use super::fixtures::{KIB, Lab, MIB, connect, read_all, target};
use crate::{Ahead, BASE_ALLOCATION, Client, ClientOptions, Error, ErrorCode, Reader, Selection};

/// What nbdkit's pattern plugin holds: each 8 bytes are their offset.
fn pattern(length: u64) -> Vec<u8> {
    let offsets = (0..length).step_by(8);
    offsets.flat_map(u64::to_be_bytes).collect()
}

fn whole(client: Client, ahead: Ahead) -> (Vec<u8>, u64) {
    read_all(Reader::new(client, &Selection::Allocated, ahead).unwrap())
}

#[test]
fn a_server_without_structured_replies_is_read_whole() {
    let Some(lab) = Lab::open() else { return };
    let peer = lab.nbdkit(&["--no-sr", "pattern", "9M"]);
    let client = connect(&target(&peer, ""));
    assert!(!client.info().has_context(BASE_ALLOCATION));
    let (disk, skipped) = whole(client, Ahead::default());
    assert!(disk == pattern(9 * MIB));
    assert_eq!(skipped, 0);
}

#[test]
fn replies_in_any_order_are_delivered_in_one() {
    let Some(lab) = Lab::open() else { return };
    let slow = ["--filter=delay", "pattern", "12M", "delay-read=20ms"];
    let peer = lab.nbdkit(&slow);
    let ahead = Ahead {
        requests: 24,
        request_bytes: 100_000,
    };
    let (disk, _) = whole(connect(&target(&peer, "")), ahead);
    assert!(disk == pattern(12 * MIB));
}

#[test]
fn a_terabyte_of_nothing_is_not_read() {
    let Some(lab) = Lab::open() else { return };
    let peer = lab.nbdkit(&["memory", "1T"]);
    let mut client = connect(&target(&peer, ""));
    let extents = client.extents(BASE_ALLOCATION, 0..1 << 40).unwrap();
    let length: u64 = extents
        .map(Result::unwrap)
        .filter(|extent| extent.is_hole() && extent.is_zero())
        .map(|extent| extent.length)
        .sum();
    assert_eq!(length, 1 << 40);
    let ahead = Ahead::default();
    let mut reader = Reader::new(client, &Selection::Allocated, ahead).unwrap();
    let mut length = 0;
    while let Some(piece) = reader.next_piece().unwrap() {
        assert_eq!(piece.content, crate::Content::Hole);
        length += piece.length;
    }
    assert_eq!(length, 1 << 40);
}

#[test]
fn block_sizes_of_the_server_are_kept() {
    let Some(lab) = Lab::open() else { return };
    let peer = lab.nbdkit(&[
        "--filter=blocksize-policy",
        "memory",
        "1M",
        "blocksize-minimum=4096",
        "blocksize-preferred=64k",
        "blocksize-maximum=128k",
        "blocksize-error-policy=error",
    ]);
    let mut client = connect(&target(&peer, ""));
    let sizes = client.info().block_sizes;
    assert_eq!((sizes.minimum, sizes.maximum), (4096, 128 << 10));

    let data = super::fixtures::noise(2, 512 * KIB);
    client.write_at(128 * KIB, &data).unwrap();
    // A read may lie as it likes, a write must not: it would have to read first.
    let mut read = vec![1; 300_001];
    client.read_at(128 * KIB + 77, &mut read).unwrap();
    assert!(read == data[77..77 + read.len()]);
    let error = client.write_at(77, &data[..100]).unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
    let error = client.start_read(0, 256 << 10).unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");

    let ahead = Ahead {
        requests: 4,
        request_bytes: 5000,
    };
    let (disk, _) = whole(client, ahead);
    assert_eq!(disk.len() as u64, MIB);
    let start = 128 << 10;
    assert!(disk[start..start + data.len()] == data);
}

#[test]
fn a_request_that_fails_is_told_and_the_connection_goes_on() {
    let Some(lab) = Lab::open() else { return };
    let switch = lab.path("fail-now");
    let file = format!("error-pread-file={}", switch.display());
    let peer = lab.nbdkit(&[
        "--filter=error",
        "pattern",
        "8M",
        "error-pread=EIO",
        "error-pread-rate=100%",
        &file,
    ]);
    let mut client = connect(&target(&peer, ""));
    let mut buffer = vec![0; 4 << 20];
    fs::write(&switch, "").unwrap();
    let error = client.read_at(MIB, &mut buffer).unwrap_err();
    let Error::Failed { code, during, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*code, ErrorCode::IO);
    assert!(during.ends_with(&format!(" at {MIB}")), "{during}");
    fs::remove_file(&switch).unwrap();
    client.read_at(0, &mut buffer).unwrap();
    assert!(buffer == pattern(4 * MIB));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let Some(lab) = Lab::open() else { return };
    let slow = ["--filter=delay", "pattern", "1M", "delay-read=60"];
    let peer = lab.nbdkit(&slow);
    let options = ClientOptions {
        silence: Duration::from_millis(200),
        ..ClientOptions::default()
    };
    let mut client = Client::connect(&target(&peer, ""), &options).unwrap();
    let error = client.read_at(4096, &mut [0; 512]).unwrap_err();
    assert!(matches!(error, Error::Silent { .. }), "{error}");
    // The answer may still come, to nobody.
    let error = client.read_at(0, &mut [0; 512]).unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error}");
}

#[test]
fn a_server_that_is_killed_leaves_an_error_that_says_where() {
    let Some(lab) = Lab::open() else { return };
    let slow = ["--filter=delay", "pattern", "1M", "delay-read=60"];
    let mut peer = lab.nbdkit(&slow);
    let mut client = connect(&target(&peer, ""));
    let ticket = client.start_read(65536, 4096).unwrap();
    peer.kill();
    let error = client.finish_read(&ticket).unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error}");
    let sentence = error.to_string();
    assert!(
        sentence.contains("reading 4096 bytes at 65536"),
        "{sentence}"
    );
}

#[test]
fn a_server_that_accepts_nobody_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    // One client may wait to be accepted, a second cannot even do that.
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let options = ClientOptions {
        silence: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    let target = crate::Target::unix(&socket, "");
    let first = Client::connect(&target, &options).unwrap_err();
    assert!(matches!(first, Error::Silent { .. }), "{first}");
    let second = Client::connect(&target, &options).unwrap_err();
    assert!(matches!(second, Error::Connect { .. }), "{second}");
}

#[test]
fn nobody_at_the_socket_is_an_error_of_its_own() {
    let Some(lab) = Lab::open() else { return };
    let target = crate::Target::unix(lab.path("nobody"), "");
    let error = Client::connect(&target, &ClientOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}

//! Our server with the clients of others.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fixtures::{Failing, KIB, Lab, MIB, Memory, connect, noise, text, wait_until};
use crate::{Client, ClientOptions, Error, ErrorCode, Limits, Listener, Server, Target};

/// 8 MiB with holes, and an odd end.
fn content() -> Vec<u8> {
    let mut bytes = noise(3, 8 * MIB + 512);
    bytes[1 << 20..3 << 20].fill(0);
    bytes[5 << 20..5 * (1 << 20) + 4096].fill(0);
    bytes
}

#[test]
fn nbdinfo_sees_an_export_as_it_is() {
    let Some(lab) = Lab::open() else { return };
    let (_server, target) = lab.ours(Memory::read_only(content()), Limits::default());
    let uri = target.to_string();

    let json = lab.run("nbdinfo", &["--json", &uri]);
    for member in [
        "\"protocol\": \"newstyle-fixed\"",
        "\"structured\": true",
        "\"export-name\": \"disk\"",
        "\"export-size\": 8389120",
        "\"is_read_only\": true",
        "\"can_multi_conn\": true",
        "\"can_df\": true",
        "\"block_size_maximum\": 4194304",
        "\"base:allocation\"",
    ] {
        assert!(json.contains(member), "{member} is missing: {json}");
    }
    let listed = lab.run("nbdinfo", &["--list", "--json", &uri]);
    assert!(listed.contains("\"export-name\": \"disk\""), "{listed}");

    let map = lab.run("nbdinfo", &["--map", &uri]);
    let map: Vec<Vec<&str>> = map
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        ["0", "1048576", "0", "data"],
        ["1048576", "2097152", "3", "hole,zero"],
        ["3145728", "2097152", "0", "data"],
        ["5242880", "4096", "3", "hole,zero"],
        ["5246976", "3142144", "0", "data"],
    ];
    assert_eq!(map, expected);
}

#[test]
fn nbdcopy_and_qemu_img_read_what_is_there() {
    let Some(lab) = Lab::open() else { return };
    let (_server, target) = lab.ours(Memory::read_only(content()), Limits::default());
    let uri = target.to_string();
    fs::write(lab.path("expected.raw"), content()).unwrap();

    // With several connections, as the export allows.
    lab.run("nbdcopy", &["--connections=4", &uri, "copy.raw"]);
    assert!(fs::read(lab.path("copy.raw")).unwrap() == content());
    lab.run(
        "qemu-img",
        &["compare", "-f", "raw", "-F", "raw", "expected.raw", &uri],
    );
    let convert = ["convert", "-f", "raw", "-O", "qcow2", &uri, "copy.qcow2"];
    lab.run("qemu-img", &convert);
    lab.run("qemu-img", &["compare", "expected.raw", "copy.qcow2"]);
}

#[test]
fn qemu_img_and_nbdcopy_write_what_is_there_then() {
    let Some(lab) = Lab::open() else { return };
    fs::write(lab.path("source.raw"), content()).unwrap();
    let disk = Memory::writable(noise(4, content().len() as u64));
    let (_server, target) = lab.ours(disk.clone(), Limits::default());
    let uri = target.to_string();
    lab.run("nbdcopy", &["--flush", "source.raw", &uri]);
    assert!(disk.content() == content());
    assert!(disk.flushes.load(Ordering::Relaxed) > 0);

    fs::write(lab.path("source.raw"), noise(5, 8 * MIB + 512)).unwrap();
    let convert = [
        "convert",
        "-n",
        "-f",
        "raw",
        "-O",
        "raw",
        "source.raw",
        &uri,
    ];
    lab.run("qemu-img", &convert);
    assert!(disk.content() == noise(5, 8 * MIB + 512));
}

#[test]
fn qemu_io_writes_zeros_trims_and_flushes() {
    let Some(lab) = Lab::open() else { return };
    let disk = Memory::writable(noise(6, 8 * MIB));
    let (_server, target) = lab.ours(disk.clone(), Limits::default());
    let commands = [
        "write -P 171 64k 5M",
        "write -f -P 172 6M 4k",
        "write -z 128k 64k",
        "write -z -u 1M 64k",
        "discard 2M 1M",
        "flush",
        "read -P 171 64k 64k",
        "read -P 0 128k 64k",
        "read -P 0 1M 64k",
        "read -P 172 6M 4k",
        "read -P 0 2M 1M",
    ];
    lab.qemu_io("raw", &target.to_string(), &commands);
    assert!(disk.flushes.load(Ordering::Relaxed) >= 2);

    let mut model = noise(6, 8 * MIB);
    let mut fill = |offset: u64, length: u64, byte| {
        let start = usize::try_from(offset).unwrap();
        model[start..start + usize::try_from(length).unwrap()].fill(byte);
    };
    fill(64 * KIB, 5 * MIB, 171);
    fill(6 * MIB, 4 * KIB, 172);
    fill(128 * KIB, 64 * KIB, 0);
    fill(MIB, 64 * KIB, 0);
    fill(2 * MIB, MIB, 0);
    assert!(disk.content() == model);
}

#[test]
fn a_guest_writes_above_an_export_that_cannot_be_written() {
    let Some(lab) = Lab::open() else { return };
    let (_server, target) = lab.ours(Memory::read_only(content()), Limits::default());
    let uri = target.to_string();
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        &uri,
        "top.qcow2",
    ];
    lab.run("qemu-img", &create);
    lab.qemu_io(
        "qcow2",
        "top.qcow2",
        &["write -P 9 100k 100k", "read -P 9 100k 100k"],
    );
    lab.run(
        "qemu-img",
        &["convert", "-O", "raw", "top.qcow2", "whole.raw"],
    );
    let mut model = content();
    model[100 << 10..200 << 10].fill(9);
    assert!(fs::read(lab.path("whole.raw")).unwrap() == model);
}

/// A conversation by hand, as the first clients of the new style held it: no structured replies, no limits told.
struct Wire(UnixStream);

impl Wire {
    /// Chooses the export `disk`; returns what the server tells about it.
    fn open(lab: &Lab, flags: [u8; 4]) -> (Self, Vec<u8>) {
        let mut wire = UnixStream::connect(lab.path("ours")).unwrap();
        wire.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        wire.read_exact(&mut [0; 18]).unwrap();
        wire.write_all(&flags).unwrap();
        wire.write_all(b"IHAVEOPT\0\0\0\x01\0\0\0\x04disk").unwrap();
        let mut wire = Self(wire);
        let told = wire.read(if flags[3] == 0 { 134 } else { 10 });
        (wire, told)
    }

    fn ask(&mut self, command: u8, offset: u64, length: u32) {
        let mut request = b"\x25\x60\x95\x13\0\0\0".to_vec();
        request.push(command);
        request.extend(5u64.to_be_bytes());
        request.extend(offset.to_be_bytes());
        request.extend(length.to_be_bytes());
        self.0.write_all(&request).unwrap();
    }

    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The error of a simple reply.
    fn outcome(&mut self) -> u8 {
        let reply = self.read(16);
        assert_eq!(reply[..7], *b"\x67\x44\x66\x98\0\0\0");
        assert_eq!(reply[8..], 5u64.to_be_bytes());
        reply[7]
    }
}

#[test]
fn a_client_of_the_first_new_style_gets_the_export() {
    let Some(lab) = Lab::open() else { return };
    let (_server, _) = lab.ours(Memory::read_only(content()), Limits::default());
    // No flags, so zeros follow what is told.
    let (mut wire, told) = Wire::open(&lab, [0; 4]);
    assert_eq!(told[..8], (8 * MIB + 512).to_be_bytes());
    wire.ask(0, 2, 4);
    assert_eq!(wire.outcome(), 0);
    assert_eq!(wire.read(4), content()[2..6]);
    wire.ask(5, MIB, 5 << 20);
    assert_eq!(wire.outcome(), 0, "read ahead");
    for (command, offset, length) in [(0, 8 * MIB, 1024), (0, 0, 0), (9, 0, 1), (7, 0, 1)] {
        wire.ask(command, offset, length);
        assert_eq!(wire.outcome(), 22, "{command} of {length} at {offset}");
    }
}

#[test]
fn what_cannot_be_written_says_so() {
    let Some(lab) = Lab::open() else { return };
    let (_server, target) = lab.ours(Memory::read_only(content()), Limits::default());
    let mut client = connect(&target);
    let error = client.write_at(0, &[1; 512]).unwrap_err();
    let Error::Failed { code, message, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(code, ErrorCode::PERMISSION);
    assert!(message.contains("read-only"), "{message}");
    client.read_at(0, &mut [0; 512]).unwrap();
}

#[test]
fn a_fault_of_an_export_fails_one_request() {
    let Some(lab) = Lab::open() else { return };
    let (_server, target) = lab.ours(std::sync::Arc::new(Failing), Limits::default());
    let mut client = connect(&target);
    for (offset, expected) in [(8192, "on fire"), (0, "a fault of ours"), (4096, "on fire")] {
        let error = client.read_at(offset, &mut [0; 512]).unwrap_err();
        let Error::Failed { code, message, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(code, ErrorCode::IO);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn clients_above_the_limit_are_turned_away_until_one_leaves() {
    let Some(lab) = Lab::open() else { return };
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let (_server, target) = lab.ours(Memory::read_only(content()), limits);
    let first = connect(&target);
    let _second = connect(&target);
    let third = Client::connect(&target, &ClientOptions::default());
    assert!(matches!(third, Err(Error::Lost { .. })), "{third:?}");
    drop(first);
    wait_until("a place is free", || {
        Client::connect(&target, &ClientOptions::default()).is_ok()
    });
}

#[test]
fn a_client_that_never_chooses_is_sent_away() {
    let Some(lab) = Lab::open() else { return };
    let limits = Limits {
        handshake: Duration::from_millis(100),
        ..Limits::default()
    };
    let (_server, _) = lab.ours(Memory::read_only(content()), limits);
    let mut wire = UnixStream::connect(lab.path("ours")).unwrap();
    wire.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut heard = Vec::new();
    wire.read_to_end(&mut heard).unwrap();
    assert_eq!(heard.len(), 18, "the greeting, and then the end");
}

#[test]
fn a_server_that_stops_drops_its_clients_without_a_word() {
    let Some(lab) = Lab::open() else { return };
    let (server, target) = lab.ours(Memory::read_only(content()), Limits::default());
    let mut client = connect(&target);
    let idle = UnixStream::connect(lab.path("ours")).unwrap();
    server.stop();
    let error = client.read_at(0, &mut [0; 512]).unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error}");
    drop(idle);

    // The next server on the same path serves the next client.
    fs::remove_file(lab.path("ours")).unwrap();
    let (_server, target) = lab.ours(Memory::read_only(content()), Limits::default());
    connect(&target).read_at(0, &mut [0; 512]).unwrap();
}

#[test]
fn a_write_that_is_too_long_is_refused_and_forgotten() {
    let Some(lab) = Lab::open() else { return };
    let limits = Limits {
        request_bytes: 64 << 10,
        ..Limits::default()
    };
    let disk = Memory::writable(content());
    let (_server, target) = lab.ours(disk.clone(), limits);
    let mut client = connect(&target);
    // Our own client would cut it, so its request is written by hand.
    let error = client.start_write(0, &vec![1; 100 << 10]).unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
    let (mut wire, _) = Wire::open(&lab, [0, 0, 0, 3]);
    wire.ask(1, 0, 100 << 10);
    wire.0.write_all(&vec![1; 100 << 10]).unwrap();
    assert_eq!(wire.outcome(), 22);
    assert!(disk.content() == content());
    // After a farewell the server closes.
    wire.ask(2, 0, 0);
    let end = wire.0.read(&mut [0]);
    assert!(matches!(end, Ok(0)), "{end:?}");
}

#[test]
fn a_socket_in_the_uri_is_found_by_the_tools_of_others() {
    let Some(lab) = Lab::open() else { return };
    let socket = lab.path("with space & more");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let disk: std::sync::Arc<dyn crate::Export> = Memory::read_only(content());
    let name = "größer als/ein & disk?";
    let exports = [(name.to_owned(), disk)];
    let _server = Server::start(Listener::Unix(listener), exports, Limits::default()).unwrap();
    let target = Target::unix(text(&socket), name);
    let size = lab.run("nbdinfo", &["--size", &target.to_string()]);
    assert_eq!(size.trim(), "8389120");
}

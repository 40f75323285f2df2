//! Our client with `qemu-nbd`.

use std::fs;
use std::ops::Range;

use super::fixtures::{KIB, Lab, MIB, connect, read_all, target};
use crate::{
    Ahead, BASE_ALLOCATION, Client, ClientOptions, Content, Error, Reader, Selection, StatusExtent,
    list,
};

const BITMAP: &str = "qemu:dirty-bitmap:since";
const SERVED_WITH_BITMAP: [&str; 8] = ["-r", "-f", "qcow2", "-B", "since", "-x", "disk", "d.qcow2"];

/// A qcow2 of 64 MiB with some data and, recorded by a bitmap, two writes behind it.
fn disk_with_bitmap(lab: &Lab) {
    lab.run(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", "d.qcow2", "64M"],
    );
    let first = [
        "write -P 1 0 1M",
        "write -P 2 20M 3M",
        "write -P 3 64900k 100k",
    ];
    lab.qemu_io("qcow2", "d.qcow2", &first);
    lab.run("qemu-img", &["bitmap", "--add", "d.qcow2", "since"]);
    let second = ["write -P 4 21M 128k", "write -P 5 40M 1M"];
    lab.qemu_io("qcow2", "d.qcow2", &second);
    lab.run("qemu-img", &["bitmap", "--disable", "d.qcow2", "since"]);
}

fn expected(lab: &Lab) -> Vec<u8> {
    let convert = ["convert", "-O", "raw", "d.qcow2", "expected.raw"];
    lab.run("qemu-img", &convert);
    fs::read(lab.path("expected.raw")).unwrap()
}

#[test]
fn a_qcow2_is_read_as_qemu_reads_it_and_its_holes_are_not() {
    let Some(lab) = Lab::open() else { return };
    disk_with_bitmap(&lab);
    let expected = expected(&lab);
    let peer = lab.qemu_nbd(&["-r", "-f", "qcow2", "-x", "disk", "d.qcow2"]);

    let client = connect(&target(&peer, "disk"));
    assert_eq!(client.size_bytes(), 64 * MIB);
    assert!(client.info().flags.is_read_only());
    assert!(client.info().has_context(BASE_ALLOCATION));
    let reader = Reader::new(client, &Selection::Allocated, Ahead::default()).unwrap();
    let (disk, skipped) = read_all(reader);
    assert!(disk == expected);
    assert!(skipped > 58 * MIB, "{skipped}");

    // What holes hide is read all the same where somebody asks.
    let mut plain = vec![9; 3 * 1024 * 1024 + 77];
    let at = 19 * MIB + 5;
    connect(&target(&peer, "disk"))
        .read_at(at, &mut plain)
        .unwrap();
    let start = usize::try_from(at).unwrap();
    assert!(plain == expected[start..start + plain.len()]);
}

/// Where data was read, in KiB, each piece for itself. All pieces come in order, to the end, and data is what is expected.
fn stretches_read(reader: &mut Reader, expected: &[u8]) -> Vec<(u64, u64)> {
    let (mut at, mut read) = (0, Vec::new());
    while let Some(piece) = reader.next_piece().unwrap() {
        assert_eq!(piece.offset, at);
        at += piece.length;
        if let Content::Data(data) = piece.content {
            let start = usize::try_from(piece.offset).unwrap();
            assert!(data == expected[start..start + data.len()]);
            read.push((piece.offset / KIB, at / KIB));
        }
    }
    assert_eq!(at, expected.len() as u64);
    read
}

#[test]
fn a_dirty_bitmap_tells_what_was_written() {
    let Some(lab) = Lab::open() else { return };
    disk_with_bitmap(&lab);
    let expected = expected(&lab);
    let peer = lab.qemu_nbd(&SERVED_WITH_BITMAP);

    let options = ClientOptions {
        contexts: vec![BASE_ALLOCATION.to_owned(), BITMAP.to_owned()],
        ..ClientOptions::default()
    };
    let mut client = Client::connect(&target(&peer, "disk"), &options).unwrap();
    let extents = client.extents(BITMAP, 0..64 * MIB).unwrap();
    let dirty: Vec<(u64, u64)> = extents
        .map(Result::unwrap)
        .filter(StatusExtent::is_dirty)
        .map(|extent| (extent.offset, extent.length))
        .collect();
    assert_eq!(dirty, [(21 * MIB, 128 * KIB), (40 * MIB, MIB)]);
    let inside = client
        .extents(BITMAP, 41 * MIB - KIB..41 * MIB + KIB)
        .unwrap();
    let inside: Vec<bool> = inside.map(|extent| extent.unwrap().is_dirty()).collect();
    assert_eq!(inside, [true, false]);

    let selection = Selection::Dirty("since".to_owned());
    let mut reader = Reader::new(client, &selection, Ahead::default()).unwrap();
    let read = stretches_read(&mut reader, &expected);
    let read = read.iter().map(|(start, end)| end - start);
    assert_eq!(read.sum::<u64>(), 1024 + 128);
}

#[test]
fn more_than_the_bitmap_marks_is_read_in_the_same_order() {
    let Some(lab) = Lab::open() else { return };
    disk_with_bitmap(&lab);
    let expected = expected(&lab);
    let peer = lab.qemu_nbd(&SERVED_WITH_BITMAP);
    let options = ClientOptions {
        contexts: vec![BITMAP.to_owned()],
        ..ClientOptions::default()
    };
    let read = |left_out: fn(Range<u64>) -> Range<u64>| {
        let client = Client::connect(&target(&peer, "disk"), &options).unwrap();
        let selection = Selection::Dirty("since".to_owned());
        let mut reader = Reader::new(client, &selection, Ahead::default()).unwrap();
        reader.leave_out(Box::new(left_out));
        stretches_read(&mut reader, &expected)
    };
    // The marked pieces are 128 KiB at 21 MiB, and 1 MiB at 40 MiB.
    let (first, second) = (21 << 10, 40 << 10);
    let marked = [(first, first + 128), (second, second + 512)];
    let around = read(|stretch| stretch.start + 100 * KIB..stretch.end - 100 * KIB);
    assert_eq!(around[..2], [(0, 100), (first - 100, first + 228)]);
    let rest = around[2..].iter().map(|(start, end)| end - start);
    assert_eq!(rest.sum::<u64>(), 100 + 1024 + 100 + 100);
    assert_eq!(read(|stretch| stretch)[..2], marked);
    assert_eq!(read(|stretch| stretch.end..stretch.end).len(), 128);
}

#[test]
fn a_bitmap_that_the_server_does_not_have_is_no_guess() {
    let Some(lab) = Lab::open() else { return };
    disk_with_bitmap(&lab);
    let peer = lab.qemu_nbd(&["-r", "-f", "qcow2", "-x", "disk", "d.qcow2"]);
    let options = ClientOptions {
        contexts: vec![BITMAP.to_owned()],
        ..ClientOptions::default()
    };
    let client = Client::connect(&target(&peer, "disk"), &options).unwrap();
    assert!(!client.info().has_context(BITMAP));
    let selection = Selection::Dirty("since".to_owned());
    let error = Reader::new(client, &selection, Ahead::default()).unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
}

#[test]
fn what_is_written_zeroed_and_flushed_is_in_the_image() {
    let Some(lab) = Lab::open() else { return };
    disk_with_bitmap(&lab);
    let mut model = expected(&lab);
    let mut peer = lab.qemu_nbd(&["-f", "qcow2", "-x", "disk", "d.qcow2"]);
    let mut client = connect(&target(&peer, "disk"));
    let data = super::fixtures::noise(1, 20 * MIB + 1);
    client.write_at(3 * MIB - 7, &data).unwrap();
    client.zero(20 * MIB + 9, 2 * MIB).unwrap();
    client.flush().unwrap();
    // What was flushed survives a server that is killed.
    peer.kill();

    let place = |at: u64, length: u64| {
        let start = usize::try_from(at).unwrap();
        start..start + usize::try_from(length).unwrap()
    };
    model[place(3 * MIB - 7, 20 * MIB + 1)].copy_from_slice(&data);
    model[place(20 * MIB + 9, 2 * MIB)].fill(0);
    assert!(expected(&lab) == model);
}

#[test]
fn exports_are_listed_and_an_unknown_one_is_refused() {
    let Some(lab) = Lab::open() else { return };
    disk_with_bitmap(&lab);
    let describe = ["-r", "-f", "qcow2", "-x", "disk", "-D", "a disk", "d.qcow2"];
    let peer = lab.qemu_nbd(&describe);
    let options = ClientOptions::default();
    let listed = list(&target(&peer, ""), &options).unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|export| (export.name.as_str(), export.description.as_str()))
        .collect();
    assert_eq!(listed, [("disk", "a disk")]);

    let error = Client::connect(&target(&peer, "other"), &options).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains("other"), "{error}");
}

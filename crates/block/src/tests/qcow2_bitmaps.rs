//! Bitmaps that QEMU has left in images.

use std::fs;
use std::path::Path;

use strongroom_types::VolumeFormat::Qcow2;

use super::qemu::{Lab, MIB, qemu_img, qemu_io};
use crate::{Known, create_qcow2, open_marked, open_sink};

const NAME: &str = "strongroom-one";
const KIB: u64 = 1 << 10;

fn bitmap(path: &Path, command: &str) {
    qemu_img(&["bitmap", command, path.to_str().unwrap(), NAME]);
}

fn add(path: &Path) {
    let place = path.to_str().unwrap();
    qemu_img(&["bitmap", "--add", "-g", "64k", place, NAME]);
}

/// Where the entry of the bitmap begins in the directory, and in those that were replaced.
fn entries(image: &[u8]) -> Vec<usize> {
    let names = image.windows(NAME.len()).enumerate();
    let names = names.filter(|(_, bytes)| *bytes == NAME.as_bytes());
    names.map(|(at, _)| at - 24).collect()
}

fn marks(path: &Path) -> Known {
    open_marked(path, NAME).unwrap().1
}

/// Begin and end of what is marked.
fn ranges(path: &Path, size: u64) -> Vec<(u64, u64)> {
    let marks = marks(path).unwrap();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < size {
        let (is_marked, length) = marks.at(at);
        assert!(length > 0 && at + length <= size);
        // In the middle it is the same.
        assert_eq!(marks.at(at + length / 2).0, is_marked);
        if is_marked {
            found.push((at, at + length));
        }
        at += length;
    }
    let total: u64 = found.iter().map(|(from, to)| to - from).sum();
    assert!(marks.marked_bytes() - total < 64 * KIB);
    found
}

#[test]
fn what_qemu_has_written_is_marked() {
    let Some(lab) = Lab::open() else { return };
    for (options, size) in [
        (&[][..], 64 * MIB),
        (&["-o", "cluster_size=512"], 9 * MIB + 512),
        (&["-o", "extended_l2=on"], 33 * MIB),
    ] {
        let path = lab.create("disk.qcow2", size, options);
        assert!(marks(&path).is_err());
        qemu_io(&path, &["write 0 1M"]);
        add(&path);
        assert_eq!(ranges(&path, size), []);
        qemu_io(&path, &["write 100k 1k", "write 5M 1M"]);
        qemu_io(&path, &[&format!("write {} 512", size - 512)]);
        let last = (size - 1) / (64 * KIB) * (64 * KIB);
        let expected = [(64 * KIB, 128 * KIB), (5 * MIB, 6 * MIB), (last, size)];
        assert_eq!(ranges(&path, size), expected);
        qemu_io(&path, &[&format!("write 0 {size}")]);
        assert_eq!(ranges(&path, size), [(0, size)]);
    }
}

/// Words of the reason, and what leads to it.
type Way<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn what_is_not_vouched_for_is_not_believed() {
    let Some(lab) = Lab::open() else { return };
    let ways: [Way<'_>; 5] = [
        ("does not vouch", &|path| {
            let mut sink = open_sink(path, Qcow2).unwrap();
            sink.write_at(0, &[1; 512]).unwrap();
            sink.flush().unwrap();
        }),
        ("not one that records", &|path| bitmap(path, "--disable")),
        ("no bitmap of the last", &|path| {
            bitmap(path, "--remove");
            let other = ["bitmap", "--add", path.to_str().unwrap(), "other"];
            qemu_img(&other);
        }),
        ("has snapshots", &|path| {
            qemu_img(&["snapshot", "-c", "one", path.to_str().unwrap()]);
        }),
        ("without closing", &|path| {
            // As a QEMU leaves it that was killed: a flag of the entry.
            let mut bytes = fs::read(path).unwrap();
            for entry in entries(&bytes) {
                bytes[entry + 15] |= 1;
            }
            fs::write(path, bytes).unwrap();
        }),
    ];
    for (words, spoil) in ways {
        let path = lab.create("disk.qcow2", 4 * MIB, &[]);
        add(&path);
        qemu_io(&path, &["write 1M 64k"]);
        assert_eq!(ranges(&path, 4 * MIB).len(), 1);
        spoil(&path);
        let reason = marks(&path).err().unwrap_or_default();
        assert!(reason.contains(words), "{words}: {reason}");
    }
    let ours = lab.path("ours.qcow2");
    create_qcow2(&ours, 4 * MIB).unwrap();
    assert!(marks(&ours).is_err());
}

/// Whatever stands there, it is a reason or marks of this disk, and nothing outside the image is read.
#[test]
fn damaged_directories_end_in_reasons() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", 64 * MIB, &["-o", "cluster_size=512"]);
    add(&path);
    qemu_io(&path, &["write 1M 64k"]);
    let sound = fs::read(&path).unwrap();
    let extension = sound.windows(4).position(|w| w == [0x23, 0x85, 0x28, 0x75]);
    let extension = extension.unwrap();
    let directories = entries(&sound).into_iter();
    let places = directories.flat_map(|entry| entry..entry + 40);
    let places = places.chain(extension..extension + 32);
    for place in places {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = sound.clone();
            damaged[place] = value;
            fs::write(&path, &damaged).unwrap();
            // An error is one of reading, which the image of this test never has.
            if let Ok(marks) = marks(&path) {
                let (_, length) = marks.at(64 * MIB - 1);
                assert_eq!(length, 1);
            }
        }
    }
}

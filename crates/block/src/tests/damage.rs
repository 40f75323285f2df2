//! Damaged images end in errors: never in a panic, an endless loop or a huge allocation.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;
use strongroom_types::VolumeFormat::Qcow2;

use super::qemu::{Lab, MIB, qemu_img, qemu_io};
use crate::{Error, open_sink, open_source, probe};

/// Reads the whole disk; errors are fine.
fn wander(path: &Path) {
    let _ = probe(path);
    let Ok(mut source) = open_source(path, Qcow2) else {
        return;
    };
    let mut buffer = vec![0; 70_000];
    let mut offset = 0;
    for _ in 0..400 {
        let Ok(extent) = source.next_extent(offset) else {
            break;
        };
        if extent.length == 0 {
            break;
        }
        let length = extent.length.min(buffer.len() as u64);
        let piece = &mut buffer[..usize::try_from(length).unwrap()];
        let _ = source.read_at(offset, piece);
        offset += extent.length;
    }
    let _ = source.read_at(source.size_bytes().saturating_sub(9), &mut buffer[..9]);
}

/// Changes a few places of the disk; errors are fine.
fn meddle(path: &Path) {
    let Ok(mut sink) = open_sink(path, Qcow2) else {
        return;
    };
    let _ = sink.write_at(3000, &[5; 9000]);
    let _ = sink.zero_range(100_000, 200_000);
    let _ = sink.write_at(250_000, &[6; 100]);
    let _ = sink.flush();
    let _ = sink.write_at(sink.size_bytes().saturating_sub(9), &[7; 9]);
    let _ = sink.flush();
}

/// An image with everything in it whose metadata lie in its first bytes.
fn specimen(lab: &Lab, options: &str) -> Vec<u8> {
    let raw = lab.path("text.raw");
    fs::write(&raw, b"to and fro ".repeat(60_000)).unwrap();
    let path = lab.path("specimen.qcow2");
    let (from, to) = (raw.to_str().unwrap(), path.to_str().unwrap());
    qemu_img(&["convert", "-c", "-O", "qcow2", "-o", options, from, to]);
    qemu_io(&path, &["write -P 1 100k 50k", "write -z 300k 64k"]);
    fs::read(&path).unwrap()
}

#[test]
fn flipped_bytes_in_the_metadata_do_no_harm() {
    let Some(lab) = Lab::open() else { return };
    for options in [
        "compat=0.10,cluster_size=512",
        "cluster_size=4k",
        "extended_l2=on",
    ] {
        let specimen = specimen(&lab, options);
        let path = lab.path("mutant.qcow2");
        fs::write(&path, &specimen).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        let ends = specimen.len().min(12_000);
        // The header is worth more attempts than the tables.
        let place = prop_oneof![0..112_usize, 0..ends];
        let mutation = prop::collection::vec((place, any::<u8>()), 1..4);
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(600)
        };
        proptest!(config, |(mutation in mutation)| {
            for (at, byte) in &mutation {
                file.write_all_at(&[*byte], *at as u64).unwrap();
            }
            wander(&path);
            meddle(&path);
            wander(&path);
            fs::write(&path, &specimen).unwrap();
        });
    }
}

#[test]
fn a_cut_off_image_is_damaged_not_empty() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", 4 * MIB, &[]);
    qemu_io(&path, &["write -P 1 0 4M"]);
    let length = fs::metadata(&path).unwrap().len();
    for keep in [
        0,
        3,
        71,
        100,
        512,
        65_536,
        200_000,
        300_000,
        length / 2,
        length - 1,
    ] {
        let copy = lab.path("cut.qcow2");
        fs::copy(&path, &copy).unwrap();
        fs::File::options()
            .write(true)
            .open(&copy)
            .unwrap()
            .set_len(keep)
            .unwrap();
        let mut buffer = vec![0; 4 << 20];
        let result = open_source(&copy, Qcow2).and_then(|mut s| s.read_at(0, &mut buffer));
        assert!(
            matches!(result, Err(Error::Corrupt { .. })),
            "{keep}: {result:?}"
        );
    }
}

#[test]
fn numbers_that_would_exhaust_memory_are_refused() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", MIB, &[]);
    let good = fs::read(&path).unwrap();
    let lies: [(usize, &[u8]); 6] = [
        (36, &[0xff, 0xff, 0xff, 0xff]),                         // L1 entries
        (40, &[0xff; 8]),                                        // where L1 lies
        (24, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), // size
        (20, &[0, 0, 0, 63]),                                    // cluster bits
        (100, &[0xff, 0xff, 0xff, 0xf8]),                        // header length
        (8, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]),                    // backing name
    ];
    for (at, lie) in lies {
        let mut bytes = good.clone();
        bytes[at..at + lie.len()].copy_from_slice(lie);
        fs::write(&path, bytes).unwrap();
        let result = open_source(&path, Qcow2).map(|_| ());
        assert!(
            matches!(result, Err(Error::Corrupt { .. })),
            "{at}: {result:?}"
        );
    }
}

//! Random restores against a plain array of bytes, judged by QEMU.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use strongroom_types::VolumeFormat::Qcow2;

use super::qemu::{Lab, MIB, assert_sound, qemu_img, qemu_io, read_all};
use crate::{BlockSink, open_sink, open_source};

const SIZE: u64 = 5 * MIB + 512;

#[derive(Debug, Clone)]
enum Step {
    Write { offset: u64, length: u64, byte: u8 },
    Zero { offset: u64, length: u64 },
    Flush,
    Reopen,
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    let offset = prop_oneof![0..SIZE, (0..SIZE / 65_536).prop_map(|n| n * 65_536)];
    let length = prop_oneof![1..5000_u64, 1..800_000_u64, Just(65_536_u64), Just(SIZE)];
    (offset, length).prop_map(|(offset, length)| (offset, length.min(SIZE - offset)))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (range(), 1..=255_u8).prop_map(|((offset, length), byte)| Step::Write { offset, length, byte }),
        4 => range().prop_map(|(offset, length)| Step::Zero { offset, length }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

fn apply(path: &Path, disk: &mut [u8], steps: &[Step]) {
    let mut sink = open_sink(path, Qcow2).unwrap();
    for step in steps {
        match *step {
            Step::Write {
                offset,
                length,
                byte,
            } => {
                let place = place(offset, length);
                // Bytes that differ from cluster to cluster and from write to write.
                let noise = (0_u32..).map(|n| byte ^ (n >> 9).to_le_bytes()[0]);
                let data: Vec<u8> = noise.take(place.len()).collect();
                sink.write_at(offset, &data).unwrap();
                disk[place].copy_from_slice(&data);
            }
            Step::Zero { offset, length } => {
                sink.zero_range(offset, length).unwrap();
                disk[place(offset, length)].fill(0);
                assert_zero(sink.as_mut(), offset, length);
            }
            Step::Flush => sink.flush().unwrap(),
            Step::Reopen => {
                sink.flush().unwrap();
                drop(sink);
                assert_sound(path);
                sink = open_sink(path, Qcow2).unwrap();
            }
        }
    }
    sink.flush().unwrap();
}

fn place(offset: u64, length: u64) -> std::ops::Range<usize> {
    usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap()
}

fn assert_zero(sink: &mut dyn BlockSink, offset: u64, length: u64) {
    let mut buffer = vec![1; usize::try_from(length).unwrap()];
    sink.read_at(offset, &mut buffer).unwrap();
    assert!(buffer.iter().all(|&byte| byte == 0));
}

/// Runs random steps on copies of an image, and returns after `judge` saw each result.
fn run(lab: &Lab, original: &Path, cases: u32, judge: impl Fn(&Path)) {
    let start = lab.expected(original);
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::with_cases(cases)
    };
    let path = lab.path("copy.qcow2");
    proptest!(config, |(steps in prop::collection::vec(step(), 1..14))| {
        fs::copy(original, &path).unwrap();
        let mut disk = start.clone();
        apply(&path, &mut disk, &steps);
        assert_sound(&path);
        prop_assert!(lab.expected(&path) == disk);
        let mut source = open_source(&path, Qcow2).unwrap();
        prop_assert!(read_all(source.as_mut()) == disk);
        drop(source);
        judge(&path);
    });
}

const STORY: [&str; 4] = [
    "write -P 1 0 300k",
    "write -P 2 2M 1M",
    "write -z 2500k 200k",
    "write -P 3 5242880 512",
];

#[test]
fn random_writes_end_as_in_memory() {
    let Some(lab) = Lab::open() else { return };
    for options in [
        "compat=0.10",
        "compat=1.1",
        "cluster_size=512,refcount_bits=64",
        "cluster_size=4k,compat=0.10",
        "cluster_size=2M",
        "refcount_bits=1",
        "refcount_bits=4,lazy_refcounts=on",
        "preallocation=metadata",
        "extended_l2=on",
    ] {
        let path = lab.create("disk.qcow2", SIZE, &["-o", options]);
        qemu_io(&path, &STORY);
        run(&lab, &path, 8, |_| {});
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn random_writes_leave_backing_files_alone() {
    let Some(lab) = Lab::open() else { return };
    for options in [
        "compat=0.10",
        "compat=1.1",
        "extended_l2=on,cluster_size=16k",
    ] {
        let base = lab.path("base.raw");
        let text = b"below ".repeat(500_000);
        fs::write(&base, &text).unwrap();
        let arguments = ["-b", "base.raw", "-F", "raw", "-o", options];
        let path = lab.create("disk.qcow2", SIZE, &arguments);
        qemu_io(&path, &STORY);
        run(&lab, &path, 10, |_| {
            assert!(fs::read(&base).unwrap() == text);
        });
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn random_writes_leave_snapshots_alone() {
    let Some(lab) = Lab::open() else { return };
    for options in [
        "compat=0.10",
        "cluster_size=4k",
        "refcount_bits=2",
        "extended_l2=on",
    ] {
        let path = lab.create("disk.qcow2", SIZE, &["-o", options]);
        qemu_io(&path, &STORY);
        let kept = lab.expected(&path);
        qemu_img(&["snapshot", "-c", "kept", path.to_str().unwrap()]);
        qemu_io(&path, &["write -P 4 2200k 300k"]);
        run(&lab, &path, 8, |path| {
            let raw = lab.path("snapshot.raw");
            let (from, to) = (path.to_str().unwrap(), raw.to_str().unwrap());
            qemu_img(&["convert", "-l", "kept", "-O", "raw", from, to]);
            assert!(fs::read(raw).unwrap() == kept);
        });
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn random_writes_replace_compressed_clusters() {
    let Some(lab) = Lab::open() else { return };
    let raw = lab.path("text.raw");
    fs::write(&raw, b"to and fro ".repeat(476_671)).unwrap();
    fs::File::options()
        .write(true)
        .open(&raw)
        .unwrap()
        .set_len(SIZE)
        .unwrap();
    for options in [
        "compression_type=zlib",
        "compression_type=zstd,cluster_size=8k",
    ] {
        let path = lab.path("disk.qcow2");
        let (from, to) = (raw.to_str().unwrap(), path.to_str().unwrap());
        qemu_img(&["convert", "-c", "-O", "qcow2", "-o", options, from, to]);
        run(&lab, &path, 8, |_| {});
        fs::remove_file(path).unwrap();
    }
}

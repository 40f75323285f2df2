//! A restore is cut off at every single write. The image must be sound each time, and each byte
//! must be one that it held since the last flush.

use std::fs;
use std::path::Path;
use std::process::Command;

use strongroom_types::VolumeFormat::Qcow2;

use super::power;
use super::qemu::{Lab, MIB, qemu_img, qemu_io, read_all};
use crate::{Result, open_sink, open_source};

const SIZE: u64 = 4 * MIB;

enum Step {
    Write(usize, usize, u8),
    Zero(usize, usize),
    Flush,
}

/// Overwrites, allocates, takes freed clusters again and ends what was shared.
const RESTORE: [Step; 8] = [
    Step::Write(0, 200_000, 0xa1),
    Step::Zero(900_000, 400_000),
    Step::Flush,
    Step::Write(2_500_000, 700_000, 0xa2),
    Step::Write(1_000_000, 1000, 0xa3),
    Step::Zero(0, 100_000),
    Step::Write(300_000, 140_000, 0xa4),
    Step::Flush,
];

/// The disk after each step, and which of these states is the last flushed one.
struct Model {
    states: Vec<Vec<u8>>,
    flushed: usize,
}

fn restore(path: &Path, model: &mut Model) -> Result<()> {
    let mut sink = open_sink(path, Qcow2)?;
    for step in RESTORE {
        let mut disk = model.states.last().unwrap().clone();
        match step {
            Step::Write(at, length, byte) => {
                disk[at..at + length].fill(byte);
                // A step that fails may have done a part of its work.
                model.states.push(disk);
                sink.write_at(at as u64, &vec![byte; length])?;
            }
            Step::Zero(at, length) => {
                disk[at..at + length].fill(0);
                model.states.push(disk);
                sink.zero_range(at as u64, length as u64)?;
            }
            Step::Flush => {
                sink.flush()?;
                model.flushed = model.states.len() - 1;
            }
        }
    }
    Ok(())
}

/// Leaks (3) may stay behind after a power cut, errors may not.
fn assert_sound_and_plausible(path: &Path, model: &Model, context: &str) {
    let check = Command::new("qemu-img")
        .arg("check")
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(
        matches!(check.status.code(), Some(0 | 3)),
        "{context}: {said}"
    );
    let disk = read_all(open_source(path, Qcow2).unwrap().as_mut());
    let states = &model.states[model.flushed..];
    let wrong = (0..disk.len()).find(|&at| states.iter().all(|state| state[at] != disk[at]));
    assert_eq!(wrong, None, "{context}");
}

fn cut_everywhere(options: &str, is_shared: bool, stride: usize) {
    let Some(lab) = Lab::open() else { return };
    let original = lab.create("original.qcow2", SIZE, &["-o", options]);
    qemu_io(&original, &["write -P 1 0 1M", "write -P 2 3M 300k"]);
    if is_shared {
        qemu_img(&["snapshot", "-c", "kept", original.to_str().unwrap()]);
    }
    let old = lab.expected(&original);
    let (path, kept) = (lab.path("disk.qcow2"), lab.path("kept.raw"));
    let mut mask = 0x9e37_79b9_u32;
    for writes in (0..).step_by(stride) {
        let mut model = Model {
            states: vec![old.clone()],
            flushed: 0,
        };
        fs::copy(&original, &path).unwrap();
        power::limit_to(writes);
        let result = restore(&path, &mut model);
        let unsynced = power::restore();
        let context = format!("{options}, cut after {writes} writes");
        assert_sound_and_plausible(&path, &model, &context);

        // Lose a part of what was not synced, then all of it.
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        for undo in unsynced.iter().rev() {
            mask = mask.rotate_left(7).wrapping_mul(0x2545_f491);
            if mask & 0x100 != 0 {
                undo.apply(&file);
            }
        }
        assert_sound_and_plausible(&path, &model, &context);
        for undo in unsynced.iter().rev() {
            undo.apply(&file);
        }
        assert_sound_and_plausible(&path, &model, &context);
        if is_shared {
            let (from, to) = (path.to_str().unwrap(), kept.to_str().unwrap());
            qemu_img(&["convert", "-l", "kept", "-O", "raw", from, to]);
            assert!(fs::read(&kept).unwrap() == old, "{context}");
        }
        if result.is_ok() {
            assert!(writes > 10);
            return;
        }
    }
}

#[test]
fn an_image_survives_a_cut_at_every_write() {
    cut_everywhere("cluster_size=64k", false, 1);
}

#[test]
fn a_shared_image_survives_a_cut_at_every_write() {
    cut_everywhere("cluster_size=32k", true, 1);
}

#[test]
fn a_growing_refcount_table_survives_a_cut_at_every_write() {
    cut_everywhere("cluster_size=512,refcount_bits=64", true, 5);
}

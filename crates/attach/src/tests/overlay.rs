//! An overlay is a disk whose first content lies below it, whatever kills it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use strongroom_nbd::{Allocation, Export, Fault, Stretch, Writable};

use crate::overlay::{Error, Overlay};

/// The last grain is a short one.
const DISK_BYTES: usize = (1 << 20) + 1000;
const GRAIN: usize = 64 << 10;
/// Where a file says which kernel wrote it (`docs/formats/overlay.md`).
const BOOT: std::ops::Range<usize> = 512..548;
/// Where its running map begins, in a page of its own.
const RUNNING: usize = 4096;

/// A disk in memory.
struct Below(Vec<u8>);

impl Export for Below {
    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }

    fn stretches(&self, _: u64, length: u64) -> Result<Vec<Stretch>, Fault> {
        let allocation = Allocation::Hole;
        Ok(vec![Stretch { length, allocation }])
    }
}

fn below() -> Arc<Below> {
    let bytes = (0..DISK_BYTES).map(|n| u8::try_from(n % 251).unwrap());
    Arc::new(Below(bytes.collect()))
}

fn open(path: &Path) -> Overlay {
    Overlay::open(path, below(), "a disk").unwrap()
}

fn content(overlay: &Overlay) -> Vec<u8> {
    let mut bytes = vec![0xee; DISK_BYTES];
    overlay.read_at(0, &mut bytes).unwrap();
    bytes
}

fn new_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlay");
    (folder, path)
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, u8),
    Zero(usize, usize),
    Flush,
    /// The process is killed and starts again.
    Kill,
    /// The host loses its power: of what was not flushed, only the running map reached the disk.
    PowerCut,
}

fn range() -> impl Strategy<Value = (usize, usize)> {
    let length = prop_oneof![
        1..3000_usize,
        1..200_000_usize,
        Just(GRAIN),
        Just(3 * GRAIN)
    ];
    let start = prop_oneof![
        0..DISK_BYTES,
        (0..DISK_BYTES / GRAIN).prop_map(|grain| grain * GRAIN)
    ];
    (start, length).prop_map(|(start, length)| (start, length.min(DISK_BYTES - start)))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (range(), 1..=255_u8).prop_map(|((start, length), byte)| Step::Write(start, length, byte)),
        2 => range().prop_map(|(start, length)| Step::Zero(start, length)),
        2 => Just(Step::Flush),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_was_answered_survives_a_kill_and_what_was_flushed_a_power_cut(steps in steps()) {
        let (_folder, path) = new_file();
        let mut overlay = open(&path);
        let mut expected = below().0.clone();
        overlay.flush().unwrap();
        let mut flushed = (expected.clone(), fs::read(&path).unwrap());
        for step in steps {
            match step {
                Step::Write(start, length, byte) => {
                    overlay.write_at(start as u64, &vec![byte; length]).unwrap();
                    expected[start..start + length].fill(byte);
                }
                Step::Zero(start, length) => {
                    overlay.zero(start as u64, length as u64).unwrap();
                    expected[start..start + length].fill(0);
                }
                Step::Flush => {
                    overlay.flush().unwrap();
                    flushed = (expected.clone(), fs::read(&path).unwrap());
                }
                Step::Kill => {
                    drop(overlay);
                    overlay = open(&path);
                }
                Step::PowerCut => {
                    drop(overlay);
                    let running = fs::read(&path).unwrap();
                    let mut kept = flushed.1.clone();
                    kept[RUNNING..RUNNING + 4096].copy_from_slice(&running[RUNNING..RUNNING + 4096]);
                    kept[BOOT].fill(b'x');
                    fs::write(&path, &kept).unwrap();
                    overlay = open(&path);
                    expected.clone_from(&flushed.0);
                }
            }
            prop_assert!(content(&overlay) == expected);
        }
    }
}

#[test]
fn writers_of_one_grain_do_not_undo_each_other() {
    let (_folder, path) = new_file();
    let overlay = open(&path);
    std::thread::scope(|scope| {
        for part in 0..16_usize {
            let overlay = &overlay;
            scope.spawn(move || {
                for grain in 0..16 {
                    let start = grain * GRAIN + part * 4096;
                    let data = vec![u8::try_from(part + 1).unwrap(); 4096];
                    overlay.write_at(start as u64, &data).unwrap();
                }
            });
        }
    });
    let content = content(&overlay);
    for (n, sector) in content[..16 * GRAIN].chunks(4096).enumerate() {
        assert!(sector.iter().all(|byte| usize::from(*byte) == n % 16 + 1));
    }
}

#[test]
fn what_is_here_is_told_as_data_and_the_rest_as_below() {
    let (_folder, path) = new_file();
    let overlay = open(&path);
    overlay.write_at(GRAIN as u64 + 5, &[1]).unwrap();
    let told = overlay.stretches(0, DISK_BYTES as u64).unwrap();
    let told: Vec<_> = told.iter().map(|s| (s.length, s.allocation)).collect();
    let (grain, rest) = (GRAIN as u64, (DISK_BYTES - 2 * GRAIN) as u64);
    let expected = [
        (grain, Allocation::Hole),
        (grain, Allocation::Data),
        (rest, Allocation::Hole),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_file_is_used_by_one_and_over_its_own_disk_only() {
    let (_folder, path) = new_file();
    let overlay = open(&path);
    let again = Overlay::open(&path, below(), "a disk");
    assert!(matches!(again, Err(Error::InUse(_))));
    drop(overlay);
    let other = Overlay::open(&path, below(), "another disk");
    assert!(matches!(other, Err(Error::OtherDisk { .. })));
    fs::write(&path, "some text of somebody").unwrap();
    let none = Overlay::open(&path, below(), "a disk");
    assert!(matches!(none, Err(Error::NotAnOverlay(_))));
    assert_eq!(fs::read(&path).unwrap(), b"some text of somebody");
}

#[test]
fn a_file_whose_making_was_cut_short_is_made_again() {
    let (_folder, path) = new_file();
    drop(open(&path));
    let mut bytes = fs::read(&path).unwrap();
    bytes[..512].fill(0);
    fs::write(&path, bytes).unwrap();
    assert!(content(&open(&path)) == below().0);
}

#[test]
fn a_grain_comes_from_below_once_and_not_at_all_if_it_is_written_whole() {
    struct Asked {
        below: Arc<Below>,
        asked: Mutex<Vec<u64>>,
    }
    impl Export for Asked {
        fn size_bytes(&self) -> u64 {
            self.below.size_bytes()
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
            self.asked.lock().unwrap().push(offset);
            self.below.read_at(offset, buffer)
        }
        fn stretches(&self, offset: u64, length: u64) -> Result<Vec<Stretch>, Fault> {
            self.below.stretches(offset, length)
        }
    }
    let disk = Arc::new(Asked {
        below: below(),
        asked: Mutex::default(),
    });
    let (_folder, path) = new_file();
    let overlay = Overlay::open(&path, disk.clone(), "a disk").unwrap();
    overlay.write_at(10, &[1; 20]).unwrap();
    overlay.write_at(40, &[2; 20]).unwrap();
    overlay.write_at(GRAIN as u64, &vec![3; GRAIN]).unwrap();
    assert_eq!(*disk.asked.lock().unwrap(), [0]);
}

//! What a restore into a qcow2 image promises beyond the right bytes.

use std::fs;
use std::os::unix::fs::MetadataExt;

use strongroom_types::VolumeFormat::Qcow2;

use super::power;
use super::qemu::{Lab, MIB, assert_sound, qemu_img, qemu_io};
use crate::{Error, Extent, open_sink, open_source};

#[test]
fn zeroed_ranges_give_their_space_back() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", 64 * MIB, &[]);
    qemu_io(&path, &["write -P 1 0 40M"]);
    let mut sink = open_sink(&path, Qcow2).unwrap();
    sink.zero_range(0, 64 * MIB).unwrap();
    sink.flush().unwrap();
    assert_eq!(sink.next_extent(0).unwrap(), Extent::hole(64 * MIB));
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < MIB);

    // Freed clusters are used again, so that the file does not grow.
    let length = fs::metadata(&path).unwrap().len();
    sink.write_at(20 * MIB, &vec![2; 30 << 20]).unwrap();
    sink.flush().unwrap();
    drop(sink);
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    assert_sound(&path);
}

#[test]
fn nothing_is_lost_or_changed_without_a_flush() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", 4 * MIB, &[]);
    qemu_io(&path, &["write -P 1 0 1M"]);
    let before = lab.expected(&path);
    let mut sink = open_sink(&path, Qcow2).unwrap();
    sink.write_at(2 * MIB, &vec![2; 1 << 20]).unwrap();
    drop(sink);
    assert_sound(&path);
    assert!(lab.expected(&path) == before);
}

#[test]
fn bitmaps_are_no_longer_vouched_for() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", 4 * MIB, &[]);
    qemu_img(&["bitmap", "--add", path.to_str().unwrap(), "dirty"]);
    assert_eq!(fs::read(&path).unwrap()[95], 1);
    let mut sink = open_sink(&path, Qcow2).unwrap();
    sink.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap()[95], 1, "nothing was changed yet");
    sink.write_at(0, &[1; 512]).unwrap();
    assert_eq!(fs::read(&path).unwrap()[95], 0);
    sink.flush().unwrap();
    drop(sink);
    // QEMU drops the bitmaps and their clusters when it repairs.
    qemu_img(&["check", "-q", "-r", "all", path.to_str().unwrap()]);
    qemu_io(&path, &["read -P 1 0 512"]);
}

#[test]
fn a_damaged_image_is_read_but_not_written() {
    let Some(lab) = Lab::open() else { return };
    for (bit, name) in [(1, "dirty"), (2, "corrupt")] {
        let path = lab.create(name, MIB, &["-o", "lazy_refcounts=on"]);
        let mut bytes = fs::read(&path).unwrap();
        bytes[79] = bit;
        fs::write(&path, bytes).unwrap();
        assert!(open_source(&path, Qcow2).is_ok());
        let refused = open_sink(&path, Qcow2).err().unwrap();
        assert!(
            matches!(&refused, Error::Unsupported { what, .. } if what.contains("qemu-img check"))
        );
    }
}

#[test]
fn data_never_overwrite_the_metadata() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", MIB, &[]);
    qemu_io(&path, &["write -P 1 0 128k"]);
    let good = fs::read(&path).unwrap();
    let l1 = usize::try_from(u64::from_be_bytes(good[40..48].try_into().unwrap())).unwrap();
    let l2 = u64::from_be_bytes(good[l1..l1 + 8].try_into().unwrap()) & 0x00ff_ffff_ffff_fe00;
    let l2 = usize::try_from(l2).unwrap();
    // The first cluster of the disk claims to lie where the L1 table lies, its own or shared.
    for flag in [0x80, 0] {
        let mut bytes = good.clone();
        bytes[l2..l2 + 8].copy_from_slice(&(l1 as u64).to_be_bytes());
        bytes[l2] |= flag;
        fs::write(&path, &bytes).unwrap();
        let mut sink = open_sink(&path, Qcow2).unwrap();
        let result = sink.write_at(0, &[7; 4096]);
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{result:?}");
        drop(sink);
        assert!(fs::read(&path).unwrap()[..bytes.len()] == bytes);
    }
}

#[test]
fn the_refcount_table_grows_with_the_file() {
    let Some(lab) = Lab::open() else { return };
    let options = ["-o", "cluster_size=512,refcount_bits=64"];
    let path = lab.create("disk.qcow2", 24 * MIB, &options);
    let mut sink = open_sink(&path, Qcow2).unwrap();
    let data: Vec<u8> = (0..24_u32 << 18).flat_map(u32::to_le_bytes).collect();
    for (place, piece) in (0..).step_by(1 << 20).zip(data.chunks(1 << 20)) {
        sink.write_at(place, piece).unwrap();
    }
    sink.flush().unwrap();
    drop(sink);
    assert_sound(&path);
    assert!(lab.expected(&path) == data);
}

#[test]
fn a_failed_write_leaves_no_leaks_behind() {
    let Some(lab) = Lab::open() else { return };
    let original = lab.create("original.qcow2", 4 * MIB, &["-o", "cluster_size=4k"]);
    let path = lab.path("disk.qcow2");
    for writes in 0..12 {
        fs::copy(&original, &path).unwrap();
        let mut sink = open_sink(&path, Qcow2).unwrap();
        power::limit_to(writes);
        let outcomes = [
            sink.write_at(100, &[1; 9000]).is_ok(),
            sink.write_at(3 * MIB, &[2; 9000]).is_ok(),
        ];
        power::restore();
        sink.flush().unwrap();
        drop(sink);
        assert_sound(&path);
        let disk = lab.expected(&path);
        assert!(!outcomes[0] || disk[100..9100] == [1; 9000]);
        assert!(!outcomes[1] || disk[3 << 20..][..9000] == [2; 9000]);
    }
}

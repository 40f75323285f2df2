//! New images, which QEMU's tools have to find sound.

use std::fs;

use strongroom_types::VolumeFormat::Qcow2;

use super::qemu::{Lab, MIB, assert_sound, qemu_io, read_all};
use crate::{Error, create_qcow2, open_sink, open_source, probe};

#[test]
fn a_new_image_is_all_zero_and_takes_what_is_written() {
    let Some(lab) = Lab::open() else { return };
    for size in [512, 4 * MIB, 700 * MIB + 512, 3 << 40] {
        let path = lab.path(&format!("{size}.qcow2"));
        create_qcow2(&path, size).unwrap();
        assert_sound(&path);
        let info = probe(&path).unwrap();
        assert_eq!((info.format, info.size_bytes), (Qcow2, size));
        assert!(info.allocated_bytes < 4 * MIB);
        let mut sink = open_sink(&path, Qcow2).unwrap();
        sink.write_at(size - 512, &[7; 512]).unwrap();
        sink.flush().unwrap();
        drop(sink);
        assert_sound(&path);
        qemu_io(&path, &[&format!("read -P 7 {} 512", size - 512)]);
    }
    let mut source = open_source(&lab.path("4194304.qcow2"), Qcow2).unwrap();
    let disk = read_all(&mut *source);
    assert!(disk[..disk.len() - 512].iter().all(|byte| *byte == 0));
}

#[test]
fn one_that_was_begun_is_completed_and_one_that_is_there_stays() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.path("disk.qcow2");
    create_qcow2(&path, 4 * MIB).unwrap();
    let whole = fs::read(&path).unwrap();
    // The process was killed before the header.
    for length in [0, 100, whole.len()] {
        let mut begun = whole[..length].to_vec();
        let header = length.min(4096);
        begun[..header].fill(0);
        fs::write(&path, begun).unwrap();
        create_qcow2(&path, 4 * MIB).unwrap();
        assert!(fs::read(&path).unwrap() == whole);
    }
    qemu_io(&path, &["write -P 9 0 1M"]);
    let written = fs::read(&path).unwrap();
    create_qcow2(&path, 4 * MIB).unwrap();
    assert!(fs::read(&path).unwrap() == written);

    let foreign = lab.path("foreign.raw");
    fs::write(&foreign, vec![1; 8 << 20]).unwrap();
    let refused = create_qcow2(&foreign, 4 * MIB).unwrap_err();
    assert!(matches!(refused, Error::Exists { .. }), "{refused}");
}

//! The reader of qcow2 images, which are written by others.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use strongroom_types::VolumeFormat;

/// A crooked image may claim to be of any size: look at so many of its stretches.
const STRETCHES: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm").expect("shared memory holds files");
    file.write_all(bytes).expect("shared memory has room");
    let Ok(mut image) = strongroom_block::open_source(file.path(), VolumeFormat::Qcow2) else {
        return;
    };
    let mut offset = 0;
    let mut buffer = [0; 4096];
    for _ in 0..STRETCHES {
        match image.next_extent(offset) {
            Ok(extent) if extent.length > 0 => {
                let length = extent.length.min(buffer.len() as u64) as usize;
                let _ = image.read_at(offset, &mut buffer[..length]);
                offset += extent.length;
            }
            _ => break,
        }
    }
    if let Ok((source, Ok(marks))) = strongroom_block::open_marked(file.path(), "b") {
        let mut offset = 0;
        for _ in 0..STRETCHES {
            if offset >= source.size_bytes() {
                break;
            }
            offset += marks.at(offset).1;
        }
    }
});

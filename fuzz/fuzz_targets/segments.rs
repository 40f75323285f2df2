//! Index segments as they are opened and asked.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| strongroom_index::fuzzing::open_segments(bytes));

//! Header, trailer, pack directory, node, index segment, sealed objects, frames.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| strongroom_chunk::fuzzing::decode_all(bytes));

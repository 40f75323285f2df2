//! Config, keyring, the JSON of a point.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| strongroom_repo::fuzzing::decode_all(bytes));

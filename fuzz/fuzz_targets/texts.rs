//! Config, keyring, key file, and the JSON of points, sessions, their ends and condemned lists.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| strongroom_repo::fuzzing::decode_all(bytes));

//! Both ends of NBD, which hear what others say.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| strongroom_nbd::fuzzing::hear(bytes));

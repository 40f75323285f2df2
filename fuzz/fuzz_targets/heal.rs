//! Packs with parity: what heals is what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| strongroom_chunk::fuzzing::heal_damaged(bytes));

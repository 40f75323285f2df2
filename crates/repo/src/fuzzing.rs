//! Every decoder of this crate, for the fuzzer and the tests: any bytes, no panic, no great memory.

use strongroom_chunk::{Key, checksum};

use crate::Secret;
use crate::config::Config;
use crate::keyring::Keyring;
use crate::points::StoredPoint;
use crate::secret::Argon2Cost;
use crate::sessions::decode_records;

/// Decodes `bytes` as everything that they could be.
pub fn decode_all(bytes: &[u8]) {
    text_objects(bytes);
    // With a right checksum, so that what lies behind it is reached.
    let line: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| *byte != b'\n')
        .collect();
    let sum = hex::encode(checksum(&line));
    text_objects(&[&line, b"\n".as_slice(), sum.as_bytes(), b"\n"].concat());
    if let Ok(point) = serde_json::from_slice::<StoredPoint>(bytes) {
        // What it says is of no interest here, only that the decoder ends.
        let _ = point.root();
    }
    decode_records(bytes);
    key_file(bytes);
}

/// As it comes, and behind the line that every key file begins with.
fn key_file(bytes: &[u8]) {
    for content in [
        bytes.to_vec(),
        [b"strongroom key file 1\n".as_slice(), bytes].concat(),
    ] {
        let secret = Secret::KeyFile(content);
        let _ = secret.wrapping_key(&[0; 32], Argon2Cost::NEW);
    }
}

fn text_objects(bytes: &[u8]) {
    if let Ok(config) = Config::decode(bytes) {
        let _ = config.options();
        if let Some(ring) = config.keyring() {
            let _ = ring.unwrap(&Key([1; 32]));
        }
    }
    if let Ok(ring) = Keyring::decode(bytes, "keyring") {
        let _ = ring.unwrap(&Key([1; 32]));
    }
}

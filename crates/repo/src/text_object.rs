//! Objects that must be readable before any key is known: one line of JSON, then the BLAKE3 of that line in hex.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strongroom_chunk::checksum;

use crate::{Error, Result};

/// Which kind of text an object is, and up to which version this program understands it.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) version: u16,
}

/// Only what every version has, so that a newer one is told from a damaged one.
#[derive(Deserialize)]
struct AnyVersion {
    format: String,
    version: u16,
}

pub(crate) fn encode(content: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string(content).expect("the objects of this crate have string keys");
    let sum = hex::encode(checksum(json.as_bytes()));
    format!("{json}\n{sum}\n").into_bytes()
}

/// The content of the object called `object`.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    object: &str,
    format: &Format,
) -> Result<T> {
    let corrupt = |detail: &str| Error::Corrupt {
        object: object.to_owned(),
        detail: detail.to_owned(),
    };
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt("not text"))?;
    let (json, sum) = text.split_once('\n').ok_or(corrupt("cut short"))?;
    // To the last byte: a verification must notice any change.
    if sum != format!("{}\n", hex::encode(checksum(json.as_bytes()))) {
        return Err(corrupt("the checksum does not match"));
    }
    let not_ours = || corrupt(&format!("it is no {}", format.name));
    let any: AnyVersion = serde_json::from_str(json).map_err(|_| not_ours())?;
    if any.format != format.name {
        return Err(not_ours());
    }
    if any.version > format.version {
        return Err(Error::NewerVersion {
            object: object.to_owned(),
            version: any.version,
        });
    }
    serde_json::from_str(json).map_err(|_| corrupt("a field is missing"))
}

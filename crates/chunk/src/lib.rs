//! Chunking, hashing, compressing, sealing; pack, node and index encodings.

mod error;
mod profile;

pub use error::{Error, Result};
pub use profile::{BLOCK_BYTES, Profile};

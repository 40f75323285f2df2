//! Chunking, hashing, compressing, sealing; pack, node and index encodings.
//!
//! Pure functions over bytes: no file, no clock, no runtime. `docs/formats` describes every byte that is
//! written here. Decoders take any input without panicking and check lengths before they allocate.

mod bytes_io;
mod chunker;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hasher;
mod header;
mod ids;
mod keys;
mod node;
mod pack;
mod parity;
mod profile;
mod seal;
mod sealed;
mod segment;
mod trailer;

pub use chunker::{Chunker, Piece, is_zero};
pub use error::{Error, Result};
pub use frame::{Codec, FRAME_BYTES_MAX, FrameCompressor, FrameDecompressor};
pub use hasher::BodyChecker;
pub use header::{HEADER_BYTES, Header, Kind};
pub use ids::{ContentId, ObjectId, Place, Prefix};
pub use keys::{Key, Keys};
pub use node::{Child, FAN_OUT, LeafEntry, Node, SPAN_BYTES, node_bytes, root_level};
pub use pack::{
    ChunkEntry, Directory, FinishedPack, FrameEntry, PackBuilder, open_directory,
    open_directory_section, open_frame, unseal_frame,
};
pub use parity::heal;
pub use profile::{BLOCK_BYTES, Profile};
pub use seal::SealKey;
pub use sealed::{checksum, open_object, scrub_object, seal_object};
pub use segment::{
    IndexEntry, IndexedPack, Lookup, Outline, Probe, Search, Segment, SegmentEncoder,
};
pub use trailer::{FOOTER_BYTES, HASH_BLOCK_BYTES, SectionKind, Trailer};

#[cfg(test)]
mod tests;

//! QEMU's qcow2 format, versions 2 and 3, read and written in place.
//!
//! A disk is cut into clusters. A two-level table (L1, L2) says where each of them lies; another one
//! (refcount table, refcount blocks) counts how often each cluster of the file is referred to.
//! Numbers are big-endian.

mod backing;
mod bitmaps;
mod commit;
mod compression;
mod counts;
mod create;
mod entry;
mod header;
mod image;
mod layout;
mod refcounts;
mod tables;
mod writer;
mod zero;

pub(crate) use backing::Chain;
pub use bitmaps::{Known, Marks, open_marked};
pub use create::create_qcow2;
pub(crate) use header::Header;
pub(crate) use image::Image;
pub use layout::{CLUSTER, DataClusters, Qcow2Layout};
pub(crate) use writer::Writer;

/// A number that earlier checks bound to the size of a table or of a cluster.
fn small(number: u64) -> usize {
    usize::try_from(number).expect("tables and clusters are 32 MiB at most")
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    let field = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_be_bytes(field)
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    let field = bytes[at..at + 8].try_into().expect("eight bytes");
    u64::from_be_bytes(field)
}

/// A table of big-endian words, as it lies in the file.
fn words_from_bytes(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| be64(word, 0)).collect()
}

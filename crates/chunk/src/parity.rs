//! Parity inside a pack: a hole of 64 KiB anywhere in it, or what a few bad sectors took, is computed anew.
//!
//! Everything before the parity (header, frames, directory) is protected. It is laid out in blocks, blocks in
//! columns, and over the blocks of each column of a group stand one or two parity blocks. A record in front of the
//! parity and another behind it say how, and hold a hash of each block, which tells the lost ones.

mod encoder;
mod field;
mod heal;
mod record;
mod shape;

pub(crate) use encoder::Encoder;
pub use heal::heal;
pub(crate) use record::Record;
pub(crate) use shape::{Layout, SHAPE_LARGE, Shape};

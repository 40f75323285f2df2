//! The storage engine: write, read and verify points over an object store.

mod adopt;
mod cache;
mod config;
mod engine;
mod error;
mod index;
mod layout;
mod local;
mod occupied;
mod packs;
mod point;
mod points;
mod reader;
mod report;
mod repository;
mod secret;
mod segments;
mod store;
mod verify;
mod writer;

pub use error::{Error, Result, Source};
pub use local::{Create, open_local};
pub use point::{Commit, NewPoint, Point, PointId};
pub use reader::{Content, PointReader, Segment};
pub use report::{Damage, Hit, VerifyDepth, VerifyProgress, VerifyReport};
pub use repository::{Env, Options, Repository};
pub use secret::{Secret, generate_key_file};
pub use strongroom_chunk::Profile;
pub use writer::PointWriter;

#[cfg(test)]
mod tests;

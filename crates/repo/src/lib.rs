//! The storage engine: write, read and verify points over an object store.

mod error;
mod local;
mod point;
mod repository;
mod secret;
mod verify;

pub use error::{Error, Result, Source};
pub use local::{Create, open_local};
pub use point::{Commit, NewPoint, Point, PointId};
pub use repository::{Content, Env, Options, PointReader, PointWriter, Repository, Segment};
pub use secret::{Secret, generate_key_file};
pub use strongroom_chunk::Profile;
pub use verify::{Damage, Hit, VerifyDepth, VerifyProgress, VerifyReport};

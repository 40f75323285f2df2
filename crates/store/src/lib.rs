//! Where a repository's objects lie: a folder, memory, or a bucket.
//!
//! A [`Place`] is what a user writes, a [`Storage`] the open place. Whatever it is, an object that was written is
//! durable when the call returns, one that was deleted does not come back, and of several writers who create one
//! name exactly one succeeds.

mod error;
mod fault;
mod local;
mod place;
mod probe;
mod requests;
mod s3;
mod storage;

pub use error::{Error, Result, Source};
pub use fault::{Fault, fault_of, fault_of_io};
pub use local::{Create, Swept, open_local};
pub use place::Place;
pub use requests::RequestCounts;
pub use s3::{Limits, S3Access, S3Server, open_s3};
pub use storage::{Storage, StorageKind};

#[cfg(test)]
mod tests;

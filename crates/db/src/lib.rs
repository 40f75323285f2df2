//! Every line of SQL, for SQLite and PostgreSQL alike.
//!
//! [`Db::begin`] opens a [`Tx`]; all queries are methods of `Tx`, one file per resource. Each method holds one
//! SQL text that both databases run; what differs is in `dialect.rs`. While a `Tx` is open, nothing but the
//! database may be awaited: on SQLite it holds the only writer.

mod connect;
mod dialect;
mod error;
mod jobs;
mod json_text;
mod tx;

pub use connect::Db;
pub use error::{Error, Result};
pub use jobs::{Job, JobCount, Lease, NewJob};
pub use json_text::JsonText;
pub use tx::Tx;

#[cfg(test)]
mod tests;

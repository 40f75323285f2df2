//! Fixtures that several crates' tests share: databases of both kinds, a clock that tests move, known ids.

mod database;
mod mock;

pub use database::{TestDatabase, test_databases};
pub use mock::{MockClock, SeededIds};

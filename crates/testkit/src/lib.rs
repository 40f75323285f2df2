//! Fixtures that several crates' tests share: databases of both kinds, a store that fails, a clock that
//! tests move, known ids.

mod aging_store;
mod database;
mod failing_store;
mod mock;

pub use aging_store::AgingStore;
pub use database::{TestDatabase, test_databases};
pub use failing_store::{FailingStore, Fault};
pub use mock::{MockClock, SeededIds};

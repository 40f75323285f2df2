//! Fixtures that several crates' tests share: databases of both kinds, a store and a proxy that fail, an S3
//! server, a clock that tests move, known ids.

mod aging_store;
mod counting_store;
mod database;
mod failing_store;
mod fault_proxy;
mod mock;
mod seaweedfs;

pub use aging_store::AgingStore;
pub use counting_store::{Call, CountingStore};
pub use database::{TestDatabase, test_databases};
pub use failing_store::{FailingStore, Fault};
pub use fault_proxy::{FaultProxy, ProxyFault};
pub use mock::{MockClock, SeededIds};
pub use seaweedfs::{SeaweedFs, Shape, s3_server};

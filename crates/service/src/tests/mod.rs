//! The rules at the service's boundary, on SQLite and on PostgreSQL. Jobs are played by calling what they report.

mod attachments;
mod auto_bind;
mod backups;
mod checkpoints;
mod concurrency;
mod contents;
mod imports;
mod inventory;
mod lists;
mod live_servers;
mod locks;
mod migrations;
mod new_servers;
mod notices;
mod orders;
mod organization_policies;
mod policies;
mod policy_options;
mod progress;
mod proofs;
mod protectables;
mod recovered_policies;
mod recovery;
mod removal;
mod replica_retention;
mod replications;
mod resources;
mod restores;
mod retention;
mod schedules;
mod sharing;
mod state;
mod vaults;
mod world;
mod year;

use std::future::Future;

use strongroom_db::Db;
use strongroom_testkit::test_databases;

pub(crate) use world::World;

/// Runs one case in a fresh installation on a database of each kind.
async fn on_each_database<F: Future<Output = ()>>(case: impl Fn(World) -> F) {
    for database in test_databases().await {
        eprintln!("on {}", database.kind);
        let db = Db::open(&database.address).await.unwrap();
        case(World::new(db.clone()).await).await;
        db.close().await;
    }
}

/// Asserts that an answer is a refusal of one kind.
macro_rules! refused {
    ($answer:expr, $pattern:pat $(if $guard:expr)?) => {
        match $answer {
            Err($pattern) $(if $guard)? => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(crate) use refused;

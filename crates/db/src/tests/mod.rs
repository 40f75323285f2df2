//! Every case runs on SQLite and on PostgreSQL.

mod connections;
mod identity;
mod jobs;
mod lists;
mod plans;
mod policies;
mod protection;
mod schema;

use std::future::Future;

use strongroom_testkit::test_databases;

use crate::Db;

/// Runs one case on a fresh database of each kind.
pub(crate) async fn on_each_database<F: Future<Output = ()>>(case: impl Fn(Db) -> F) {
    for database in test_databases().await {
        eprintln!("on {}", database.kind);
        let db = Db::open(&database.address).await.unwrap();
        case(db.clone()).await;
        db.close().await;
    }
}

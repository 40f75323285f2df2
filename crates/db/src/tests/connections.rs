use std::time::Duration;

use sqlx::{query, query_as};
use strongroom_testkit::test_databases;

use super::on_each_database;
use crate::Db;
use crate::tx::{Dialect, on};

/// SQLite does so by itself when its disk is full or fails, and the driver does not notice.
#[tokio::test]
async fn a_transaction_that_the_database_ended_by_itself_spoils_no_later_one() {
    on_each_database(|db| async move {
        for _ in 0..3 {
            for mut tx in [db.begin().await.unwrap(), db.read().await.unwrap()] {
                on!(&mut tx, connection => query("ROLLBACK").execute(connection).await.map(drop))
                    .unwrap();
            }
        }
        for tx in [db.begin().await.unwrap(), db.read().await.unwrap()] {
            tx.commit().await.unwrap();
        }
    })
    .await;
}

/// Clients hang up and jobs end while a transaction is beginning.
#[tokio::test]
async fn a_beginning_that_is_given_up_leaves_no_transaction_open() {
    for database in test_databases().await {
        let db = Db::open(&database.address).await.unwrap();
        let witness = Db::open(&database.address).await.unwrap();
        for step in 0..100 {
            let patience = Duration::from_micros(20 * step);
            drop(tokio::time::timeout(patience, db.begin()).await);
            let none_left = async {
                while open_transactions(&witness).await > 0 {
                    tokio::task::yield_now().await;
                }
            };
            let patience = Duration::from_secs(5);
            tokio::time::timeout(patience, none_left).await.unwrap();
        }
        db.close().await;
        witness.close().await;
    }
}

/// Of other connections, which SQLite cannot tell.
async fn open_transactions(db: &Db) -> i64 {
    const SQL: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";
    let mut tx = db.begin().await.unwrap();
    if tx.dialect() == Dialect::Sqlite {
        return 0;
    }
    let counted = on!(&mut tx, c => query_as::<_, (i64,)>(SQL).fetch_one(c).await);
    tx.commit().await.unwrap();
    counted.unwrap().0
}

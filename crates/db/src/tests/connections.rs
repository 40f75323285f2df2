use sqlx::query;

use super::on_each_database;
use crate::tx::on;

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

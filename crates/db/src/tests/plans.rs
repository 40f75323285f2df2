//! Plans of the long lists on SQLite, which knows nothing of how large a table is: each must be right by its indexes alone.

use strongroom_testkit::SeededIds;
use strongroom_types::{OperationStatus, ResourceId, VaultId};

use super::on_each_database;
use crate::backup_lists::matching_backups;
use crate::conditions::Matching;
use crate::operation_logs::matching_logs;
use crate::page::NEWEST;
use crate::retention::{BACKUPS_OF_POLICY, COPIES_BY_POLICY};
use crate::tx::{Dialect, on};
use crate::vaults::matching_vaults;
use crate::{BackupFilter, OperationLogFilter, Tx, VaultFilter};

/// What the database would do for the page after a marker and for the count, a line for each step.
async fn plans(tx: &mut Tx, matching: &Matching) -> [String; 2] {
    let matching = &matching.sql;
    let page = format!(
        "SELECT * {matching} AND (created_at, id) < ($98, $99) ORDER BY {NEWEST} LIMIT 100"
    );
    let count = format!("SELECT COUNT(*) {matching}");
    let mut plans = [String::new(), String::new()];
    for (plan, sql) in plans.iter_mut().zip([page, count]) {
        *plan = steps(tx, &sql).await;
    }
    plans
}

async fn steps(tx: &mut Tx, sql: &str) -> String {
    let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps = on!(tx, c => sqlx::query_as::<_, (i64, i64, i64, String)>(sql).fetch_all(c).await);
    let steps = steps.unwrap().into_iter().map(|(_, _, _, step)| step);
    steps.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_flat([page, count]: &[String; 2], index: &str) {
    assert!(
        page.contains(index) && page.contains("(created_at,id)<(?,?)"),
        "{page}"
    );
    assert!(!page.contains("TEMP B-TREE"), "{page}");
    assert!(count.contains("COVERING INDEX"), "{count}");
}

#[tokio::test]
async fn lists_of_a_project_sort_nothing_and_count_in_an_index() {
    on_each_database(|db| async move {
        let mut tx = db.read().await.unwrap();
        if tx.dialect() != Dialect::Sqlite {
            return;
        }
        let dialect = Dialect::Sqlite;
        let vaults = matching_vaults(&VaultFilter::default(), dialect);
        assert_flat(&plans(&mut tx, &vaults).await, "vault_listed");
        let backups = matching_backups(&BackupFilter::default(), dialect);
        assert_flat(&plans(&mut tx, &backups).await, "backup_listed");
        let logs = matching_logs(&OperationLogFilter::default(), dialect);
        assert_flat(&plans(&mut tx, &logs).await, "operation_log_listed");
        let failed = OperationLogFilter {
            statuses: vec![OperationStatus::Failed],
            ..OperationLogFilter::default()
        };
        let failed = matching_logs(&failed, dialect);
        assert_flat(&plans(&mut tx, &failed).await, "operation_log_of_status");
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_a_vault_or_a_resource_is_found_without_reading_the_project() {
    on_each_database(|db| async move {
        let mut tx = db.read().await.unwrap();
        if tx.dialect() != Dialect::Sqlite {
            return;
        }
        let ids = SeededIds::default();
        let vault_id = Some(VaultId::random(&ids));
        let resource_id = Some(ResourceId::random(&ids));
        let of_vault = BackupFilter {
            vault_id: vault_id.clone(),
            ..BackupFilter::default()
        };
        let of_resource = BackupFilter {
            resource_id: resource_id.clone(),
            ..BackupFilter::default()
        };
        let logs_of_vault = OperationLogFilter {
            vault_id,
            ..OperationLogFilter::default()
        };
        let logs_of_resource = OperationLogFilter {
            resource_id,
            ..OperationLogFilter::default()
        };
        for (matching, index) in [
            (matching_backups(&of_vault, Dialect::Sqlite), "(vault_id=?"),
            (
                matching_backups(&of_resource, Dialect::Sqlite),
                "(resource_id=?",
            ),
            (
                matching_logs(&logs_of_vault, Dialect::Sqlite),
                "operation_log_of_vault (vault_id=?",
            ),
            (
                matching_logs(&logs_of_resource, Dialect::Sqlite),
                "operation_log_of_resource (resource_id=?",
            ),
        ] {
            for plan in plans(&mut tx, &matching).await {
                assert!(plan.contains(index), "{plan}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn retention_reads_what_one_policy_made_and_sorts_nothing() {
    on_each_database(|db| async move {
        let mut tx = db.read().await.unwrap();
        if tx.dialect() != Dialect::Sqlite {
            return;
        }
        for (sql, index) in [
            (BACKUPS_OF_POLICY, "backup_by_policy"),
            (COPIES_BY_POLICY, "backup_of_far_policy"),
        ] {
            let steps = steps(&mut tx, sql).await;
            assert!(
                steps.contains(index) && !steps.contains("TEMP B-TREE"),
                "{steps}"
            );
        }
    })
    .await;
}

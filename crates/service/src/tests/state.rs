//! The whole state of a project as text, for tests that compare it.

use std::fmt::Write as _;

use strongroom_db::{Backup, BackupFilter, OperationLog, OperationLogFilter, Tx, VaultFilter};
use strongroom_types::mib_ceil;

use super::World;
use crate::vaults;

impl World {
    /// One line per object, without ids and times: vaults with their resources and backups (oldest first), then
    /// operation logs and open jobs.
    pub(super) async fn state(&self) -> String {
        let mut text = String::new();
        let (filter, page) = (VaultFilter::default(), Self::everything());
        let listed = vaults::list(&self.app, &self.caller, &self.project, &filter, &page).await;
        let mut tx = self.app.db.read().await.unwrap();
        for view in listed.unwrap().0.into_iter().rev() {
            let (vault, used) = (&view.vault, mib_ceil(view.vault.used_bytes));
            let (name, status, size) = (&vault.name, vault.status, vault.size_gb);
            writeln!(text, "vault {name} {status} {used} MB of {size} GB").unwrap();
            for r in &view.resources {
                let (size, used) = (r.size_gb, mib_ceil(r.backup_bytes));
                let (name, status, count) = (&r.name, r.protect_status, r.backup_count);
                writeln!(
                    text,
                    "  {name} {status} {size} GB, {count} backups, {used} MB"
                )
                .unwrap();
            }
            let filter = BackupFilter {
                vault_id: Some(vault.id.clone()),
                ..BackupFilter::default()
            };
            let listed = tx
                .list_backups(&self.project, &filter, &[], &page)
                .await
                .unwrap();
            for backup in listed.rows.into_iter().rev() {
                text.push_str(&backup_line(&mut tx, &backup).await);
            }
        }
        let filter = OperationLogFilter::default();
        let listed = tx
            .list_operation_logs(&self.project, &filter, &page)
            .await
            .unwrap();
        for log in listed.rows.into_iter().rev() {
            text.push_str(&log_line(&log));
        }
        for job in tx.list_open_jobs().await.unwrap() {
            writeln!(text, "job {} {}", job.kind, job.state).unwrap();
        }
        text
    }
}

async fn backup_line(tx: &mut Tx, backup: &Backup) -> String {
    let checkpoint = tx
        .find_checkpoint(&backup.checkpoint_id)
        .await
        .unwrap()
        .unwrap();
    let how = if backup.incremental {
        "incremental"
    } else {
        "full"
    };
    let (name, resource, status) = (&backup.name, &backup.resource_name, backup.status);
    let mut line = format!(
        "  backup {name} of {resource} {status} {how}, checkpoint {}",
        checkpoint.status
    );
    for child in tx.children_of_backup(&backup.id).await.unwrap() {
        write!(line, "; {} {}", child.resource_name, child.status).unwrap();
    }
    line.push('\n');
    line
}

fn log_line(log: &OperationLog) -> String {
    let name = log.resource_name.as_deref().unwrap_or_default();
    let mut line = format!(
        "{} {name} {} {}%",
        log.operation_type, log.status, log.progress
    );
    if let Some(trouble) = log.trouble {
        write!(line, " {trouble}: {}", log.error_message).unwrap();
    }
    line.push('\n');
    line
}

/// Compares states without the indentation of the source.
#[track_caller]
pub(super) fn assert_state(actual: &str, expected: &str) {
    let lines = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(lines(actual), lines(expected));
}

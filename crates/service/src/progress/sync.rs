use std::collections::BTreeSet;

use strongroom_db::{Backup, Lease, OperationExtra, Tx, Vault, WantedBackup};
use strongroom_types::{BackupId, BackupStatus, OperationLogId};

use super::{Failure, VaultUsage};
use crate::recovery::{self, FoundBackup, Listing};
use crate::{App, Error, backups};

#[derive(Debug, Clone)]
pub struct SyncWork {
    pub vault: Vault,
    pub operation_log_id: OperationLogId,
    /// The one backup to list; absent when the whole vault is compared.
    pub wanted: Option<WantedBackup>,
}

/// How many backups were listed, forgotten, and could not be dealt with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncCounts {
    pub listed: u64,
    pub forgotten: u64,
    pub failed: u64,
}

pub async fn start_sync(app: &App, lease: &Lease) -> Result<SyncWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    let operation_log_id = super::log_of(&job)?.clone();
    let log = super::get_log(&mut tx, &operation_log_id).await?;
    let OperationExtra::Sync { wanted, .. } = log.extra.0 else {
        return Err(Error::broken(format!("operation {} is no sync", log.id)));
    };
    let vault = match &log.vault_id {
        Some(vault_id) => tx.find_vault(vault_id).await?,
        None => None,
    };
    let Some(vault) = vault else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    tx.start_operation_log(&operation_log_id, now).await?;
    tx.commit().await?;
    Ok(SyncWork {
        vault,
        operation_log_id,
        wanted,
    })
}

/// Lists one backup that was found in the vault's storage unit, under another name if one is wanted.
pub async fn list_found(
    app: &App,
    lease: &Lease,
    work: &SyncWork,
    found: &FoundBackup,
) -> Result<Listing, Error> {
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let vault = super::lock_vault(&mut tx, &work.vault.id).await?;
    let listing = recovery::list(app, &mut tx, &vault, found).await?;
    if let (Some(wanted), Listing::Listed) = (&work.wanted, listing) {
        tx.rename_backup(&found.id, &wanted.backup_name, app.now())
            .await?;
    }
    tx.commit().await?;
    Ok(listing)
}

/// Takes those backups off the vault's list that are not among the ones `found`. One that is being restored is attached or copied out stays.
pub async fn forget_gone(
    app: &App,
    lease: &Lease,
    work: &SyncWork,
    found: &BTreeSet<BackupId>,
) -> Result<SyncCounts, Error> {
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    super::lock_vault(&mut tx, &work.vault.id).await?;
    let rows = tx.backups_of_vault(&work.vault.id, None).await?;
    let mut counts = SyncCounts::default();
    for top in rows.iter().filter(|row| row.parent_id.is_none()) {
        if found.contains(&top.id) || top.status.is_deleting() {
            continue;
        }
        let id = Some(&top.id);
        let in_use = backups::in_use_outside(app, &mut tx, &work.vault, None, id).await?;
        if is_idle(top, &rows) && in_use.is_none() {
            forget(&mut tx, top).await?;
            counts.forgotten += 1;
        } else {
            counts.failed += 1;
        }
    }
    tx.commit().await?;
    Ok(counts)
}

fn is_idle(top: &Backup, rows: &[Backup]) -> bool {
    let of_it = rows
        .iter()
        .filter(|row| row.id == top.id || row.parent_id.as_ref() == Some(&top.id));
    let mut statuses = of_it.map(|row| row.status);
    statuses.all(|status| matches!(status, BackupStatus::Available | BackupStatus::Error))
}

async fn forget(tx: &mut Tx, top: &Backup) -> Result<(), Error> {
    tx.delete_backup(&top.id).await?;
    backups::refresh_checkpoint(tx, &top.checkpoint_id).await
}

/// Publishes how it went; with a `failure` when the one backup that was wanted is not listed.
pub async fn finish_sync(
    app: &App,
    lease: &Lease,
    work: &SyncWork,
    counts: SyncCounts,
    failure: Option<&Failure>,
    usage: VaultUsage,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::finish(&mut tx, lease, now).await?;
    let Some(mut vault) = tx.lock_vault(&work.vault.id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    super::publish_usage(app, &mut tx, &mut vault, &usage, now).await?;
    let extra = extra(counts, work.wanted.clone());
    super::end_log(&mut tx, &work.operation_log_id, failure, extra, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends a synchronisation that could not read the storage unit.
pub async fn fail_sync(app: &App, lease: &Lease, failure: Failure) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    tx.fail_job(lease, &failure.message, now).await?;
    let log = super::log_of(&job)?;
    let extra = super::get_log(&mut tx, log).await?.extra.0;
    super::end_log(&mut tx, log, Some(&failure), extra, now).await?;
    tx.commit().await?;
    Ok(())
}

fn extra(counts: SyncCounts, wanted: Option<WantedBackup>) -> OperationExtra {
    OperationExtra::Sync {
        sync_backup_num: counts.listed,
        delete_backup_num: counts.forgotten,
        err_sync_backup_num: counts.failed,
        wanted,
    }
}

//! The move of a resource to another vault.

use std::collections::BTreeMap;

use strongroom_db::{Backup, Checkpoint, JsonText, Lease, OperationExtra, Tx, Vault};
use strongroom_types::{
    CheckpointId, OperationLogId, ProtectStatus, ResourceId, Timestamp, Trouble, VaultId,
};

use super::{Failure, VaultUsage};
use crate::{App, Error, migrations};

#[derive(Debug, Clone)]
pub struct MigrationWork {
    pub source: Vault,
    pub destination_id: VaultId,
    pub resource_id: ResourceId,
    pub operation_log_id: OperationLogId,
}

/// What both vaults take once the resource has moved.
#[derive(Debug, Clone, Default)]
pub struct MigrationUsage {
    pub source: VaultUsage,
    pub destination: VaultUsage,
}

/// What the operation log knows of the move.
struct Move {
    source: VaultId,
    destination: VaultId,
    resource_id: ResourceId,
    extra: OperationExtra,
    was: ProtectStatus,
}

/// The subject of the job is its operation log.
pub async fn start_migration(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
) -> Result<MigrationWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let it = read_move(&mut tx, operation_log_id).await?;
    let Some(source) = tx.find_vault(&it.source).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    if !is_migrating(&mut tx, &it).await? {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    }
    tx.start_operation_log(operation_log_id, now).await?;
    tx.commit().await?;
    Ok(MigrationWork {
        source,
        destination_id: it.destination,
        resource_id: it.resource_id,
        operation_log_id: operation_log_id.clone(),
    })
}

async fn read_move(tx: &mut Tx, log: &OperationLogId) -> Result<Move, Error> {
    let row = super::get_log(tx, log).await?;
    let extra = row.extra.0.clone();
    match (row.vault_id, row.resource_id, row.extra.0) {
        (
            Some(source),
            Some(resource_id),
            OperationExtra::MigrateResource {
                destination_vault_id,
                was,
                ..
            },
        ) => Ok(Move {
            source,
            destination: destination_vault_id,
            resource_id,
            extra,
            was,
        }),
        _ => Err(Error::broken(format!("operation log {log} moves nothing"))),
    }
}

async fn is_migrating(tx: &mut Tx, it: &Move) -> Result<bool, Error> {
    let row = tx.find_vault_resource(&it.resource_id).await?;
    Ok(row.is_some_and(|row| {
        row.vault_id == it.source && row.protect_status == ProtectStatus::Migrating
    }))
}

/// The resource, its backups and their checkpoints change the vault, and both vaults' uses with them. A destination
/// that does not take them any more ends the operation as failed, and everything stays where it is.
pub async fn finish_migration(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    usage: MigrationUsage,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::finish(&mut tx, lease, now).await?;
    let it = read_move(&mut tx, operation_log_id).await?;
    let (source, destination) = migrations::lock_both(&mut tx, &it.source, &it.destination).await?;
    let Some(mut source) = source else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    if !is_migrating(&mut tx, &it).await? {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    }
    let mut destination = match check(&source, destination, &usage) {
        Ok(destination) => destination,
        Err(failure) => {
            give_up(&mut tx, operation_log_id, &it, &failure, now).await?;
            tx.commit().await?;
            return Ok(());
        }
    };
    move_backups(app, &mut tx, &it).await?;
    tx.move_resource_to_vault(&it.resource_id, &it.source, &it.destination, it.was)
        .await?;
    super::publish_usage(app, &mut tx, &mut source, &usage.source, now).await?;
    super::publish_usage(app, &mut tx, &mut destination, &usage.destination, now).await?;
    tx.update_vault_resource_usage(&it.resource_id, usage.destination.resource_bytes)
        .await?;
    super::end_log(&mut tx, operation_log_id, None, it.extra, now).await?;
    tx.commit().await?;
    Ok(())
}

fn check(
    source: &Vault,
    destination: Option<Vault>,
    usage: &MigrationUsage,
) -> Result<Vault, Failure> {
    let refuse = |trouble, message: String| Failure { trouble, message };
    let forbids = |message| refuse(Trouble::VaultForbids, message);
    let destination =
        destination.ok_or_else(|| forbids("the destination vault is gone".to_owned()))?;
    migrations::check_vaults(source, &destination).map_err(|error| forbids(error.to_string()))?;
    if migrations::has_room(&destination, usage.destination.vault_bytes) {
        Ok(destination)
    } else {
        let message = "the destination vault is full".to_owned();
        Err(refuse(Trouble::VaultFull, message))
    }
}

async fn move_backups(app: &App, tx: &mut Tx, it: &Move) -> Result<(), Error> {
    let rows = tx
        .backups_of_vault(&it.source, Some(&it.resource_id))
        .await?;
    let tops = rows.into_iter().filter(|row| row.parent_id.is_none());
    let mut checkpoints: BTreeMap<CheckpointId, Vec<Backup>> = BTreeMap::new();
    for top in tops {
        checkpoints
            .entry(top.checkpoint_id.clone())
            .or_default()
            .push(top);
    }
    for (checkpoint, moved) in checkpoints {
        let target = move_checkpoint(app, tx, it, &checkpoint).await?;
        for backup in moved {
            tx.move_backup_to_vault(&backup.id, &it.destination, &target)
                .await?;
        }
        crate::backups::refresh_checkpoint(tx, &checkpoint).await?;
        crate::backups::refresh_checkpoint(tx, &target).await?;
    }
    Ok(())
}

/// A checkpoint belongs to one vault: one that holds other resources, too, stays, and what moves gets a copy.
async fn move_checkpoint(
    app: &App,
    tx: &mut Tx,
    it: &Move,
    id: &CheckpointId,
) -> Result<CheckpointId, Error> {
    let all = tx.backups_of_checkpoint(id).await?;
    if all.iter().all(|other| other.resource_id == it.resource_id) {
        tx.move_checkpoint_to_vault(id, &it.destination).await?;
        return Ok(id.clone());
    }
    let original = tx.find_checkpoint(id).await?;
    let original = original.ok_or_else(|| Error::broken(format!("checkpoint {id} is gone")))?;
    let copy = Checkpoint {
        id: CheckpointId::random(&*app.ids),
        vault_id: it.destination.clone(),
        skipped_resources: JsonText(Vec::new()),
        ..original
    };
    tx.insert_checkpoint(&copy).await?;
    Ok(copy.id)
}

/// Ends a move that could not be done; nothing has changed.
pub async fn fail_migration(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    failure: Failure,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    tx.fail_job(lease, &failure.message, now).await?;
    let it = read_move(&mut tx, operation_log_id).await?;
    give_up(&mut tx, operation_log_id, &it, &failure, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn give_up(
    tx: &mut Tx,
    log: &OperationLogId,
    it: &Move,
    failure: &Failure,
    now: Timestamp,
) -> Result<(), Error> {
    if is_migrating(tx, it).await? {
        let from = [ProtectStatus::Migrating];
        tx.move_vault_resource(&it.resource_id, &from, it.was)
            .await?;
    }
    super::end_log(tx, log, Some(failure), it.extra.clone(), now).await
}

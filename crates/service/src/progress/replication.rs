use strongroom_db::{Backup, Lease, OperationExtra, Replication, Tx};
use strongroom_types::{OperationLogId, ReplicationId, ReplicationStatus, Timestamp};

use super::Failure;
use crate::peers::BegunReplica;
use crate::{App, Error};

#[derive(Debug, Clone)]
pub struct ReplicationWork {
    pub replication: Replication,
    /// The server's backup.
    pub backup: Backup,
    /// Its disks, by id.
    pub disks: Vec<Backup>,
    pub operation_log_id: OperationLogId,
}

/// What a copy has to do now.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one is made per attempt")]
pub enum ReplicationTurn {
    Now(ReplicationWork),
    /// A copy of an older backup of the server is under way: what it brings need not be sent again.
    Later,
}

pub async fn start_replication(
    app: &App,
    lease: &Lease,
    id: &ReplicationId,
) -> Result<ReplicationTurn, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    let operation_log_id = super::log_of(&job)?.clone();
    let Some((replication, backup)) = find(&mut tx, id).await? else {
        return Err(forgotten(tx, lease, &operation_log_id, now).await?);
    };
    if tx.is_behind_another(&replication).await? {
        return Ok(ReplicationTurn::Later);
    }
    if !tx.start_replication(id, now).await? {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    }
    tx.start_operation_log(&operation_log_id, now).await?;
    let mut disks = tx.children_of_backup(&backup.id).await?;
    disks.sort_by(|one, other| one.id.cmp(&other.id));
    tx.commit().await?;
    Ok(ReplicationTurn::Now(ReplicationWork {
        replication,
        backup,
        disks,
        operation_log_id,
    }))
}

async fn find(tx: &mut Tx, id: &ReplicationId) -> Result<Option<(Replication, Backup)>, Error> {
    let Some(replication) = tx.find_replication(id).await? else {
        return Ok(None);
    };
    let backup = tx.find_backup(&replication.backup_id).await?;
    Ok(backup.map(|backup| (replication, backup)))
}

/// The backup was deleted, and the record with it; the operation log tells.
async fn forgotten(
    mut tx: Tx,
    lease: &Lease,
    log: &OperationLogId,
    now: Timestamp,
) -> Result<Error, Error> {
    let failure = Failure {
        trouble: strongroom_types::Trouble::DataDamaged,
        message: "the backup was deleted before it was copied".to_owned(),
    };
    let extra = super::get_log(&mut tx, log).await?.extra.0;
    super::end_log(&mut tx, log, Some(&failure), extra, now).await?;
    super::nothing_to_do(tx, lease, now).await
}

/// Writes where the copy goes, as the destination has answered.
pub async fn note_destination(
    app: &App,
    lease: &Lease,
    work: &ReplicationWork,
    begun: &BegunReplica,
) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let replication = Replication {
        destination_checkpoint_id: Some(begun.checkpoint_id.clone()),
        destination_backup_id: Some(begun.backup_id.clone()),
        ..work.replication.clone()
    };
    tx.update_replication(&replication, app.now()).await?;
    let mut extra = super::get_log(&mut tx, &work.operation_log_id)
        .await?
        .extra
        .0;
    if let OperationExtra::Replication(task) = &mut extra {
        task.destination_checkpoint_id = Some(begun.checkpoint_id.clone());
        task.destination_backup_id = Some(begun.backup_id.clone());
    }
    tx.update_operation_extra(&work.operation_log_id, &extra)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Shows how far a copy is, 0 to 100.
pub async fn report_replication(
    app: &App,
    lease: &Lease,
    work: &ReplicationWork,
    percent: u64,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    tx.update_operation_progress(&work.operation_log_id, percent, now)
        .await?;
    let found = tx.find_replication(&work.replication.id).await?;
    if let Some(mut replication) = found {
        replication.progress = percent.min(100);
        tx.update_replication(&replication, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The destination lists the copy.
pub async fn finish_replication(
    app: &App,
    lease: &Lease,
    work: &ReplicationWork,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::finish(&mut tx, lease, now).await?;
    if let Some(mut replication) = tx.find_replication(&work.replication.id).await? {
        replication.status = ReplicationStatus::Success;
        replication.progress = 100;
        tx.end_replication(&replication, now).await?;
    }
    let log = &work.operation_log_id;
    let extra = super::get_log(&mut tx, log).await?.extra.0;
    super::end_log(&mut tx, log, None, extra, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends a copy for good; another one may be begun.
pub async fn fail_replication(
    app: &App,
    lease: &Lease,
    id: &ReplicationId,
    failure: Failure,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    tx.fail_job(lease, &failure.message, now).await?;
    if let Some(mut replication) = tx.find_replication(id).await? {
        replication.status = ReplicationStatus::Fail;
        replication.trouble = Some(failure.trouble);
        replication.trouble_message.clone_from(&failure.message);
        tx.end_replication(&replication, now).await?;
    }
    let log = super::log_of(&job)?;
    let extra = super::get_log(&mut tx, log).await?.extra.0;
    super::end_log(&mut tx, log, Some(&failure), extra, now).await?;
    tx.commit().await?;
    Ok(())
}

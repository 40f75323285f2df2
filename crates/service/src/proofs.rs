//! Proofs: a machine is run from a backup, apart from everything, and what it shows is kept.
//!
//! One job sees to all of them, so that one machine runs at a time; those that are asked for meanwhile wait.

use strongroom_db::{Backup, NewJob, Proof, Tx};
use strongroom_types::{
    BackupId, BackupStatus, JobId, JobKind, ProjectId, ProofId, ResourceType, Timestamp,
};

use crate::policies::options_of;
use crate::sharing;
use crate::{Action, App, Caller, Error};

/// What the one job is about.
const ALL: &str = "proofs";
/// Of each backup so many proofs are kept that have ended.
const KEPT: u64 = 10;
const SECONDS_PER_DAY: i64 = 86_400;

/// Answers at once with a proof that waits; a job runs the machine. Only the owner of a backup has it proven.
pub async fn start(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
) -> Result<Proof, Error> {
    caller.authorise(Action::ProofsCreate, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let seen = sharing::find(&mut tx, project, backup_id).await?;
    if seen.member.is_some() {
        return Err(Error::SharedBackup);
    }
    let status = seen.backup.status;
    if status != BackupStatus::Available && !status.is_restoring() {
        return Err(Error::BackupStateForbidsProof { status });
    }
    let id = ProofId::random(&*app.ids);
    match tx.insert_proof(&id, project, backup_id, now).await {
        Err(strongroom_db::Error::Conflict(_)) => return Err(Error::ProofRunning),
        inserted => inserted?,
    }
    tx.prune_proofs(backup_id, KEPT).await?;
    want(app, &mut tx, &caller.request_id, now).await?;
    let proof = tx.find_proof(&id).await?;
    tx.commit().await?;
    app.wake.notify_one();
    proof.ok_or_else(|| Error::broken("a proof is gone that was just made"))
}

/// Newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
) -> Result<Vec<Proof>, Error> {
    caller.authorise(Action::ProofsList, project)?;
    let mut tx = app.db.read().await?;
    own(&mut tx, project, backup_id).await?;
    Ok(tx.proofs_of_backup(backup_id).await?)
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    id: &ProofId,
) -> Result<Proof, Error> {
    caller.authorise(Action::ProofsGet, project)?;
    let mut tx = app.db.read().await?;
    find(&mut tx, project, backup_id, id).await
}

/// The machine's last screen, a PNG.
pub async fn screen(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    id: &ProofId,
) -> Result<Vec<u8>, Error> {
    caller.authorise(Action::ProofsGet, project)?;
    let mut tx = app.db.read().await?;
    find(&mut tx, project, backup_id, id).await?;
    let screen = tx.screen_of_proof(id).await?;
    screen.ok_or(Error::ProofWithoutScreen)
}

async fn find(
    tx: &mut Tx,
    project: &ProjectId,
    backup_id: &BackupId,
    id: &ProofId,
) -> Result<Proof, Error> {
    own(tx, project, backup_id).await?;
    let proof = tx.find_proof(id).await?;
    let of_backup = proof.filter(|proof| proof.backup_id == *backup_id);
    of_backup.ok_or_else(|| Error::ProofNotFound {
        proof_id: id.clone(),
    })
}

/// What another project's machine has shown is for its owner alone.
async fn own(tx: &mut Tx, project: &ProjectId, backup_id: &BackupId) -> Result<(), Error> {
    let seen = sharing::find(tx, project, backup_id).await?;
    match seen.member {
        None => Ok(()),
        Some(_) => Err(Error::SharedBackup),
    }
}

/// Has the backup that a policy made of a server proven, where the policy wants that and it is the server's turn. In the
/// transaction that publishes the backup, so that neither is without the other.
pub(crate) async fn follow_policy(
    app: &App,
    tx: &mut Tx,
    backup: &Backup,
    request_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    // Most disks that are backed up by themselves hold data, and boot nothing; neither does a server without its system disk.
    let may_boot = backup.resource_type == ResourceType::Server && backup.system_disk;
    if backup.policy_id.is_none() || !may_boot {
        return Ok(());
    }
    let policies = tx.applied_policies(&backup.vault_id).await?;
    let Some(prove) = options_of(backup, &policies).prove else {
        return Ok(());
    };
    let (made_at, server) = (backup.created_at, &backup.resource_id);
    let not_since = first_moment(made_at, prove.every_days);
    if !tx.take_up_proof(server, made_at, not_since).await? {
        return Ok(());
    }
    let id = ProofId::random(&*app.ids);
    tx.insert_proof(&id, &backup.project_id, &backup.id, now)
        .await?;
    want(app, tx, request_id, now).await
}

/// When the last so many days began, in UTC, of which that of `moment` is one. Counted in days, a daily policy is not put off
/// by a start that comes a few seconds earlier than that of the day before.
fn first_moment(moment: Timestamp, days: u32) -> Timestamp {
    let day = moment.as_seconds().div_euclid(SECONDS_PER_DAY);
    Timestamp::from_seconds((day + 1 - i64::from(days)) * SECONDS_PER_DAY)
}

/// Has the one job go on.
pub(crate) async fn want(
    app: &App,
    tx: &mut Tx,
    request_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let job = NewJob {
        id: JobId::random(&*app.ids),
        kind: JobKind::Prove,
        subject_id: ALL.to_owned(),
        operation_log_id: None,
        attempts_max: app.settings.job_attempts_max,
        request_id: request_id.to_owned(),
    };
    Ok(tx.want_job(&job, now).await?)
}

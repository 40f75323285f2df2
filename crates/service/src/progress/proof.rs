use strongroom_db::{Backup, FileSystemCheck, Job, Lease, NoticeEvent, Proof, ProofEnd, Tx};
use strongroom_types::{
    Accelerator, Firmware, ProjectId, ProofState, ProofVerdict, Timestamp, VaultId,
};

use super::Failure;
use crate::{App, Error, notices, proofs};

/// A backup to run a machine from.
#[derive(Debug, Clone)]
pub struct ProofWork {
    pub proof: Proof,
    /// Whose repository holds the points.
    pub owner: ProjectId,
    pub vault_id: VaultId,
    /// Disks' backups, the system disk first.
    pub disks: Vec<Backup>,
    /// The inventory knows an agent in the server.
    pub has_agent: bool,
    /// As the machine said when it was backed up.
    pub firmware: Option<Firmware>,
}

/// What the machine has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofOutcome {
    pub verdict: ProofVerdict,
    /// What the verdict rests on.
    pub reason: String,
    /// None where no machine was run.
    pub accelerator: Option<Accelerator>,
    /// What was found on its disks before.
    pub file_systems: Vec<FileSystemCheck>,
    /// The end of what it said on its serial port.
    pub console: String,
    /// Its last screen, a PNG.
    pub screen: Option<Vec<u8>>,
}

/// Takes up the proof that has waited longest, or the one that an attempt before this one left.
pub async fn start_proof(app: &App, lease: &Lease) -> Result<ProofWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let Some(proof) = tx.next_proof().await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    let backup = tx.find_backup(&proof.backup_id).await?;
    let backup = backup.ok_or_else(|| Error::broken("a backup is gone, and its proof is not"))?;
    let disks = tx.disks_of_backup(&backup.id).await?;
    let server = tx.find_server(&backup.resource_id.clone().into()).await?;
    let machine = tx.find_backup_machine(&backup.id).await?;
    tx.start_proof(&proof.id, now).await?;
    tx.commit().await?;
    Ok(ProofWork {
        proof,
        owner: backup.project_id,
        vault_id: backup.vault_id,
        disks,
        has_agent: server.is_some_and(|server| server.guest_agent_socket.is_some()),
        firmware: machine.and_then(|machine| machine.firmware),
    })
}

/// Keeps what was shown, and goes on with the next proof, if one waits.
pub async fn finish_proof(
    app: &App,
    lease: &Lease,
    proof: &Proof,
    outcome: ProofOutcome,
) -> Result<(), Error> {
    let end = ProofEnd {
        state: ProofState::Done,
        verdict: Some(outcome.verdict),
        reason: outcome.reason,
        accelerator: outcome.accelerator,
        file_systems: outcome.file_systems,
        console: outcome.console,
        screen: outcome.screen,
    };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::finish(&mut tx, lease, now).await?;
    // Deleted meanwhile, it has nobody to tell.
    if tx.end_proof(&proof.id, &end, now).await? && outcome.verdict == ProofVerdict::DoesNotBoot {
        tell(app, &mut tx, proof, end.reason, now).await?;
    }
    go_on(app, tx, &job, now).await
}

/// Many proofs have nobody who waits for them.
async fn tell(
    app: &App,
    tx: &mut Tx,
    proof: &Proof,
    reason: String,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(backup) = tx.find_backup(&proof.backup_id).await? else {
        return Ok(());
    };
    let event = NoticeEvent::BackupDoesNotBoot {
        project_id: backup.project_id,
        backup_id: backup.id,
        resource_id: backup.resource_id,
        resource_name: backup.resource_name,
        proof_id: proof.id.clone(),
        reason,
    };
    notices::tell(app, tx, &event, now).await
}

/// The proof under way has failed; the next one is gone on with.
pub async fn fail_proof(app: &App, lease: &Lease, failure: Failure) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    if let Some(proof) = tx.next_proof().await? {
        let end = ProofEnd {
            state: ProofState::Failed,
            verdict: None,
            reason: failure.message.clone(),
            accelerator: None,
            file_systems: Vec::new(),
            console: String::new(),
            screen: None,
        };
        tx.end_proof(&proof.id, &end, now).await?;
    }
    tx.fail_job(lease, &failure.message, now).await?;
    go_on(app, tx, &job, now).await
}

async fn go_on(app: &App, mut tx: Tx, job: &Job, now: Timestamp) -> Result<(), Error> {
    if tx.next_proof().await?.is_some() {
        proofs::want(app, &mut tx, &job.request_id, now).await?;
    }
    tx.commit().await?;
    app.wake.notify_one();
    Ok(())
}

//! Freeing what deleted backups alone needed: one job for each project, however many deletions want it.

use strongroom_db::{Job, Lease, NewJob, Tx, Vault};
use strongroom_types::{JobId, JobKind, ProtectType, Timestamp};

use super::Failure;
use crate::{App, Error};

/// It is given back whenever backups or restores hold it up.
const ATTEMPTS_MAX: i64 = 1000;

/// Has the repository of the vault's project collected, once the transaction is committed. A hybrid vault's points lie
/// elsewhere, and stay.
pub(super) async fn request_collection(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    deletion: &Job,
    now: Timestamp,
) -> Result<(), Error> {
    if vault.protect_type == ProtectType::Hybrid {
        return Ok(());
    }
    let job = NewJob {
        id: JobId::random(&*app.ids),
        kind: JobKind::Collect,
        subject_id: vault.project_id.to_string(),
        operation_log_id: None,
        attempts_max: ATTEMPTS_MAX,
        request_id: deletion.request_id.clone(),
    };
    tx.want_job(&job, now).await?;
    Ok(())
}

/// Ends a collection, or starts it anew if it was wanted again since it was `claimed`.
pub async fn finish_collection(app: &App, lease: &Lease, claimed: &Job) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    if job.run_at > claimed.run_at {
        tx.retry_job(lease, "wanted again", now).await?;
    } else {
        tx.finish_job(lease, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The next deletion tries again.
pub async fn fail_collection(app: &App, lease: &Lease, failure: &Failure) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    tx.fail_job(lease, &failure.message, app.now()).await?;
    tx.commit().await?;
    Ok(())
}

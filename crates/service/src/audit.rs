//! Who changed what, or tried to: kept for a time, and read by administrators.
//!
//! The API follows every request that changes something with a [`Trail`], and the first transaction of the request that
//! commits carries its record. What was refused is recorded by itself.

use strongroom_db::{AuditFilter, Page};
use strongroom_types::Chain;

pub use strongroom_db::{AuditRecord, Trail};
pub(crate) use strongroom_db::{audit_identified as identified, audit_made as made};

use crate::{Action, App, Caller, Error};

/// Records forgotten by one call; the next call goes on.
const PRUNED_MAX: u64 = 1000;

/// The page, newest first, and how many records match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &AuditFilter,
    page: &Page,
) -> Result<(Vec<AuditRecord>, u64), Error> {
    caller.authorise_installation(Action::AuditList)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_audit(filter, page).await?;
    Ok((listed.rows, listed.total))
}

/// Records a request that has changed nothing. Its answer does not depend on that, but the log tells when it fails.
pub async fn record(app: &App, record: &AuditRecord) {
    let write = async {
        let mut tx = app.db.begin().await?;
        tx.insert_audit(record).await?;
        tx.commit().await
    };
    if let Err(error) = write.await {
        tracing::error!(error = %Chain(&error), action = record.action, "the audit cannot be written");
    }
}

/// Forgets records that are older than the installation keeps them, at most 1000 a call; answers how many.
pub async fn prune(app: &App) -> Result<u64, Error> {
    let end = app.now().minus(app.settings.audit_retention);
    let mut tx = app.db.begin().await?;
    let pruned = tx.delete_audit_before(end, PRUNED_MAX).await?;
    tx.commit().await?;
    Ok(pruned)
}

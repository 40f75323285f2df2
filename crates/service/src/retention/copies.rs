//! Copies from other regions that go by number. Their policy is there; what is known of it here are the rules that came
//! with each copy, and those of the one that came last count.

use strongroom_db::{Backup, CopiesOfPolicy, Tx};
use strongroom_types::Timestamp;

use super::{PAGE, STARTED_MAX, delete, let_go, lock_as_found};
use crate::{App, Error};

/// Starts the deletion of copies that the numbers of the policies that sent them let go at `now`, at most 100 a call. Copies that
/// no policy sent are neither counted nor touched, and in a locked vault numbers let nothing go.
pub async fn apply_numbers_to_copies(app: &App, now: Timestamp) -> Result<u64, Error> {
    let mut started = 0;
    let mut after: Option<CopiesOfPolicy> = None;
    loop {
        let mut tx = app.db.read().await?;
        let page = tx.copies_by_policy(after.as_ref(), PAGE).await?;
        drop(tx);
        for copies in &page {
            let mut tx = app.db.read().await?;
            let surplus = surplus_of(&mut tx, copies, now).await?;
            drop(tx);
            for found in surplus {
                if started == STARTED_MAX {
                    return Ok(started);
                }
                started += u64::from(delete_surplus(app, copies, &found, now).await?);
            }
        }
        let full = page.len() as u64 == PAGE;
        after = page.into_iter().next_back();
        if !full {
            return Ok(started);
        }
    }
}

/// `false` when it is none any more, or is in use, or its vault is locked.
async fn delete_surplus(
    app: &App,
    copies: &CopiesOfPolicy,
    found: &Backup,
    now: Timestamp,
) -> Result<bool, Error> {
    let mut tx = app.db.begin().await?;
    let Some((vault, backup)) = lock_as_found(app, &mut tx, found).await? else {
        return Ok(false);
    };
    let surplus = surplus_of(&mut tx, copies, now).await?;
    if vault.locked || surplus.iter().all(|other| other.id != backup.id) {
        return Ok(false);
    }
    delete(app, tx, &vault, &backup).await?;
    Ok(true)
}

/// The copies that the rules let go, by the moments whose data they hold: a copy of an old backup that comes late is old.
async fn surplus_of(
    tx: &mut Tx,
    copies: &CopiesOfPolicy,
    now: Timestamp,
) -> Result<Vec<Backup>, Error> {
    let CopiesOfPolicy {
        vault_id,
        policy_id,
        resource_id,
    } = copies;
    let rows = tx.backups_of_policy(vault_id, policy_id, resource_id);
    let rows = rows.await?;
    let Some(rules) = rows.last().and_then(|last| last.retention.clone()) else {
        return Ok(Vec::new());
    };
    if rules.0.newest().is_none() {
        return Ok(Vec::new());
    }
    let made = |row: &Backup| row.protected_at.unwrap_or(row.created_at);
    Ok(let_go(rows, &rules.0, made, now))
}

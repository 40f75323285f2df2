//! Automatic backups that go by themselves: those whose time has passed, those that the rules of their policy no longer
//! count, and failed ones. Manual backups go only by an end of their own.
//!
//! Everything here may be called at any time and any number of times; each call starts what is due and answers how much.

mod copies;

pub use copies::apply_numbers_to_copies;

use strongroom_db::{AppliedPolicy, Backup, Policy, Tx, Vault};
use strongroom_types::{
    BackupId, BackupStatus, PolicyId, PolicyOperation, ResourceId, Retention, Timestamp, VaultId,
    VaultStatus,
};

use crate::{App, Error, backups, locks};

/// Deletions started by one call; the next call goes on.
const STARTED_MAX: u64 = 100;
/// Rows read at once.
const PAGE: u64 = 500;
/// Failed automatic backups of a resource that are kept, and for how many months.
const FAILED_KEPT: u64 = 10;
const FAILED_KEPT_MONTHS: u64 = 1;

/// Starts the deletion of backups whose time has passed at `now`, at most 100 a call.
pub async fn expire_backups(app: &App, now: Timestamp) -> Result<u64, Error> {
    let mut tx = app.db.read().await?;
    let trusted = locks::trusted_now(app, &mut tx).await?;
    drop(tx);
    let mut started = 0;
    let mut after: Option<(Timestamp, BackupId)> = None;
    loop {
        let mut tx = app.db.read().await?;
        let from = after.as_ref().map(|(end, id)| (*end, id));
        let page = tx.expired_backups(now, from, PAGE).await?;
        drop(tx);
        for found in &page {
            if started == STARTED_MAX {
                return Ok(started);
            }
            let mut tx = app.db.begin().await?;
            let Some((vault, backup)) = lock_as_found(app, &mut tx, found).await? else {
                continue;
            };
            if !locks::may_delete(&vault, &backup, trusted)
                || is_kept_by_lock(&mut tx, &vault, &backup, now).await?
            {
                continue;
            }
            delete(app, tx, &vault, &backup).await?;
            started += 1;
        }
        after = page
            .last()
            .and_then(|last| Some((last.expired_at?, last.id.clone())));
        if (page.len() as u64) < PAGE {
            return Ok(started);
        }
    }
}

/// Starts the deletion of backups that the numbers of their policies let go at `now`, at most 100 a call. In a locked vault
/// numbers let nothing go.
pub async fn apply_numbers(app: &App, now: Timestamp) -> Result<u64, Error> {
    let mut started = 0;
    let mut after: Option<(VaultId, PolicyId)> = None;
    loop {
        let mut tx = app.db.read().await?;
        let from = after.as_ref().map(|(vault, policy)| (vault, policy));
        let page = tx.enabled_policies_of_vaults(from, PAGE).await?;
        drop(tx);
        for AppliedPolicy { policy, applied } in &page {
            let room = STARTED_MAX - started;
            started += apply_to_vault(app, policy, &applied.vault_id, room, now).await?;
        }
        match page.last() {
            Some(last) if page.len() as u64 == PAGE => {
                after = Some((last.applied.vault_id.clone(), last.policy.id.clone()));
            }
            _ => return Ok(started),
        }
    }
}

async fn apply_to_vault(
    app: &App,
    policy: &Policy,
    vault_id: &VaultId,
    room: u64,
    now: Timestamp,
) -> Result<u64, Error> {
    let Some(newest) = policy.rules.0.retention.newest() else {
        return Ok(0);
    };
    if policy.operation_type != PolicyOperation::Backup {
        return Ok(0);
    }
    let mut tx = app.db.read().await?;
    let resources = tx.resources_with_more_backups(vault_id, &policy.id, u64::from(newest));
    let mut surplus = Vec::new();
    for resource in resources.await? {
        surplus.extend(surplus_of(&mut tx, vault_id, policy, &resource, now).await?);
    }
    drop(tx);
    let mut started = 0;
    for found in surplus {
        if started == room {
            break;
        }
        let mut tx = app.db.begin().await?;
        let Some((vault, backup)) = lock_as_found(app, &mut tx, &found).await? else {
            continue;
        };
        // The rules may have changed, or the vault's lock been set, since they were read without the vault's lock.
        let Some(policy) = policy_today(&mut tx, &vault, &backup).await? else {
            continue;
        };
        // Whoever can make backups, or change a schedule, could push the old ones out of a locked vault.
        if vault.locked {
            continue;
        }
        let surplus = surplus_of(&mut tx, &vault.id, &policy, &backup.resource_id, now).await?;
        if policy.enabled && surplus.iter().any(|other| other.id == backup.id) {
            delete(app, tx, &vault, &backup).await?;
            started += 1;
        }
    }
    Ok(started)
}

/// The backups of a resource that today's rules let go, and that no mark from when they were made holds.
///
/// New rules begin to count with the first backup that is made under them.
async fn surplus_of(
    tx: &mut Tx,
    vault: &VaultId,
    policy: &Policy,
    resource: &ResourceId,
    now: Timestamp,
) -> Result<Vec<Backup>, Error> {
    let today = &policy.rules.0.retention;
    let rows = tx.backups_of_policy(vault, &policy.id, resource).await?;
    let rules_of_newest = rows.last().and_then(|newest| newest.retention.as_ref());
    if rules_of_newest.is_none_or(|rules| rules.0 != *today) {
        return Ok(Vec::new());
    }
    Ok(let_go(rows, today, |row| row.created_at, now))
}

/// The backups of a resource that rules let go at `now`, and that no mark from when they were made holds. `made` says of
/// which moment a backup is.
fn let_go(
    rows: Vec<Backup>,
    rules: &Retention,
    made: impl Fn(&Backup) -> Timestamp,
    now: Timestamp,
) -> Vec<Backup> {
    let moments: Vec<_> = rows.iter().map(&made).collect();
    let let_go = rules.let_go(&moments, now);
    let surplus = rows.into_iter().zip(let_go).filter(|(row, let_go)| {
        let marked = row.retention.as_ref();
        let end = marked.and_then(|rules| rules.0.marked_until(made(row)));
        let is_held = end.is_some_and(|end| end > now);
        *let_go && !is_held && row.status == BackupStatus::Available
    });
    surplus.map(|(row, _)| row).collect()
}

/// Starts the deletion of failed automatic backups beyond the newest ten of each resource and those older than a month,
/// at most 100 a call.
pub async fn clear_failed_backups(app: &App, now: Timestamp) -> Result<u64, Error> {
    let mut tx = app.db.read().await?;
    let before = now.minus_months(FAILED_KEPT_MONTHS);
    let surplus = tx
        .surplus_failed_backups(FAILED_KEPT, before, STARTED_MAX)
        .await?;
    drop(tx);
    let mut started = 0;
    for found in surplus {
        let mut tx = app.db.begin().await?;
        let Some((vault, backup)) = lock_as_found(app, &mut tx, &found).await? else {
            continue;
        };
        if vault.locked && holds_data(&mut tx, &backup).await? {
            continue;
        }
        delete(app, tx, &vault, &backup).await?;
        started += 1;
    }
    Ok(started)
}

async fn holds_data(tx: &mut Tx, backup: &Backup) -> Result<bool, Error> {
    let children = tx.children_of_backup(&backup.id).await?;
    let mut rows = children.iter().chain([backup]);
    Ok(rows.any(|row| row.point_id.is_some()))
}

/// Whether a vault's lock keeps a backup at `now`: an automatic one until its own end has come, and until the rules of
/// today, where its policy is still applied to the vault, let it go as well. Taking the policy off, or deleting it, does not
/// bring the end closer.
pub(crate) async fn is_kept_by_lock(
    tx: &mut Tx,
    vault: &Vault,
    backup: &Backup,
    now: Timestamp,
) -> Result<bool, Error> {
    if !vault.locked || !backup.auto_trigger {
        return Ok(false);
    }
    if backup.expired_at.is_none_or(|end| end > now) {
        return Ok(true);
    }
    let Some(policy) = policy_today(tx, vault, backup).await? else {
        return Ok(false);
    };
    let mut rows = tx
        .backups_of_policy(&vault.id, &policy.id, &backup.resource_id)
        .await?;
    if !rows.iter().any(|row| row.id == backup.id) {
        // A failed one counts as if it were the only one.
        rows = vec![backup.clone()];
    }
    let made: Vec<_> = rows.iter().map(|row| row.created_at).collect();
    let let_go = policy.rules.0.retention.let_go(&made, now);
    let mut rows = rows.iter().zip(let_go);
    Ok(rows.any(|(row, let_go)| row.id == backup.id && !let_go))
}

/// The policy that made a backup, while it is applied to the backup's vault.
async fn policy_today(
    tx: &mut Tx,
    vault: &Vault,
    backup: &Backup,
) -> Result<Option<Policy>, Error> {
    let Some(id) = &backup.policy_id else {
        return Ok(None);
    };
    match tx.find_vault_policy(&vault.id, id).await? {
        Some(_) => Ok(tx.find_policy(id).await?),
        None => Ok(None),
    }
}

/// A backup and its vault, under the vault's lock, if the backup is as it was found and may go now.
async fn lock_as_found(
    app: &App,
    tx: &mut Tx,
    found: &Backup,
) -> Result<Option<(Vault, Backup)>, Error> {
    let Some(vault) = tx.lock_vault(&found.vault_id).await? else {
        return Ok(None);
    };
    let backup = tx.find_backup(&found.id).await?;
    let same = |backup: &Backup| backup.status == found.status && backup.vault_id == vault.id;
    let Some(backup) = backup.filter(same) else {
        return Ok(None);
    };
    if matches!(vault.status, VaultStatus::Deleting | VaultStatus::Frozen) {
        return Ok(None);
    }
    if backups::is_moving(tx, &vault, &backup).await? {
        return Ok(None);
    }
    let children = tx.children_of_backup(&backup.id).await?;
    let by_members = tx
        .count_restores_by_members(&vault.id, None, Some(&backup.id))
        .await?;
    let copies = tx
        .count_active_replications(&vault.id, Some(&backup.id))
        .await?;
    let is_restored = children.iter().any(|child| child.status.is_restoring());
    let is_compared = tx.is_compared_with(&backup.id).await?;
    let in_use = backups::in_use_outside(app, tx, &vault, None, Some(&backup.id)).await?;
    let is_read = by_members > 0 || copies > 0 || is_restored || is_compared || in_use.is_some();
    Ok((!is_read).then_some((vault, backup)))
}

async fn delete(app: &App, mut tx: Tx, vault: &Vault, backup: &Backup) -> Result<(), Error> {
    let (request_id, policy_id) = (app.ids.hex32(), backup.policy_id.as_ref());
    backups::start_deletion(app, &mut tx, vault, backup, &request_id, policy_id).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(())
}

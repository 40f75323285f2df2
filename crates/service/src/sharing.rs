//! Sharing: a project offers a backup to others, and each accepts it into a vault of its own or turns it down.
//!
//! The data stays where it is. An accepted backup is restored from the owner's repository, by right of the member's row;
//! deleting that row, or the backup, ends the right at once. Whoever locks two vaults locks the owner's first.

mod access;
mod answer;
mod room;

use std::collections::BTreeSet;

use strongroom_db::{Member, MemberFilter, MemberSort, Page, Tx, Vault};
use strongroom_types::{
    BackupId, BackupStatus, MemberId, MemberStatus, ProjectId, Timestamp, VaultStatus,
};

pub(crate) use access::{Seen, find};
pub use answer::{Answer, answer};
pub(crate) use room::{leave_vault, withdraw};

use crate::{Action, App, Caller, Error};

/// Projects that one backup can be shared with.
const MEMBERS_MAX: usize = 10;

/// Offers a backup to projects, named by their ids; each has to answer.
pub async fn add(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    receivers: Vec<String>,
) -> Result<Vec<Member>, Error> {
    caller.authorise(Action::MembersCreate, project)?;
    let receivers = distinct(project, receivers)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    lock_shareable(&mut tx, project, backup_id).await?;
    for receiver in &receivers {
        if tx.find_project(receiver).await?.is_none() {
            return Err(Error::BadReceiver {
                message: format!("there is no project {receiver} to share with"),
            });
        }
    }
    let present = tx.members_of_backup(backup_id).await?;
    let known = |receiver: &&ProjectId| present.iter().any(|m| m.dest_project_id == **receiver);
    if let Some(project_id) = receivers.iter().find(known) {
        return Err(Error::AlreadyShared {
            project_id: project_id.clone(),
        });
    }
    if present.len() + receivers.len() > MEMBERS_MAX {
        return Err(Error::TooManyMembers { max: MEMBERS_MAX });
    }
    let members = receivers.into_iter();
    let members: Vec<_> = members
        .map(|receiver| new_member(app, backup_id, receiver, now))
        .collect();
    for member in &members {
        tx.insert_member(member).await?;
    }
    tx.commit().await?;
    Ok(members)
}

fn distinct(project: &ProjectId, receivers: Vec<String>) -> Result<Vec<ProjectId>, Error> {
    let bad = |message: String| Error::BadReceiver { message };
    if receivers.is_empty() {
        return Err(bad("members must name a project".to_owned()));
    }
    if receivers.len() > MEMBERS_MAX {
        return Err(Error::TooManyMembers { max: MEMBERS_MAX });
    }
    let mut seen = BTreeSet::new();
    let mut ids = Vec::with_capacity(receivers.len());
    for receiver in receivers {
        let id: ProjectId = receiver
            .parse()
            .map_err(|_| bad("members must be ids of projects".to_owned()))?;
        if id == *project {
            return Err(bad("the backup belongs to that project".to_owned()));
        }
        if !seen.insert(id.clone()) {
            return Err(Error::AlreadyShared { project_id: id });
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Locks the vault of a backup and refuses one that cannot be shared now.
async fn lock_shareable(
    tx: &mut Tx,
    project: &ProjectId,
    backup_id: &BackupId,
) -> Result<(), Error> {
    let seen = find(tx, project, backup_id).await?;
    if seen.member.is_some() {
        return Err(Error::SharedOnward);
    }
    let vault = lock(tx, &seen).await?;
    // What was read before the lock may have changed meanwhile.
    let backup = find(tx, project, backup_id).await?.backup;
    if backup.parent_id.is_some() {
        return Err(Error::PartShared);
    }
    if backup.status != BackupStatus::Available {
        return Err(Error::BackupStateForbidsSharing {
            status: backup.status,
        });
    }
    match vault.status {
        VaultStatus::Available | VaultStatus::Lock => Ok(()),
        VaultStatus::Frozen | VaultStatus::Deleting | VaultStatus::Error => {
            Err(Error::VaultStateForbidsSharing {
                status: vault.status,
            })
        }
    }
}

/// Locks the owner's vault: the backup and its members stay as they are until the transaction ends.
async fn lock(tx: &mut Tx, seen: &Seen) -> Result<Vault, Error> {
    let vault = tx.lock_vault(&seen.backup.vault_id).await?;
    vault.ok_or_else(|| Error::BackupNotFound {
        backup_id: seen.backup.id.clone(),
    })
}

fn new_member(app: &App, backup_id: &BackupId, receiver: ProjectId, now: Timestamp) -> Member {
    Member {
        id: MemberId::random(&*app.ids),
        backup_id: backup_id.clone(),
        dest_project_id: receiver,
        status: MemberStatus::Pending,
        vault_id: None,
        accounted_bytes: 0,
        created_at: now,
        updated_at: None,
    }
}

/// The page and how many match in all. A project that the backup is shared with sees its own row only.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    mut filter: MemberFilter,
    sort: &[MemberSort],
    page: &Page,
) -> Result<(Vec<Member>, u64), Error> {
    caller.authorise(Action::MembersList, project)?;
    let mut tx = app.db.read().await?;
    let seen = find(&mut tx, project, backup_id).await?;
    if seen.member.is_some() {
        match &filter.dest_project_id {
            Some(asked) if asked != project => return Ok((vec![], 0)),
            _ => filter.dest_project_id = Some(project.clone()),
        }
    }
    let listed = tx.list_members(backup_id, &filter, sort, page).await?;
    Ok((listed.rows, listed.total))
}

/// `receiver` is the project that the backup is shared with.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    receiver: &ProjectId,
) -> Result<Member, Error> {
    caller.authorise(Action::MembersGet, project)?;
    let mut tx = app.db.read().await?;
    let seen = find(&mut tx, project, backup_id).await?;
    find_member(&mut tx, project, &seen, receiver).await
}

/// To a receiver, the other receivers do not exist.
async fn find_member(
    tx: &mut Tx,
    project: &ProjectId,
    seen: &Seen,
    receiver: &ProjectId,
) -> Result<Member, Error> {
    let unknown = || Error::MemberNotFound {
        project_id: receiver.clone(),
    };
    if seen.member.is_some() && receiver != project {
        return Err(unknown());
    }
    let member = tx.find_member(&seen.backup.id, receiver).await?;
    member.ok_or_else(unknown)
}

/// Withdraws an offer, answered or not. What the receiver has not begun to restore it cannot restore any more.
pub async fn remove(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    receiver: &ProjectId,
) -> Result<(), Error> {
    caller.authorise(Action::MembersDelete, project)?;
    let mut tx = app.db.begin().await?;
    let seen = find(&mut tx, project, backup_id).await?;
    if seen.member.is_some() {
        return Err(Error::SharedBackup);
    }
    lock(&mut tx, &seen).await?;
    let member = find_member(&mut tx, project, &seen, receiver).await?;
    withdraw(&mut tx, vec![member], app.now()).await?;
    tx.commit().await?;
    Ok(())
}

//! The receiver's side of an offer.

use strongroom_db::{Member, NewJob, Tx};
use strongroom_types::{
    BackupId, JobId, JobKind, MemberStatus, ObjectType, ProjectId, ProtectType, ResourceType,
    Timestamp, VaultId, VaultStatus,
};

use super::room::give_back;
use super::{Seen, find, find_member, lock};
use crate::{Action, App, Caller, Error, checkpoints, vaults};

/// What a receiver says to an offer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: MemberStatus,
    /// Of the receiver, to accept into.
    pub vault_id: Option<VaultId>,
}

/// Accepts a shared backup into a vault or turns it down; only `receiver` itself can. What it takes of the vault is
/// measured by a job.
pub async fn answer(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    receiver: &ProjectId,
    answer: Answer,
) -> Result<Member, Error> {
    caller.authorise(Action::MembersUpdate, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let seen = find(&mut tx, project, backup_id).await?;
    find_member(&mut tx, project, &seen, receiver).await?;
    if seen.member.is_none() {
        return Err(Error::MemberNotAnswerable {
            message: "only the project that the backup is shared with can answer".to_owned(),
        });
    }
    lock(&mut tx, &seen).await?;
    let member = find_member(&mut tx, project, &seen, receiver).await?;
    let member = match answer.status {
        MemberStatus::Pending => {
            return Err(bad_answer("status must be accepted or rejected"));
        }
        MemberStatus::Rejected => reject(&mut tx, member, now).await?,
        MemberStatus::Accepted => {
            let vault_id = answer.vault_id;
            let vault_id = vault_id.ok_or_else(|| bad_answer("vault_id is required to accept"))?;
            accept(app, &mut tx, caller, &seen, member, vault_id).await?
        }
    };
    tx.commit().await?;
    app.wake.notify_one();
    Ok(member)
}

fn bad_answer(message: &str) -> Error {
    Error::BadMemberAnswer {
        message: message.to_owned(),
    }
}

async fn reject(tx: &mut Tx, member: Member, now: Timestamp) -> Result<Member, Error> {
    give_back(tx, &member, now).await?;
    let from = member.status;
    let member = Member {
        status: MemberStatus::Rejected,
        vault_id: None,
        accounted_bytes: 0,
        updated_at: Some(now),
        ..member
    };
    save(tx, member, from).await
}

async fn accept(
    app: &App,
    tx: &mut Tx,
    caller: &Caller,
    seen: &Seen,
    member: Member,
    vault_id: VaultId,
) -> Result<Member, Error> {
    if member.status == MemberStatus::Accepted {
        if member.vault_id.as_ref() == Some(&vault_id) {
            return Ok(member);
        }
        return Err(Error::MemberNotAnswerable {
            message: "the backup is accepted into another vault; reject it first".to_owned(),
        });
    }
    let now = app.now();
    let vault = tx.lock_vault(&vault_id).await?;
    let vault = vaults::owned(vault, &member.dest_project_id, &vault_id)?;
    let fitting = match seen.backup.resource_type {
        ResourceType::Server => ObjectType::Server,
        _ => ObjectType::Disk,
    };
    if vault.object_type != fitting || vault.protect_type != ProtectType::Backup {
        return Err(Error::VaultOfOtherType);
    }
    if !matches!(vault.status, VaultStatus::Available | VaultStatus::Lock) {
        return Err(Error::VaultStateForbidsSharing {
            status: vault.status,
        });
    }
    checkpoints::check_room(&vault)?;
    let from = member.status;
    let member = Member {
        status: MemberStatus::Accepted,
        vault_id: Some(vault_id),
        accounted_bytes: 0,
        updated_at: Some(now),
        ..member
    };
    let job = NewJob {
        id: JobId::random(&*app.ids),
        kind: JobKind::MeasureShare,
        subject_id: member.id.as_str().to_owned(),
        operation_log_id: None,
        attempts_max: app.settings.job_attempts_max,
        request_id: caller.request_id.clone(),
    };
    tx.want_job(&job, now).await?;
    save(tx, member, from).await
}

async fn save(tx: &mut Tx, member: Member, from: MemberStatus) -> Result<Member, Error> {
    if tx.answer_member(&member, from).await? {
        Ok(member)
    } else {
        Err(Error::broken(format!(
            "member {} changed under its lock",
            member.id
        )))
    }
}

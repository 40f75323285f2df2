use strongroom_db::{Backup, Lease, Member, Tx};
use strongroom_types::{MemberId, MemberStatus, ProjectId, VaultId};

use super::Failure;
use crate::{App, Error, notices, vaults};

/// An accepted backup whose place in the receiver's vault is to be measured.
#[derive(Debug, Clone)]
pub struct ShareWork {
    /// The receiver's.
    pub vault_id: VaultId,
    /// Whose repository holds the points.
    pub owner: ProjectId,
    pub points: Vec<String>,
}

pub async fn start_measure_share(
    app: &App,
    lease: &Lease,
    member_id: &MemberId,
) -> Result<ShareWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let Some((member, vault_id)) = find_accepted(&mut tx, member_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    let backup = tx.find_backup(&member.backup_id).await?;
    let backup = backup.ok_or_else(|| Error::broken("a shared backup is gone"))?;
    let rows = tx.disks_of_backup(&backup.id).await?;
    tx.commit().await?;
    let points = rows.into_iter().filter_map(|row: Backup| row.point_id);
    Ok(ShareWork {
        vault_id,
        owner: backup.project_id,
        points: points.collect(),
    })
}

async fn find_accepted(tx: &mut Tx, id: &MemberId) -> Result<Option<(Member, VaultId)>, Error> {
    let member = tx.find_member_by_id(id).await?;
    let member = member.filter(|member| member.status == MemberStatus::Accepted);
    Ok(member.and_then(|member| {
        let vault_id = member.vault_id.clone()?;
        Some((member, vault_id))
    }))
}

/// Books `bytes` in the vault that was measured for, if it still holds the backup.
pub async fn finish_measure_share(
    app: &App,
    lease: &Lease,
    member_id: &MemberId,
    measured_for: &VaultId,
    bytes: u64,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let vault = tx.lock_vault(measured_for).await?;
    match (vault, find_accepted(&mut tx, member_id).await?) {
        (Some(mut vault), Some((member, vault_id))) if vault_id == vault.id => {
            tx.account_member(member_id, &vault_id, bytes).await?;
            let before = vault.clone();
            let used = vault.used_bytes.saturating_sub(member.accounted_bytes) + bytes;
            vaults::rules::set_used(&mut vault, used);
            vault.updated_at = now;
            vaults::save(&mut tx, &vault).await?;
            notices::tell_of_use(app, &mut tx, &before, &vault, now).await?;
            super::finish(&mut tx, lease, now).await?;
        }
        // It was turned down and accepted into another vault meanwhile.
        (_, Some(_)) => {
            tx.retry_job(lease, "the receiver has chosen another vault", now)
                .await?;
        }
        (_, None) => {
            super::finish(&mut tx, lease, now).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The backup stays accepted; its vault shows none of it as used.
pub async fn fail_measure_share(app: &App, lease: &Lease, failure: Failure) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    if !tx.fail_job(lease, &failure.message, app.now()).await? {
        return Err(Error::LeaseLost);
    }
    tx.commit().await?;
    Ok(())
}

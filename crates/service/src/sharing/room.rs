//! What accepted backups take of their receivers' vaults.

use strongroom_db::{Member, Tx, Vault};
use strongroom_types::{MemberStatus, Timestamp};

use crate::{Error, vaults};

/// Ends members, and with them what they take of vaults. The owner's vault must be locked.
pub(crate) async fn withdraw(
    tx: &mut Tx,
    mut members: Vec<Member>,
    now: Timestamp,
) -> Result<(), Error> {
    // In one order for everybody who locks several.
    members.sort_unstable_by(|a, b| a.vault_id.cmp(&b.vault_id));
    for member in members {
        give_back(tx, &member, now).await?;
        tx.delete_member(&member.id).await?;
    }
    Ok(())
}

/// Frees what a member takes of its vault.
pub(super) async fn give_back(tx: &mut Tx, member: &Member, now: Timestamp) -> Result<(), Error> {
    let Some(vault_id) = &member.vault_id else {
        return Ok(());
    };
    let Some(mut vault) = tx.lock_vault(vault_id).await? else {
        return Err(Error::broken(format!(
            "vault {vault_id} is gone while it holds a shared backup"
        )));
    };
    // A measurement that was published before the lock was ours counts too.
    let current = tx.find_member_by_id(&member.id).await?;
    let bytes = current.map_or(0, |current| current.accounted_bytes);
    vault.used_bytes = vault.used_bytes.saturating_sub(bytes);
    vault.updated_at = now;
    vaults::save(tx, &vault).await
}

/// Turns down everything that a vault has accepted, because it is being deleted. Its lock must be held, and the caller
/// writes the row.
pub(crate) async fn leave_vault(
    tx: &mut Tx,
    vault: &mut Vault,
    now: Timestamp,
) -> Result<(), Error> {
    for member in tx.members_accepted_in(&vault.id).await? {
        vault.used_bytes = vault.used_bytes.saturating_sub(member.accounted_bytes);
        let turned_down = Member {
            status: MemberStatus::Rejected,
            vault_id: None,
            accounted_bytes: 0,
            updated_at: Some(now),
            ..member
        };
        if !tx
            .answer_member(&turned_down, MemberStatus::Accepted)
            .await?
        {
            return Err(Error::broken(
                "an accepted backup changed under its vault's lock",
            ));
        }
    }
    Ok(())
}

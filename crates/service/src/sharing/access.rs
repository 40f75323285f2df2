use strongroom_db::{Backup, Member, Tx};
use strongroom_types::{BackupId, MemberStatus, ProjectId, VaultId};

use crate::Error;

/// A backup that a project may see.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) backup: Backup,
    /// By whose right, where the backup is another project's. It may not have been accepted.
    pub(crate) member: Option<Member>,
}

impl Seen {
    /// The project's vault that holds the backup; none while an offer is not accepted.
    pub(crate) fn vault_id(&self) -> Option<&VaultId> {
        match &self.member {
            None => Some(&self.backup.vault_id),
            Some(member) => member.vault_id.as_ref(),
        }
    }

    /// Refuses what the project may see but not use.
    pub(crate) fn check_usable(&self) -> Result<(), Error> {
        match &self.member {
            Some(member) if member.status != MemberStatus::Accepted => Err(Error::ShareNotAccepted),
            _ => Ok(()),
        }
    }
}

/// A project's own backup, or one that is shared with it. Disks' backups go with their server's.
pub(crate) async fn find(tx: &mut Tx, project: &ProjectId, id: &BackupId) -> Result<Seen, Error> {
    let unknown = || Error::BackupNotFound {
        backup_id: id.clone(),
    };
    let backup = tx.find_backup(id).await?.ok_or_else(unknown)?;
    if backup.project_id == *project {
        return Ok(Seen {
            backup,
            member: None,
        });
    }
    let shared = backup.parent_id.as_ref().unwrap_or(&backup.id);
    let member = tx.find_member(shared, project).await?.ok_or_else(unknown)?;
    Ok(Seen {
        backup,
        member: Some(member),
    })
}

//! Moving the ends of backups that expire.

use strongroom_db::{Backup, OperationExtra, OperationLog, Vault};
use strongroom_types::{OperationLogId, OperationStatus, ProjectId, Timestamp, VaultId};

use crate::vaults::rules;
use crate::{Action, App, Caller, Error, vaults, work};

/// Until when backups are to be kept: to the end of a day in a zone.
#[derive(Debug, Clone)]
pub struct NewEnd {
    /// `YYYY-MM-DD`
    pub day: String,
    /// `UTC+08:00`
    pub zone: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedEnds {
    pub affected: u64,
    pub operation_log_id: OperationLogId,
}

/// Moves the end of every backup of the vault that has one; in a locked vault only to later. The operation is over when
/// this returns; its log says what it did.
pub async fn update(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    new: NewEnd,
) -> Result<MovedEnds, Error> {
    caller.authorise(Action::VaultsUpdateExpiration, project)?;
    let now = app.now();
    let end = Timestamp::end_of_day(&new.day, &new.zone)
        .map_err(|_| Error::invalid("expect_expiration_date or time_zone is none."))?;
    if end <= now {
        return Err(Error::invalid("expect_expiration_date is over already."));
    }
    let mut tx = app.db.begin().await?;
    let vault = vaults::owned(tx.lock_vault(vault_id).await?, project, vault_id)?;
    rules::check_changeable(&vault)?;
    let backups = tx.backups_of_vault(vault_id, None).await?;
    let mut affected = 0;
    for backup in backups.iter().filter(|backup| moves(&vault, backup, end)) {
        tx.update_backup_end(&backup.id, end, now).await?;
        affected += 1;
    }
    let extra = OperationExtra::UpdateExpirationTime {
        affected_backups_count: affected,
        expiration_day: new.day,
    };
    let log = OperationLog {
        status: OperationStatus::Success,
        progress: 100,
        ended_at: Some(now),
        ..work::new_log(app, &vault, None, extra, &caller.request_id, now)
    };
    tx.insert_operation_log(&log).await?;
    tx.commit().await?;
    Ok(MovedEnds {
        affected,
        operation_log_id: log.id,
    })
}

fn moves(vault: &Vault, backup: &Backup, end: Timestamp) -> bool {
    let Some(old) = backup.expired_at else {
        return false;
    };
    let shortened = end < old;
    backup.parent_id.is_none()
        && !backup.status.is_deleting()
        && end != old
        && !(vault.locked && shortened)
}

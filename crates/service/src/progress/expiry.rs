use strongroom_types::{Timestamp, VaultStatus};

use crate::{App, Error, backups};

/// Deletions started by one call; the next call goes on.
const STARTED_MAX: u64 = 100;

/// Starts the deletion of backups whose time has passed at `now`, at most 100 a call; answers how many.
pub async fn expire_backups(app: &App, now: Timestamp) -> Result<u64, Error> {
    let mut tx = app.db.read().await?;
    let expired = tx.expired_backups(now, STARTED_MAX).await?;
    drop(tx);
    let mut started = 0;
    for found in expired {
        let mut tx = app.db.begin().await?;
        let Some(vault) = tx.lock_vault(&found.vault_id).await? else {
            continue;
        };
        let backup = tx.find_backup(&found.id).await?;
        let Some(backup) = backup.filter(|backup| backup.status == found.status) else {
            continue;
        };
        if matches!(vault.status, VaultStatus::Deleting | VaultStatus::Frozen) {
            continue;
        }
        let children = tx.children_of_backup(&backup.id).await?;
        let by_members = tx
            .count_restores_by_members(&vault.id, None, Some(&backup.id))
            .await?;
        if by_members > 0 || children.iter().any(|child| child.status.is_restoring()) {
            continue;
        }
        let request_id = app.ids.hex32();
        backups::start_deletion(app, &mut tx, &vault, &backup, &request_id, now).await?;
        tx.commit().await?;
        started += 1;
    }
    if started > 0 {
        app.wake.notify_one();
    }
    Ok(started)
}

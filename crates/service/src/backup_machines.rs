//! What the machine of a backup was made of.

use strongroom_types::{BackupId, MachineRecord, ProjectId};

use crate::sharing;
use crate::{Action, App, Caller, Error};

/// Of a server's backup, or of one of its disks'; for its owner.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
) -> Result<MachineRecord, Error> {
    caller.authorise(Action::BackupsGetMachine, project)?;
    let mut tx = app.db.read().await?;
    let seen = sharing::find(&mut tx, project, id).await?;
    if seen.member.is_some() {
        return Err(Error::SharedBackup);
    }
    let server = seen.backup.parent_id.as_ref().unwrap_or(id);
    let found = tx.find_backup_machine(server).await?;
    found.ok_or_else(|| Error::MachineNotRecorded {
        backup_id: id.clone(),
    })
}

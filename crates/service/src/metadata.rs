//! What was known about a machine when its backup began. It is captured in the transaction that starts the backup, so that it
//! says how things were then, whatever has become of the machine since.

use serde::{Deserialize, Serialize};
use strongroom_db::{Backup, Tx, VaultResource};
use strongroom_types::{
    BackupId, ProjectId, ResourceType, ServerId, ServerStatus, Timestamp, VolumeId,
};

use crate::backups::{self, BackupView};
use crate::findings::Findings;
use crate::protectables::device_name;
use crate::stock::Stock;
use crate::{Action, App, Caller, Error, sharing};

/// Kept as JSON, so fields are only ever added, with a default. Where disks and sockets lie on their host is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSnapshot {
    /// The server, or the one that a disk by itself was attached to.
    pub server: Option<ServerSnapshot>,
    /// Of a server all disks, the system disk first, also those that the backup leaves out.
    pub volumes: Vec<VolumeSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSnapshot {
    pub id: ServerId,
    pub name: String,
    pub status: ServerStatus,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    pub id: VolumeId,
    pub name: String,
    pub size_bytes: u64,
    pub in_use: bool,
    pub created_at: Timestamp,
    /// `/dev/vda` is the system disk; absent when the disk was attached to no server.
    pub device: Option<String>,
    pub is_system: bool,
}

#[derive(Debug, Clone)]
pub struct MetadataView {
    pub backup: BackupView,
    pub machine: MachineSnapshot,
}

/// Keeps what is known about a resource whose backup begins in this transaction.
pub(crate) async fn capture(
    tx: &mut Tx,
    backup: &Backup,
    resource: &VaultResource,
    stock: &Stock,
    findings: &Findings,
) -> Result<(), Error> {
    let server = match resource.resource_type {
        ResourceType::Server => stock.server(&resource.resource_id),
        _ => stock.server_of(&resource.resource_id.clone().into()),
    };
    let disks = match (resource.resource_type, server) {
        (ResourceType::Server, Some(server)) => stock.disks_of(&server.id),
        _ => stock.protected_disks(resource),
    };
    let in_use = |id: &VolumeId| findings.is_locked(id);
    let held = disks.iter().any(|disk| in_use(&disk.volume.id));
    let volumes = disks.iter().map(|disk| {
        let volume = disk.volume;
        let found = findings
            .get(&volume.id)
            .and_then(|found| found.as_ref().ok());
        VolumeSnapshot {
            id: volume.id.clone(),
            name: volume.name.clone(),
            size_bytes: found.map_or(volume.size_bytes, |facts| facts.size_bytes),
            in_use: in_use(&volume.id),
            created_at: volume.created_at,
            device: stock
                .attachment(&volume.id)
                .map(|place| device_name(place.position)),
            is_system: disk.is_system,
        }
    });
    let snapshot = MachineSnapshot {
        volumes: volumes.collect(),
        server: server.map(|server| ServerSnapshot {
            id: server.id.clone(),
            name: server.name.clone(),
            status: if findings.is_on(&server.id, held) {
                ServerStatus::Active
            } else {
                ServerStatus::Shutoff
            },
            created_at: server.created_at,
        }),
    };
    let text = serde_json::to_string(&snapshot).map_err(|error| Error::Internal(error.into()))?;
    Ok(tx.insert_backup_metadata(&backup.id, &text).await?)
}

/// Of a finished backup, also of one that is shared and accepted. A disk of a server's backup has the server's.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
) -> Result<MetadataView, Error> {
    caller.authorise(Action::BackupsGetMetadata, project)?;
    let mut tx = app.db.read().await?;
    sharing::find(&mut tx, project, id).await?.check_usable()?;
    let view = backups::view(&mut tx, project, id).await?;
    let backup = &view.backup;
    if backup.status.is_protecting() {
        return Err(Error::MetadataNotReady {
            message: format!("the backup is {}: its metadata is not ready", backup.status),
        });
    }
    let top = backup.parent_id.as_ref().unwrap_or(&backup.id);
    let text = tx.find_backup_metadata(top).await?;
    let text = text.ok_or_else(|| Error::MetadataNotReady {
        message: "the backup was made before metadata was kept".to_owned(),
    })?;
    let machine = serde_json::from_str(&text).map_err(|error| Error::Internal(error.into()))?;
    Ok(MetadataView {
        backup: view,
        machine,
    })
}

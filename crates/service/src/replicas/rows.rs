//! The rows that a transfer begins with.

use strongroom_db::{
    Backup, Checkpoint, JsonText, OperationExtra, OperationLog, ReplicationTask, Vault,
};
use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, CheckpointStatus, ImageType, OperationStatus,
    ResourceType, Timestamp, gib_ceil,
};

use crate::App;
use crate::peers::{NewReplica, NewReplicaDisk, PeerCaller, ReplicaRules};
use crate::work::{self, Subject};

pub(super) fn new_checkpoint(
    app: &App,
    vault: &Vault,
    new: &NewReplica,
    now: Timestamp,
) -> Checkpoint {
    Checkpoint {
        id: CheckpointId::random(&*app.ids),
        project_id: vault.project_id.clone(),
        vault_id: vault.id.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        status: CheckpointStatus::Protecting,
        retention_days: -1,
        skipped_resources: JsonText(Vec::new()),
        created_at: now,
    }
}

pub(super) fn new_backup(
    app: &App,
    vault: &Vault,
    checkpoint: &Checkpoint,
    new: &NewReplica,
    now: Timestamp,
) -> Backup {
    Backup {
        id: BackupId::random(&*app.ids),
        project_id: vault.project_id.clone(),
        vault_id: vault.id.clone(),
        checkpoint_id: checkpoint.id.clone(),
        parent_id: None,
        resource_id: new.server_id.clone(),
        resource_type: ResourceType::Server,
        resource_name: new.server_name.clone(),
        resource_size_gb: new.disks.iter().map(|disk| gib_ceil(disk.size_bytes)).sum(),
        name: new.name.clone(),
        description: new.description.clone(),
        status: BackupStatus::Protecting,
        image_type: ImageType::Replication,
        incremental: false,
        auto_trigger: new.auto_trigger,
        system_disk: new.disks.iter().any(|disk| disk.system_disk),
        progress: 0,
        point_id: None,
        size_bytes: new.disks.iter().map(|disk| disk.size_bytes).sum(),
        stored_bytes: 0,
        trouble: None,
        trouble_message: String::new(),
        policy_id: None,
        retention: None,
        quiesce: None,
        created_at: now,
        updated_at: now,
        // Of the source's data, and shown as soon as there is something to show it of.
        protected_at: Some(new.protected_at),
        expired_at: None,
    }
}

/// The backup as the rules that come with the copy keep it. What nobody's policy sends has none.
pub(super) fn kept_by(top: Backup, new: &NewReplica, kept_from: Timestamp) -> Backup {
    let Some(ReplicaRules {
        policy_id,
        retention,
    }) = new.rules.clone().filter(|_| new.auto_trigger)
    else {
        return top;
    };
    Backup {
        policy_id: Some(policy_id),
        expired_at: retention.copy_expires_at(new.protected_at, kept_from),
        retention: Some(JsonText(retention)),
        ..top
    }
}

pub(super) fn new_disk(app: &App, top: &Backup, disk: &NewReplicaDisk) -> Backup {
    Backup {
        id: BackupId::random(&*app.ids),
        parent_id: Some(top.id.clone()),
        resource_id: disk.volume_id.clone(),
        resource_type: ResourceType::Volume,
        resource_name: disk.name.clone(),
        resource_size_gb: gib_ceil(disk.size_bytes),
        size_bytes: disk.size_bytes,
        system_disk: disk.system_disk,
        ..top.clone()
    }
}

pub(super) fn new_log(
    app: &App,
    caller: &PeerCaller,
    vault: &Vault,
    top: &Backup,
    new: &NewReplica,
) -> OperationLog {
    let task = ReplicationTask {
        source_region: caller.peer.region.clone(),
        source_project_id: new.source_project_id.clone(),
        source_checkpoint_id: new.source_checkpoint_id.clone(),
        source_backup_id: new.source_backup_id.clone(),
        source_backup_name: new.name.clone(),
        destination_region: app.settings.region.clone(),
        destination_project_id: vault.project_id.clone(),
        destination_checkpoint_id: Some(top.checkpoint_id.clone()),
        destination_backup_id: Some(top.id.clone()),
        destination_backup_name: top.name.clone(),
    };
    let subject = Subject {
        id: &top.resource_id,
        resource_type: top.resource_type,
        name: &top.resource_name,
    };
    let extra = OperationExtra::Replication(task);
    OperationLog {
        status: OperationStatus::Running,
        checkpoint_id: Some(top.checkpoint_id.clone()),
        ..work::new_log(
            app,
            vault,
            Some(&subject),
            extra,
            &caller.request_id,
            top.created_at,
        )
    }
}

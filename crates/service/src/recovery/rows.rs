//! The rows that a backup had, from what its points say.

use strongroom_db::{Backup, JsonText, Vault};
use strongroom_types::{
    BackupStatus, ProjectId, ProtectType, ResourceType, Timestamp, Trouble, VaultStatus, gib_ceil,
};

use super::{FoundBackup, FoundPoint, Recoverer};
use crate::Provenance;

pub(super) fn vault(project: &ProjectId, by: &Recoverer, of: &Provenance, now: Timestamp) -> Vault {
    let note = &of.vault;
    Vault {
        id: of.vault_id.clone(),
        project_id: project.clone(),
        user_id: by.user_id.clone(),
        name: note.name.clone(),
        description: note.description.clone(),
        object_type: note.object_type,
        protect_type: note.protect_type,
        consistent_level: note.consistent_level,
        cloud_type: note.cloud_type,
        charging_mode: note.charging_mode,
        size_gb: note.size_gb,
        used_bytes: 0,
        status: VaultStatus::Available,
        auto_bind: false,
        auto_expand: note.auto_expand,
        bind_rules: None,
        smn_notify: note.smn_notify,
        threshold: note.threshold,
        locked: note.locked,
        is_multi_az: false,
        demand_billing: note.demand_billing,
        backup_name_prefix: note.backup_name_prefix.clone(),
        enterprise_project_id: note.enterprise_project_id.clone(),
        availability_zone: String::new(),
        sys_lock_source_service: String::new(),
        order_id: None,
        term_ends_at: note.term_ends_at,
        version: 0,
        created_at: note.created_at,
        updated_at: now,
    }
}

/// The row that is listed, and below a server's one for each disk.
pub(super) fn backups(vault: &Vault, found: &FoundBackup, now: Timestamp) -> (Backup, Vec<Backup>) {
    let first = &found.disks[0];
    let Some(server) = &first.provenance.server else {
        return (disk(vault, first, now), Vec::new());
    };
    let children: Vec<_> = found
        .disks
        .iter()
        .map(|point| disk(vault, point, now))
        .collect();
    let missing = server.disks.saturating_sub(children.len() as u64);
    let broken = children.iter().find(|child| child.trouble.is_some());
    let message = match broken {
        _ if missing > 0 => format!(
            "{missing} of its {} disks are not in the storage",
            server.disks
        ),
        Some(child) => child.trouble_message.clone(),
        None => String::new(),
    };
    let is_whole = message.is_empty();
    let top = Backup {
        id: found.id.clone(),
        parent_id: None,
        resource_id: server.id.clone().into(),
        resource_type: ResourceType::Server,
        resource_name: server.name.clone(),
        resource_size_gb: children.iter().map(|child| child.resource_size_gb).sum(),
        name: server.backup_name.clone(),
        status: status(is_whole),
        system_disk: server.contains_system_disk,
        progress: if is_whole { 100 } else { 0 },
        point_id: None,
        size_bytes: children.iter().map(|child| child.size_bytes).sum(),
        stored_bytes: children.iter().map(|child| child.stored_bytes).sum(),
        trouble: (!is_whole).then_some(Trouble::DataDamaged),
        trouble_message: message,
        ..children[0].clone()
    };
    (top, children)
}

fn disk(vault: &Vault, point: &FoundPoint, now: Timestamp) -> Backup {
    let of = &point.provenance;
    let is_whole = !point.is_damaged;
    // What another installation wrote expires there.
    let ends_here = vault.protect_type != ProtectType::Hybrid;
    let retention = of.backup.retention.clone().filter(|_| ends_here);
    Backup {
        id: of.backup_id.clone(),
        project_id: vault.project_id.clone(),
        vault_id: vault.id.clone(),
        checkpoint_id: of.checkpoint_id.clone(),
        parent_id: of.parent_backup_id.clone(),
        resource_id: of.resource_id.clone(),
        resource_type: ResourceType::Volume,
        resource_name: of.resource_name.clone(),
        resource_size_gb: gib_ceil(point.size_bytes),
        name: of.backup_name.clone(),
        description: of.backup.description.clone(),
        status: status(is_whole),
        image_type: of.backup.image_type,
        incremental: of.backup.incremental,
        auto_trigger: of.backup.auto_trigger,
        system_disk: of.system_disk,
        progress: if is_whole { 100 } else { 0 },
        point_id: Some(point.point_id.clone()),
        size_bytes: point.size_bytes,
        stored_bytes: point.stored_bytes,
        trouble: point.is_damaged.then_some(Trouble::DataDamaged),
        trouble_message: if is_whole {
            String::new()
        } else {
            format!("data of the disk {} is damaged or missing", of.resource_id)
        },
        policy_id: of.backup.policy_id.clone().filter(|_| ends_here),
        retention: retention.map(JsonText),
        quiesce: None,
        created_at: of.backup.created_at,
        updated_at: now,
        protected_at: Some(of.backup.protected_at),
        expired_at: of.backup.expired_at.filter(|_| ends_here),
    }
}

const fn status(is_whole: bool) -> BackupStatus {
    if is_whole {
        BackupStatus::Available
    } else {
        BackupStatus::Error
    }
}

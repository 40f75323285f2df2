use serde::Serialize;
use strongroom_service::Settings;
use strongroom_service::guests::AgentCheck;
use strongroom_service::metadata::{MachineSnapshot, MetadataView, ServerSnapshot, VolumeSnapshot};
use strongroom_types::{ProjectId, gib_ceil};
use strongroom_wire::CbrTime;
use strongroom_wire::agent_checks::CheckedAgent;
use strongroom_wire::metadata::BackupMetadata;
use strongroom_wire::protectables::{AttachedVolume, DiskAttachment, DiskDetail, ServerDetail};

use super::backups::{Shown, backup};
use crate::ApiError;

const NOTHING_KNOWN: &str = "{}";

pub(crate) fn agent_status(check: AgentCheck) -> CheckedAgent {
    CheckedAgent {
        resource_id: check.resource_id,
        installed: check.facts.is_some(),
        is_old: false,
        version: check.facts.map(|facts| facts.version).unwrap_or_default(),
        code: None,
        message: check.message,
    }
}

pub(crate) fn backup_metadata(
    view: MetadataView,
    settings: &Settings,
) -> Result<BackupMetadata, ApiError> {
    let MetadataView {
        backup: of_backup,
        machine,
    } = view;
    let server = machine.server.as_ref();
    let detail = server.map(|server| server_detail(server, &machine, &of_backup.backup.project_id));
    let volumes = machine.volumes.iter();
    let volumes = volumes.map(|volume| json_text(&disk_detail(volume, server)));
    let shown = Shown {
        availability_zone: &settings.availability_zone,
        region: &settings.region,
        replication: false,
    };
    Ok(BackupMetadata {
        backup_id: of_backup.backup.id.clone(),
        flavor: NOTHING_KNOWN.to_owned(),
        floatingips: vec![],
        interface: NOTHING_KNOWN.to_owned(),
        ports: vec![],
        server: match detail {
            None => NOTHING_KNOWN.to_owned(),
            Some(detail) => json_text(&detail)?,
        },
        volumes: volumes.collect::<Result<_, _>>()?,
        backups: json_text(&backup(of_backup, shown))?,
    })
}

fn json_text(value: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(ApiError::internal)
}

fn server_detail(
    server: &ServerSnapshot,
    machine: &MachineSnapshot,
    project: &ProjectId,
) -> ServerDetail {
    let attached = machine.volumes.iter().enumerate();
    let attached = attached.map(|(position, volume)| AttachedVolume {
        id: volume.id.clone(),
        device: volume.device.clone().unwrap_or_default(),
        boot_index: position.to_string(),
    });
    ServerDetail {
        id: server.id.clone(),
        name: server.name.clone(),
        status: server.status.to_string(),
        tenant_id: project.clone(),
        created: CbrTime(server.created_at),
        volumes_attached: attached.collect(),
    }
}

fn disk_detail(volume: &VolumeSnapshot, server: Option<&ServerSnapshot>) -> DiskDetail {
    let status = if volume.in_use { "in-use" } else { "available" };
    let attachments = server.into_iter().map(|server| DiskAttachment {
        server_id: server.id.clone(),
        volume_id: volume.id.clone(),
        device: volume.device.clone().unwrap_or_default(),
    });
    DiskDetail {
        id: volume.id.clone(),
        name: volume.name.clone(),
        status: status.to_owned(),
        size: gib_ceil(volume.size_bytes),
        created_at: CbrTime(volume.created_at),
        bootable: volume.is_system.to_string(),
        attachments: attachments.collect(),
    }
}

use strongroom_service::protectables::{
    DiskView, Protectability as Verdict, ProtectableDisk as DiskInstance, ProtectableFilter,
    ProtectableServer, ProtectableView,
};
use strongroom_types::ResourceType;
use strongroom_wire::CbrTime;
use strongroom_wire::protectables::{
    AttachedVolume, DiskAttachment, DiskDetail, ListProtectablesQuery, Protectability, Protectable,
    ProtectableDetail, ProtectableDisk, ServerDetail,
};
use strongroom_wire::values::{Label, ShortText};

use super::vaults::vault;
use crate::error::code_of_trouble;

/// Every instance of a page is examined on disk, so pages are small unless a client asks for more.
pub(crate) const DEFAULT_LIMIT: u64 = 50;

pub(crate) fn protectable_filter(query: ListProtectablesQuery) -> ProtectableFilter {
    ProtectableFilter {
        name: query.name.map(Label::into_string),
        id: query.id,
        status: query.status.map(ShortText::into_string),
        server_id: query.server_id,
    }
}

pub(crate) fn protectable(view: ProtectableView) -> Protectable {
    match view {
        ProtectableView::Server(server) => server_instance(*server),
        ProtectableView::Disk(disk) => disk_instance(*disk),
    }
}

fn server_instance(view: ProtectableServer) -> Protectable {
    let detail = server_detail(&view);
    Protectable {
        id: view.server.id.into(),
        resource_type: ResourceType::Server,
        name: view.server.name,
        size: view.size_gb,
        status: view.status.to_string(),
        protectable: protectability(view.protectability),
        detail: ProtectableDetail::Server(detail),
        children: view.disks.into_iter().map(child).collect(),
    }
}

fn server_detail(view: &ProtectableServer) -> ServerDetail {
    let attached = view.disks.iter().enumerate().map(|(position, disk)| {
        let attachment = disk.attachment.as_ref();
        AttachedVolume {
            id: disk.volume.id.clone(),
            device: attachment.map_or_else(String::new, |attachment| attachment.device.clone()),
            boot_index: position.to_string(),
        }
    });
    ServerDetail {
        id: view.server.id.clone(),
        name: view.server.name.clone(),
        status: view.status.to_string(),
        tenant_id: view.server.project_id.clone(),
        created: CbrTime(view.server.created_at),
        volumes_attached: attached.collect(),
    }
}

fn disk_instance(view: DiskInstance) -> Protectable {
    let disk = view.disk;
    Protectable {
        detail: ProtectableDetail::Disk(disk_detail(&disk)),
        id: disk.volume.id.into(),
        resource_type: ResourceType::Volume,
        name: disk.volume.name,
        size: disk.size_gb,
        status: disk.status.as_str().to_owned(),
        protectable: protectability(view.protectability),
        children: vec![],
    }
}

fn child(disk: DiskView) -> ProtectableDisk {
    let detail = disk_detail(&disk);
    let (vault_id, vault_name) = disk.vault.unzip();
    ProtectableDisk {
        id: disk.volume.id.into(),
        resource_type: ResourceType::Volume,
        name: disk.volume.name,
        size: disk.size_gb,
        status: disk.status.as_str().to_owned(),
        detail,
        children: vec![],
        vault_id,
        vault_name,
    }
}

fn disk_detail(disk: &DiskView) -> DiskDetail {
    let bootable = disk.attachment.as_ref().is_some_and(|place| place.bootable);
    let attachments = disk.attachment.iter().map(|place| DiskAttachment {
        server_id: place.server_id.clone(),
        volume_id: disk.volume.id.clone(),
        device: place.device.clone(),
    });
    DiskDetail {
        id: disk.volume.id.clone(),
        name: disk.volume.name.clone(),
        status: disk.status.as_str().to_owned(),
        size: disk.size_gb,
        created_at: CbrTime(disk.volume.created_at),
        bootable: bootable.to_string(),
        attachments: attachments.collect(),
    }
}

fn protectability(verdict: Verdict) -> Protectability {
    let code = verdict
        .trouble
        .map(|trouble| code_of_trouble(trouble).as_str());
    Protectability {
        result: code.is_none(),
        code: code.unwrap_or_default().to_owned(),
        reason: verdict.reason,
        vault: verdict.vault.map(|view| Box::new(vault(view))),
    }
}

use strongroom_service::resources::NewResource;
use strongroom_service::rows;
use strongroom_types::mib_ceil;
use strongroom_wire::resources::{IncludedVolume, ResourceExtra, ResourceRequest, VaultResource};
use strongroom_wire::values::{Label, ShortText};

pub(crate) fn new_resource(request: ResourceRequest) -> NewResource {
    let extra = request.extra_info.unwrap_or_default();
    let included = extra.include_volumes.map(|volumes| {
        let included =
            |volume: strongroom_wire::resources::IncludedVolumeRequest| rows::IncludedVolume {
                id: volume.id,
                os_version: volume.os_version.map(ShortText::into_string),
            };
        volumes.into_iter().map(included).collect()
    });
    NewResource {
        id: request.id,
        resource_type: request.resource_type,
        name: request
            .name
            .map(Label::into_string)
            .filter(|name| !name.is_empty()),
        exclude_volumes: extra.exclude_volumes,
        include_volumes: included,
    }
}

pub(crate) fn vault_resource(row: rows::VaultResource) -> VaultResource {
    let included = row.include_volumes.map(|volumes| {
        let included = |volume: rows::IncludedVolume| IncludedVolume {
            id: volume.id,
            os_version: volume.os_version,
        };
        volumes.0.into_iter().map(included).collect()
    });
    VaultResource {
        id: row.resource_id,
        resource_type: row.resource_type,
        name: row.name,
        auto_protect: row.auto_protect,
        size: row.size_gb,
        backup_size: mib_ceil(row.backup_bytes),
        backup_count: row.backup_count,
        protect_status: Some(row.protect_status),
        extra_info: ResourceExtra {
            exclude_volumes: row.exclude_volumes.map(|volumes| volumes.0),
            include_volumes: included,
        },
    }
}

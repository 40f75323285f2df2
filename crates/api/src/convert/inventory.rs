//! Volumes, servers and orders: our own extension.

use strongroom_service::LibvirtDomain;
use strongroom_service::inventory::{NewServer, NewVolume, ServerView, VolumeView};
use strongroom_service::orders::{OrderRequest, OrderView};
use strongroom_service::rows;
use strongroom_wire::CbrTime;
use strongroom_wire::inventory::{AddServerRequest, AddVolumeRequest, Libvirt, Server, Volume};
use strongroom_wire::orders::Order;
use strongroom_wire::tags::NewTag;
use strongroom_wire::values::{DiskPlace, SocketPath};

use super::check_count;
use super::vaults::tags;
use crate::ApiError;

/// More disks than any machine has.
const DISKS_MAX: usize = 60;

/// More than any use of tags as a filter needs.
const TAGS_MAX: usize = 20;

pub(crate) fn inventory_tags(given: Vec<NewTag>) -> Result<Vec<rows::Tag>, ApiError> {
    tags("tags", given, TAGS_MAX)
}

pub(crate) fn new_volume(request: AddVolumeRequest) -> Result<NewVolume, ApiError> {
    Ok(NewVolume {
        id: request.id,
        name: request.name.into_string(),
        path: request.path.into_string(),
        tags: inventory_tags(request.tags.unwrap_or_default())?,
    })
}

pub(crate) fn new_server(request: AddServerRequest) -> Result<NewServer, ApiError> {
    check_count("disks", &request.disks, 1..=DISKS_MAX)?;
    Ok(NewServer {
        id: request.id,
        name: request.name.into_string(),
        disks: request
            .disks
            .into_iter()
            .map(DiskPlace::into_string)
            .collect(),
        qmp_socket: request.qmp.map(SocketPath::into_string),
        guest_agent_socket: request.guest_agent.map(SocketPath::into_string),
        libvirt: request.libvirt.map(|libvirt| LibvirtDomain {
            uri: libvirt.uri.into_string(),
            domain: libvirt.domain.into_string(),
        }),
        tags: inventory_tags(request.tags.unwrap_or_default())?,
    })
}

pub(crate) fn volume(view: VolumeView) -> Volume {
    let row = view.volume;
    Volume {
        id: row.id,
        project_id: row.project_id,
        name: row.name,
        path: row.path,
        format: row.format,
        size_bytes: row.size_bytes,
        server_id: view.server_id,
        created_at: CbrTime(row.created_at),
    }
}

pub(crate) fn server(view: ServerView) -> Server {
    let row = view.server;
    let libvirt =
        LibvirtDomain::of(&row).map(|LibvirtDomain { uri, domain }| Libvirt { uri, domain });
    let of_server = |row_of_volume| {
        volume(VolumeView {
            volume: row_of_volume,
            server_id: Some(row.id.clone()),
        })
    };
    let volumes = view.volumes.into_iter().map(of_server).collect();
    Server {
        id: row.id,
        project_id: row.project_id,
        name: row.name,
        volumes,
        qmp: row.qmp_socket,
        guest_agent: row.guest_agent_socket,
        libvirt,
        proven_at: view.proven_at.map(CbrTime),
        created_at: CbrTime(row.created_at),
    }
}

pub(crate) fn order(view: OrderView) -> Order {
    let row = view.order;
    Order {
        id: row.id,
        project_id: row.project_id,
        user_id: row.user_id,
        vault_id: row.vault_id,
        vault_name: match view.request {
            OrderRequest::Create(new) => Some(new.name),
            OrderRequest::ChargeMode(_) | OrderRequest::Resize(_) => None,
        },
        kind: row.kind,
        status: row.status,
        created_at: CbrTime(row.created_at),
        decided_at: row.decided_at.map(CbrTime),
    }
}

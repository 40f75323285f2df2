//! What can be protected, as it stands now.

use strongroom_db::{Page, Server, Volume};
use strongroom_types::{ProjectId, ResourceId, ServerId, ServerStatus, Trouble, VaultId};

use crate::vaults::VaultView;
use crate::{App, Caller, Error};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectableKind {
    Server,
    Disk,
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct ProtectableFilter {
    /// The whole name.
    pub name: Option<String>,
    pub id: Option<ResourceId>,
    /// As shown: `ACTIVE`, `SHUTOFF`, `ERROR`, `in-use`, `available` or `error`, in any case.
    pub status: Option<String>,
    /// Disks of this server.
    pub server_id: Option<ServerId>,
}

#[derive(Debug, Clone)]
pub enum ProtectableView {
    Server(Box<ProtectableServer>),
    Disk(Box<ProtectableDisk>),
}

#[derive(Debug, Clone)]
pub struct ProtectableServer {
    pub server: Server,
    pub status: ServerStatus,
    /// Sum of the disks' sizes.
    pub size_gb: u64,
    pub protectability: Protectability,
    /// The system disk first.
    pub disks: Vec<DiskView>,
}

#[derive(Debug, Clone)]
pub struct ProtectableDisk {
    pub disk: DiskView,
    pub protectability: Protectability,
}

/// Whether a vault may take the resource.
#[derive(Debug, Clone)]
pub struct Protectability {
    /// Why not; a resource in a vault is protectable.
    pub trouble: Option<Trouble>,
    /// Empty when protectable.
    pub reason: String,
    /// The vault that protects it already.
    pub vault: Option<VaultView>,
}

#[derive(Debug, Clone)]
pub struct DiskView {
    /// `size_bytes` is what the file says now, where it can be read.
    pub volume: Volume,
    pub status: DiskStatus,
    pub size_gb: u64,
    pub attachment: Option<DiskAttachment>,
    /// The vault that protects the disk, itself or with its server.
    pub vault: Option<(VaultId, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskAttachment {
    pub server_id: ServerId,
    /// `/dev/vda` is the system disk.
    pub device: String,
    pub bootable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskStatus {
    Available,
    InUse,
    Error,
}

impl DiskStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::InUse => "in-use",
            Self::Error => "error",
        }
    }
}

/// The page, by name, and how many match in all. Every disk shown is examined, so pages are small (50).
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    kind: ProtectableKind,
    filter: &ProtectableFilter,
    page: &Page,
) -> Result<(Vec<ProtectableView>, u64), Error> {
    todo!()
}

/// `ResourceNotFound` for an unknown id.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    kind: ProtectableKind,
    id: &ResourceId,
) -> Result<ProtectableView, Error> {
    todo!()
}

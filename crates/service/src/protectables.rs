//! What can be protected, as it stands now.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_db::{InventoryFilter, Page, Server, Tx, VaultResource, Volume};
use strongroom_types::{
    ProjectId, ResourceId, ResourceType, ServerId, ServerStatus, Trouble, VaultId, VolumeId,
    gib_ceil,
};

use crate::findings::Findings;
use crate::stock::{Stock, chooses};
use crate::vaults::{self, VaultView};
use crate::{Action, App, Caller, DiskFacts, Error};

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

/// A page with a filter on the state looks at this many of the inventory's first rows, since states are asked of
/// the disks themselves.
const EXAMINED_MAX: u64 = 1000;

/// The page, by name, and how many match in all. Every disk shown is examined, so pages are small (50).
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    kind: ProtectableKind,
    filter: &ProtectableFilter,
    page: &Page,
) -> Result<(Vec<ProtectableView>, u64), Error> {
    caller.authorise(Action::VaultsListProtectables, project)?;
    let wanted = InventoryFilter {
        name: filter.name.clone(),
        id: filter.id.as_ref().map(ToString::to_string),
        server_id: filter.server_id.clone(),
    };
    let Some(status) = &filter.status else {
        return show(app, project, kind, &wanted, page).await;
    };
    let (mut views, _) = show(app, project, kind, &wanted, &Page::first(EXAMINED_MAX)).await?;
    views.retain(|view| view.status().eq_ignore_ascii_case(status));
    cut(views, page)
}

/// Takes one page out of a list that is in memory whole.
fn cut(views: Vec<ProtectableView>, page: &Page) -> Result<(Vec<ProtectableView>, u64), Error> {
    let total = views.len() as u64;
    let after_marker = match &page.marker {
        None => 0,
        Some(marker) => {
            let place = views.iter().position(|view| view.id().as_str() == marker);
            1 + place.ok_or(strongroom_db::Error::UnknownMarker)?
        }
    };
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let start = after_marker.saturating_add(offset);
    Ok((views.into_iter().skip(start).take(limit).collect(), total))
}

/// `ResourceNotFound` for an unknown id.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    kind: ProtectableKind,
    id: &ResourceId,
) -> Result<ProtectableView, Error> {
    caller.authorise(Action::VaultsGetProtectables, project)?;
    let wanted = InventoryFilter {
        id: Some(id.to_string()),
        ..InventoryFilter::default()
    };
    let (mut views, _) = show(app, project, kind, &wanted, &Page::first(1)).await?;
    views.pop().ok_or_else(|| Error::ResourceNotFound {
        resource_id: id.clone(),
    })
}

async fn show(
    app: &App,
    project: &ProjectId,
    kind: ProtectableKind,
    wanted: &InventoryFilter,
    page: &Page,
) -> Result<(Vec<ProtectableView>, u64), Error> {
    let mut tx = app.db.read().await?;
    let (ids, total) = match kind {
        ProtectableKind::Server => {
            let listed = tx.list_servers(project, wanted, page).await?;
            let ids = listed.rows.into_iter().map(|row| ResourceId::from(row.id));
            (ids.collect::<Vec<_>>(), listed.total)
        }
        ProtectableKind::Disk => {
            let listed = tx.list_volumes(project, wanted, page).await?;
            let ids = listed.rows.into_iter().map(|row| ResourceId::from(row.id));
            (ids.collect(), listed.total)
        }
    };
    let resource_type = match kind {
        ProtectableKind::Server => ResourceType::Server,
        ProtectableKind::Disk => ResourceType::Volume,
    };
    let stock = Stock::load(&mut tx, project, ids.iter().map(|id| (id, resource_type))).await?;
    let protection = Protection::load(&mut tx, &stock).await?;
    drop(tx);
    let findings = Findings::gather(app, stock.volumes(), stock.machines()).await;
    let scene = Scene {
        stock,
        protection,
        findings,
    };
    let views = ids.iter().filter_map(|id| match kind {
        ProtectableKind::Server => Some(scene.server(scene.stock.server(id)?)),
        ProtectableKind::Disk => Some(scene.disk(scene.stock.volume(id)?)),
    });
    Ok((views.collect(), total))
}

impl ProtectableView {
    fn id(&self) -> ResourceId {
        match self {
            Self::Server(server) => server.server.id.clone().into(),
            Self::Disk(disk) => disk.disk.volume.id.clone().into(),
        }
    }

    fn status(&self) -> &'static str {
        match self {
            Self::Server(server) => server.status.as_str(),
            Self::Disk(disk) => disk.disk.status.as_str(),
        }
    }
}

/// The vaults around some resources, and the restores onto them.
#[derive(Debug)]
struct Protection {
    rows: BTreeMap<ResourceId, VaultResource>,
    vaults: BTreeMap<VaultId, VaultView>,
    /// Held by a restore, not by a machine.
    restored: BTreeSet<VolumeId>,
}

impl Protection {
    async fn load(tx: &mut Tx, stock: &Stock) -> Result<Self, Error> {
        let mut ids: Vec<ResourceId> = stock.volumes().map(|v| v.id.clone().into()).collect();
        ids.extend(stock.servers().map(|server| server.id.clone().into()));
        let rows = tx.vault_resources_by_id(&ids).await?;
        let vaults: Vec<_> = rows.iter().map(|row| row.vault_id.clone()).collect();
        let vaults = tx.vaults_by_id(&vaults).await?;
        let views = vaults::views(tx, vaults).await?.into_iter();
        let volumes: Vec<_> = stock.volumes().map(|volume| volume.id.clone()).collect();
        let restored = tx.restore_targets_of(&volumes).await?.into_iter();
        Ok(Self {
            restored: restored.map(|target| target.volume_id).collect(),
            rows: rows
                .into_iter()
                .map(|row| (row.resource_id.clone(), row))
                .collect(),
            vaults: views.map(|view| (view.vault.id.clone(), view)).collect(),
        })
    }

    /// The vault that protects a resource by its own id.
    fn vault(&self, id: &ResourceId) -> Option<&VaultView> {
        self.vaults.get(&self.rows.get(id)?.vault_id)
    }

    /// The vault that protects a volume, itself or with its server.
    fn vault_of_volume(&self, stock: &Stock, id: &VolumeId) -> Option<&VaultView> {
        let server = stock.server_of(id).map(|s| ResourceId::from(s.id.clone()));
        let with_server = server.filter(|s| self.rows.get(s).is_some_and(|row| chooses(row, id)));
        self.vault(&with_server.unwrap_or_else(|| id.clone().into()))
    }
}

#[derive(Debug)]
struct Scene {
    stock: Stock,
    protection: Protection,
    findings: Findings,
}

impl Scene {
    fn server(&self, server: &Server) -> ProtectableView {
        let disks: Vec<_> = self
            .stock
            .disks_of(&server.id)
            .into_iter()
            .map(|disk| self.disk_view(disk.volume))
            .collect();
        let broken = disks.iter().find_map(|disk| self.trouble(&disk.volume.id));
        let held = |disk: &DiskView| {
            let id = &disk.volume.id;
            self.facts(id).is_some_and(|facts| facts.in_use)
                && !self.protection.restored.contains(id)
        };
        let status = if broken.is_some() {
            ServerStatus::Error
        } else if self.findings.is_on(&server.id, disks.iter().any(held)) {
            ServerStatus::Active
        } else {
            ServerStatus::Shutoff
        };
        let without_disks = disks.is_empty().then(|| {
            (
                Trouble::ServerWithoutDisks,
                "the server has no disks".to_owned(),
            )
        });
        let volumes = disks.iter().map(|disk| &disk.volume);
        let machine = self.findings.machine_trouble(&server.id, volumes);
        let trouble = broken.or(without_disks).or(machine);
        let vault = self.protection.vault(&server.id.clone().into());
        ProtectableView::Server(Box::new(ProtectableServer {
            server: server.clone(),
            status,
            size_gb: disks.iter().map(|disk| disk.size_gb).sum(),
            protectability: protectability(trouble, vault),
            disks,
        }))
    }

    fn disk(&self, volume: &Volume) -> ProtectableView {
        let vault = self.protection.vault_of_volume(&self.stock, &volume.id);
        ProtectableView::Disk(Box::new(ProtectableDisk {
            disk: self.disk_view(volume),
            protectability: protectability(self.trouble(&volume.id), vault),
        }))
    }

    fn facts(&self, id: &VolumeId) -> Option<&DiskFacts> {
        self.findings.get(id)?.as_ref().ok()
    }

    fn trouble(&self, id: &VolumeId) -> Option<(Trouble, String)> {
        match self.findings.get(id) {
            Some(Err(error)) => Some((error.trouble(), format!("the disk {id}: {error}"))),
            Some(Ok(_)) | None => None,
        }
    }

    fn disk_view(&self, volume: &Volume) -> DiskView {
        let mut volume = volume.clone();
        let attachment = self.stock.attachment(&volume.id);
        let status = match self.facts(&volume.id) {
            None => DiskStatus::Error,
            Some(facts) => {
                volume.size_bytes = facts.size_bytes;
                if facts.in_use || attachment.is_some() {
                    DiskStatus::InUse
                } else {
                    DiskStatus::Available
                }
            }
        };
        let vault = self.protection.vault_of_volume(&self.stock, &volume.id);
        DiskView {
            status,
            size_gb: gib_ceil(volume.size_bytes),
            attachment: attachment.map(|a| DiskAttachment {
                server_id: a.server_id.clone(),
                device: device_name(a.position),
                bootable: a.position == 0,
            }),
            vault: vault.map(|view| (view.vault.id.clone(), view.vault.name.clone())),
            volume,
        }
    }
}

fn protectability(trouble: Option<(Trouble, String)>, vault: Option<&VaultView>) -> Protectability {
    let (trouble, reason) = trouble.unzip();
    Protectability {
        trouble,
        reason: reason.unwrap_or_default(),
        vault: vault.cloned(),
    }
}

/// `/dev/vda`, …, `/dev/vdz`, `/dev/vdaa`, as the guest's kernel numbers them.
pub(crate) fn device_name(position: u64) -> String {
    let mut letters = Vec::new();
    let mut rest = position;
    loop {
        letters.push(char::from(b'a' + u8::try_from(rest % 26).unwrap_or(0)));
        rest /= 26;
        if rest == 0 {
            break;
        }
        rest -= 1;
    }
    let letters: String = letters.into_iter().rev().collect();
    format!("/dev/vd{letters}")
}

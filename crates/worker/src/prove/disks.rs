//! The disks of a proof's machine: points under overlays, each behind a socket of its own.

use std::path::Path;
use std::sync::Arc;

use strongroom_attach::{Overlay, PointExport, bind};
use strongroom_nbd::{Export, Fault, Limits, Listener, Server};
use strongroom_repo::{PointId, PointView, Repository};
use tokio::runtime::Handle;

use super::{ProveError, socket_of};

/// Of each disk, in memory.
const CACHE_BYTES: usize = 64 << 20;
const SECTOR_BYTES: u64 = 512;
/// More than any table of partitions has.
const ENTRIES_MAX: u32 = 1024;
/// The kinds of partitions that firmware reads, as a table of partitions has them.
const EFI_SYSTEM: [u8; 16] = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";

#[derive(Debug)]
pub(super) struct ServedDisks {
    // Fields are dropped in this order.
    servers: Vec<Server>,
    disks: Vec<Arc<Overlay>>,
    views: Vec<Arc<PointView>>,
}

impl ServedDisks {
    /// Serves each point in the machine's folder, until it is dropped or ended.
    pub(super) async fn serve(
        folder: &Path,
        repository: &Repository,
        points: &[PointId],
    ) -> Result<Self, ProveError> {
        let mut served = Self {
            servers: Vec::new(),
            disks: Vec::new(),
            views: Vec::new(),
        };
        for (disk, point) in points.iter().enumerate() {
            let view = Arc::new(repository.view_point(point, CACHE_BYTES).await?);
            let below = Arc::new(PointExport::new(Arc::clone(&view), Handle::current()));
            let file = folder.join(format!("{disk}.overlay"));
            let overlay = Arc::new(Overlay::open(&file, below, point.as_str())?);
            let listener = Listener::Unix(bind(&folder.join(socket_of(disk)), 0o600)?);
            let export: Arc<dyn Export> = overlay.clone();
            let exports = [(String::new(), export)];
            let server = Server::start(listener, exports, Limits::default())?;
            served.servers.push(server);
            served.disks.push(overlay);
            served.views.push(view);
        }
        Ok(served)
    }

    /// Whether the system disk has what UEFI boots, and nothing for other firmware.
    pub(super) async fn boots_by_uefi_alone(&self) -> bool {
        let Some(disk) = self.disks.first().cloned() else {
            return false;
        };
        let looking = tokio::task::spawn_blocking(move || is_booted_by_uefi_alone(&*disk));
        // What cannot be read did not boot either, and whatever is said of it stands.
        matches!(looking.await, Ok(Ok(true)))
    }

    /// Collections need not wait for it any more.
    pub(super) async fn end(self) {
        let Self {
            servers,
            disks,
            views,
        } = self;
        let stopping = tokio::task::spawn_blocking(move || {
            servers.into_iter().for_each(Server::stop);
            drop(disks);
        });
        if stopping.await.is_err() {
            tracing::error!("serving the disks of a proof stopped unexpectedly");
        }
        for view in views.into_iter().filter_map(Arc::into_inner) {
            view.end().await;
        }
    }
}

pub(super) fn is_booted_by_uefi_alone(disk: &dyn Export) -> Result<bool, Fault> {
    let kinds = partition_kinds(disk)?;
    Ok(kinds.contains(&EFI_SYSTEM) && !kinds.contains(&BIOS_BOOT))
}

/// The kinds of a GUID partition table; none where there is no such table. Blocks.
fn partition_kinds(disk: &dyn Export) -> Result<Vec<[u8; 16]>, Fault> {
    let mut header = [0; 92];
    if disk.size_bytes() < 2 * SECTOR_BYTES {
        return Ok(Vec::new());
    }
    disk.read_at(SECTOR_BYTES, &mut header)?;
    if !header.starts_with(b"EFI PART") {
        return Ok(Vec::new());
    }
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let first = u64::from_le_bytes(header[72..80].try_into().expect("eight bytes"));
    let (count, length) = (word(80).min(ENTRIES_MAX), u64::from(word(84)));
    let mut kinds = Vec::new();
    for entry in 0..u64::from(count) {
        let mut kind = [0; 16];
        let place = first
            .saturating_mul(SECTOR_BYTES)
            .saturating_add(entry * length);
        if place.saturating_add(kind.len() as u64) > disk.size_bytes() {
            break;
        }
        disk.read_at(place, &mut kind)?;
        kinds.push(kind);
    }
    Ok(kinds)
}

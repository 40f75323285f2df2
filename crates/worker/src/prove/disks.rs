//! The disks of a proof's machine: points under overlays, each behind a socket of its own.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use strongroom_attach::{Overlay, PointExport, bind};
use strongroom_nbd::{Export, Limits, Listener, Server};
use strongroom_repo::{PointId, PointView, Repository};
use tokio::runtime::Handle;

use super::{ProveError, partitions, socket_of};

/// Of each disk, in memory.
const CACHE_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct ServedDisks {
    // Fields are dropped in this order.
    servers: Vec<Server>,
    disks: Vec<Arc<Overlay>>,
    views: Vec<Arc<PointView>>,
}

impl ServedDisks {
    /// Serves each point in the machine's folder, under names that begin with `letter`, until it is dropped or ended.
    pub(super) async fn serve(
        folder: &Path,
        letter: char,
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
            let file = folder.join(format!("{letter}{disk}.overlay"));
            let overlay = Arc::new(Overlay::open(&file, below, point.as_str())?);
            let listener = Listener::Unix(bind(&folder.join(socket_of(letter, disk)), 0o600)?);
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
    pub(super) async fn are_booted_by_uefi_alone(&self) -> bool {
        let Some(disk) = self.disks.first().cloned() else {
            return false;
        };
        let looking =
            tokio::task::spawn_blocking(move || partitions::is_booted_by_uefi_alone(&*disk));
        // What cannot be read did not boot either, and whatever is said of it stands.
        matches!(looking.await, Ok(Ok(true)))
    }

    /// Of each disk. A table that cannot be read is one without entries.
    pub(super) async fn ext_file_systems(&self) -> Vec<Vec<Range<u64>>> {
        let disks = self.disks.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let disks = disks.iter();
            let found = disks.map(|disk| partitions::ext_file_systems(&**disk).unwrap_or_default());
            found.collect()
        });
        looking.await.unwrap_or_default()
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

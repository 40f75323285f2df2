//! What a service that was killed left in the machines of this host is removed when the next one starts.

use std::path::Path;

use futures::StreamExt;
use strongroom_qemu::{Error, Machine, Result, clear_folder, leftovers, settle};
use strongroom_service::live_servers::{self, LiveServer};
use strongroom_service::{App, MachineAddress};
use strongroom_types::Chain;

use super::domains;
use super::drives::drive_of;
use super::{LiveHost, last_point, monitor, thaw};

const MACHINES_AT_ONCE: usize = 8;

/// It is told, and nothing else is done about it.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Gives every machine back as if no backup had been under way. Whatever hinders this is told to the operator: the next backup
/// of that machine begins with the same.
pub(crate) async fn sweep(app: &App, host: &LiveHost) {
    let servers = match live_servers::list(app).await {
        Ok(servers) => servers,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "machines cannot be looked at");
            return;
        }
    };
    let sweeping = futures::stream::iter(servers).map(|server| async move {
        if let Err(error) = sweep_machine(host, &server).await {
            let server = server.server.id;
            tracing::warn!(%server, error = %Chain(&*error), "a machine may have leftovers of a backup");
        }
    });
    sweeping
        .buffer_unordered(MACHINES_AT_ONCE)
        .collect::<()>()
        .await;
}

async fn sweep_machine(host: &LiveHost, server: &LiveServer) -> Result<(), Failed> {
    let folder = host.folder_of(&server.server.id);
    match MachineAddress::of(&server.server) {
        None => {}
        Some(MachineAddress::Monitor(socket)) => {
            sweep_qemu(host, Path::new(&socket), &folder, server).await?;
        }
        Some(MachineAddress::Libvirt(domain)) => domains::sweep(&domain, folder, server).await?,
    }
    Ok(())
}

async fn sweep_qemu(
    host: &LiveHost,
    socket: &Path,
    folder: &Path,
    server: &LiveServer,
) -> Result<()> {
    let mut qmp = match monitor(socket, super::PATIENCE).await {
        Err(Error::Unreachable { .. }) => return clear_folder(folder).await,
        connected => connected?,
    };
    let cleared = leftovers(&mut qmp, None, folder).await;
    if let Some(socket) = &server.server.guest_agent_socket {
        let thawed = match host.agent(Path::new(socket)).await {
            Ok(mut agent) => thaw(&mut agent).await,
            Err(error) => Err(error),
        };
        if let Err(error) = thawed {
            // Most often there is no agent in the guest yet.
            tracing::info!(server = %server.server.id, error = %Chain(&error), "a guest's agent cannot be asked");
        }
    }
    cleared?;
    let machine = Machine::inspect(&mut qmp).await?;
    for (volume, last) in &server.disks {
        if let Some(drive) = drive_of(&machine, &volume.path) {
            let last = last.as_ref().map(|last| last_point(last).point);
            settle(&mut qmp, &drive.node, last.as_ref()).await?;
        }
    }
    Ok(())
}

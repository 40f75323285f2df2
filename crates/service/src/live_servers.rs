//! Servers whose machines can be asked to serve their disks as they run.

use strongroom_db::{LastSaved, Server, Tx, Volume};

use crate::{App, Error};

#[derive(Debug, Clone)]
pub struct LiveServer {
    pub server: Server,
    /// With the last point of each, which the machine's bitmaps may count from.
    pub disks: Vec<(Volume, Option<LastSaved>)>,
}

/// All of the installation that have a monitor, whatever their machines do.
pub async fn list(app: &App) -> Result<Vec<LiveServer>, Error> {
    let mut tx = app.db.read().await?;
    let servers = tx.servers_with_monitors().await?;
    let mut found = Vec::with_capacity(servers.len());
    for server in servers {
        found.push(with_disks(&mut tx, server).await?);
    }
    Ok(found)
}

pub(crate) async fn with_disks(tx: &mut Tx, server: Server) -> Result<LiveServer, Error> {
    let places = tx
        .attachments_of_servers(std::slice::from_ref(&server.id))
        .await?;
    let ids: Vec<_> = places.into_iter().map(|place| place.volume_id).collect();
    let mut disks = Vec::with_capacity(ids.len());
    for volume in tx.volumes_by_id(&ids).await? {
        let last = tx.last_saved(&volume.project_id, &volume.id).await?;
        disks.push((volume, last));
    }
    Ok(LiveServer { server, disks })
}

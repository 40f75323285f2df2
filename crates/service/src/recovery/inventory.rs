//! The inventory as the points remember it. Whatever is there by now is left as it is.

use std::path::Path;

use strongroom_db::{Attachment, Server, Tx, Volume};
use strongroom_types::{ProjectId, Timestamp, VolumeId, is_nbd_uri};

use super::{FoundBackup, FoundPoint};
use crate::{Error, ServerNote};

/// Puts the disks of a backup, and their server, where they were. What has no place or whose place is taken stays out.
pub(super) async fn restore(
    tx: &mut Tx,
    project: &ProjectId,
    found: &FoundBackup,
    now: Timestamp,
) -> Result<(), Error> {
    let server = found.disks[0].provenance.server.as_ref();
    if let Some(server) = server {
        restore_server(tx, project, server, now).await?;
    }
    for disk in &found.disks {
        let is_new = restore_volume(tx, project, disk, now).await?;
        if let (true, Some(server)) = (is_new, server) {
            attach(tx, server, disk).await?;
        }
    }
    Ok(())
}

async fn restore_server(
    tx: &mut Tx,
    project: &ProjectId,
    note: &ServerNote,
    now: Timestamp,
) -> Result<(), Error> {
    if tx.find_server(&note.id).await?.is_some() {
        return Ok(());
    }
    let server = Server {
        id: note.id.clone(),
        project_id: project.clone(),
        name: note.name.clone(),
        qmp_socket: note.qmp_socket.clone(),
        guest_agent_socket: note.guest_agent_socket.clone(),
        libvirt_uri: note.libvirt.as_ref().map(|libvirt| libvirt.uri.clone()),
        libvirt_domain: note.libvirt.as_ref().map(|libvirt| libvirt.domain.clone()),
        created_at: now,
    };
    tx.insert_server(&server).await?;
    Ok(())
}

/// Whether it is new.
async fn restore_volume(
    tx: &mut Tx,
    project: &ProjectId,
    disk: &FoundPoint,
    now: Timestamp,
) -> Result<bool, Error> {
    let of = &disk.provenance;
    let (Some(place), Some(format)) = (&of.place, of.format) else {
        return Ok(false);
    };
    let id = VolumeId::from(of.resource_id.clone());
    let taken =
        tx.find_volume(&id).await?.is_some() || tx.find_volume_at(&place.path).await?.is_some();
    let is_place = Path::new(&place.path).is_absolute() || is_nbd_uri(&place.path);
    if taken || !is_place {
        return Ok(false);
    }
    let volume = Volume {
        id,
        project_id: project.clone(),
        name: of.resource_name.clone(),
        path: place.path.clone(),
        format,
        size_bytes: disk.size_bytes,
        version: 0,
        created_at: now,
    };
    tx.insert_volume(&volume).await?;
    Ok(true)
}

/// Unless another disk sits there by now.
async fn attach(tx: &mut Tx, server: &ServerNote, disk: &FoundPoint) -> Result<(), Error> {
    let Some(place) = &disk.provenance.place else {
        return Ok(());
    };
    let ids = std::slice::from_ref(&server.id);
    let attached = tx.attachments_of_servers(ids).await?;
    if attached
        .iter()
        .any(|other| other.position == place.position)
    {
        return Ok(());
    }
    let attachment = Attachment {
        volume_id: disk.provenance.resource_id.clone().into(),
        server_id: server.id.clone(),
        position: place.position,
    };
    tx.insert_attachment(&attachment).await?;
    Ok(())
}

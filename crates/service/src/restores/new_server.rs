//! A backup comes back as a server of its own: with empty images, which the job makes, and a machine that is described beside them.

use strongroom_db::{Backup, NewServer, RestoreMapping, Server, Tx, Volume};
use strongroom_types::{
    BackupId, BackupStatus, OperationLogId, ProjectId, ResourceType, ServerId, Timestamp,
    VolumeFormat, VolumeId,
};

use super::{Source, Wanted};
use crate::inventory::{ServerView, check_name, insert_server};
use crate::{Action, App, Caller, Error, LibvirtDomain, audit};

/// Of qcow2 images, whose sizes are whole sectors.
const SECTOR: u64 = 512;
/// In the server's folder.
const MONITOR: &str = "machine.qmp";

#[derive(Debug, Clone)]
pub struct RestoredServer {
    pub name: String,
    /// The libvirt of this host that shall know the machine. Without it the machine is to be started by its command file, which gives it a
    /// monitor that it is backed up through.
    pub libvirt_uri: Option<String>,
}

#[derive(Debug, Clone)]
pub struct BegunServer {
    pub server: ServerView,
    /// Where its images and the definitions of its machine will lie.
    pub folder: String,
    pub operation_log_id: OperationLogId,
}

/// Answers at once with a server that is in the inventory; a job makes its images, fills them, and writes what starts its machine. It lies in
/// a folder of its own, of which the caller decides nothing.
pub async fn restore_as_new_server(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
    new: RestoredServer,
) -> Result<BegunServer, Error> {
    caller.authorise(Action::BackupsRestore, project)?;
    caller.authorise(Action::InventoryAdd, project)?;
    check_name(&new.name)?;
    let folder = app.settings.new_servers_dir.as_deref();
    let folder = folder.ok_or(Error::NewServersNotOffered)?;
    let server_id = ServerId::random(&*app.ids);
    // Its own UUID: the name may be another domain's.
    let libvirt = new.libvirt_uri.clone().map(|uri| LibvirtDomain {
        uri,
        domain: server_id.to_string(),
    });
    libvirt.as_ref().map_or(Ok(()), LibvirtDomain::check)?;
    if libvirt.is_some() && new.name.contains(['/', '\n']) {
        return Err(Error::invalid("A domain's name has no slash and one line."));
    }
    let place = NewServer {
        folder: format!("{folder}/{server_id}"),
        libvirt_uri: new.libvirt_uri,
    };

    let now = app.now();
    let mut tx = app.db.begin().await?;
    let source = Source::lock(&mut tx, project, id).await?;
    super::check_vault(&mut tx, &source).await?;
    let disks = disks(&mut tx, &source.backup).await?;
    let server = server(project, server_id, new.name, &place, libvirt, now);
    let volumes = volumes(app, &server, &place, &disks, now);
    insert_server(&mut tx, &server, &volumes).await?;
    audit::made("server", &server.id);
    let mapping = |(disk, volume): (&Backup, &Volume)| RestoreMapping {
        backup_id: disk.id.clone(),
        volume_id: volume.id.clone(),
    };
    let wanted = Wanted {
        resource_id: server.id.clone().into(),
        target: (server.id.clone().into(), server.name.clone()),
        mappings: disks.iter().zip(&volumes).map(mapping).collect(),
        power_on: false,
        new_server: Some(place.clone()),
    };
    let log = super::enqueue(app, &mut tx, &source, wanted, &caller.request_id, now).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(BegunServer {
        server: ServerView {
            server,
            volumes,
            proven_at: None,
        },
        folder: place.folder,
        operation_log_id: log.id,
    })
}

/// All of a server's backup, the system disk first.
async fn disks(tx: &mut Tx, backup: &Backup) -> Result<Vec<Backup>, Error> {
    if backup.resource_type != ResourceType::Server {
        return Err(Error::invalid(
            "Backups of servers alone come back as new servers.",
        ));
    }
    let disks = tx.children_of_backup(&backup.id).await?;
    let unfit = disks
        .iter()
        .find(|disk| disk.status != BackupStatus::Available);
    match unfit {
        None => Ok(disks),
        Some(disk) => Err(Error::BackupStateForbidsRestore {
            status: disk.status,
        }),
    }
}

fn server(
    project: &ProjectId,
    id: ServerId,
    name: String,
    place: &NewServer,
    libvirt: Option<LibvirtDomain>,
    now: Timestamp,
) -> Server {
    let monitor = format!("{}/{MONITOR}", place.folder);
    let qmp_socket = libvirt.is_none().then_some(monitor);
    let (libvirt_uri, libvirt_domain) =
        libvirt.map(|libvirt| (libvirt.uri, libvirt.domain)).unzip();
    Server {
        id,
        project_id: project.clone(),
        name,
        qmp_socket,
        guest_agent_socket: None,
        libvirt_uri,
        libvirt_domain,
        created_at: now,
    }
}

fn volumes(
    app: &App,
    server: &Server,
    place: &NewServer,
    disks: &[Backup],
    now: Timestamp,
) -> Vec<Volume> {
    let volume = |(position, disk): (usize, &Backup)| Volume {
        id: VolumeId::random(&*app.ids),
        project_id: server.project_id.clone(),
        name: format!("{}-disk-{position}", server.name),
        path: format!("{}/disk-{position}.qcow2", place.folder),
        format: VolumeFormat::Qcow2,
        size_bytes: disk.size_bytes.next_multiple_of(SECTOR),
        version: 0,
        created_at: now,
    };
    disks.iter().enumerate().map(volume).collect()
}

//! Servers that are made of backups: empty images before they are filled, and behind that what starts the machine.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use strongroom_block::create_qcow2;
use strongroom_libvirt::define;
use strongroom_service::progress::{NewServerWork, RestoreDisk, RestoreWork};
use strongroom_types::{
    Chain, MachineRecord, MachineSource, NewMachine, NewMachineDisk, Trouble, VolumeId,
};

use crate::definitions;
use crate::jobs::JobError;
use crate::jobs::disk_trouble;
use crate::private_file::write_private;
use crate::shared_folder::make_folder_like_parent;

const COMMAND_FILE: &str = "machine.sh";
const DOMAIN_FILE: &str = "machine.xml";
const GROUP_WRITES: u32 = 0o020;

/// Makes the images that are not there yet, in a folder as open to others as the one around it.
pub(crate) async fn make_images(work: &RestoreWork, new: &NewServerWork) -> Result<(), JobError> {
    let folder = PathBuf::from(&new.folder);
    let disks = work.disks.clone();
    let making = tokio::task::spawn_blocking(move || {
        let mode = make_folder_like_parent(&folder).map_err(|error| folder_error(&error))?;
        disks.iter().try_for_each(|disk| make_image(disk, mode))
    });
    making
        .await
        .map_err(|_| JobError::Broken("making images stopped unexpectedly"))?
}

fn make_image(disk: &RestoreDisk, folder_mode: u32) -> Result<(), JobError> {
    let path = Path::new(&disk.target.path);
    create_qcow2(path, disk.target.size_bytes).map_err(|error| JobError::Failed {
        trouble: disk_trouble(&error),
        source: Box::new(error),
    })?;
    open_to_group(path, folder_mode, 0o660).map_err(|error| folder_error(&error))
}

/// Whoever may make files beside it may use it: the group, where QEMU runs as somebody else.
fn open_to_group(path: &Path, folder_mode: u32, mode: u32) -> io::Result<()> {
    let is_shared = folder_mode & GROUP_WRITES != 0;
    let mode = if is_shared { mode } else { mode & 0o700 };
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Where the folder lies stays in the log.
fn folder_error(error: &io::Error) -> JobError {
    tracing::warn!(error = %Chain(error), "the folder of a new server cannot be written");
    JobError::Retry("the folder of the new server cannot be written".into())
}

/// Writes what starts the machine, and has libvirt know it where that was asked for. Called again, it writes the same.
pub(crate) async fn describe(work: &RestoreWork, new: &NewServerWork) -> Result<(), JobError> {
    let Some(server) = &work.server else {
        return Err(JobError::Broken("a new server is gone from the inventory"));
    };
    let folder = PathBuf::from(&new.folder);
    let machine = NewMachine {
        name: server.name.clone(),
        uuid: server.id.to_string(),
        monitor: server.qmp_socket.clone(),
        disks: work.disks.iter().map(new_disk).collect(),
    };
    let unknown = || MachineRecord::unknown(MachineSource::Qemu);
    let record = new.machine.clone().unwrap_or_else(unknown);
    let command = definitions::command_file(&record, &machine);
    let domain = definitions::domain(&record, &machine).map_err(|error| JobError::Failed {
        trouble: Trouble::Internal,
        source: Box::new(error),
    })?;
    let domain_file = folder.join(DOMAIN_FILE);
    let writing = tokio::task::spawn_blocking(move || write(&folder, &command, &domain));
    let written = writing
        .await
        .map_err(|_| JobError::Broken("writing definitions stopped unexpectedly"))?;
    written.map_err(|error| folder_error(&error))?;
    let Some(uri) = &new.libvirt_uri else {
        return Ok(());
    };
    define(uri, &domain_file).await.map_err(libvirt_error)
}

fn write(folder: &Path, command: &str, domain: &str) -> io::Result<()> {
    let folder_mode = fs::metadata(folder)?.permissions().mode();
    for (name, content, mode) in [(COMMAND_FILE, command, 0o770), (DOMAIN_FILE, domain, 0o660)] {
        let path = folder.join(name);
        write_private(&path, content.as_bytes())?;
        open_to_group(&path, folder_mode, mode)?;
    }
    Ok(())
}

fn new_disk(disk: &RestoreDisk) -> NewMachineDisk {
    NewMachineDisk {
        resource_id: VolumeId::from(disk.backup.resource_id.clone()),
        path: disk.target.path.clone(),
        format: disk.target.format,
    }
}

/// The disks are restored by then, and the definition lies beside them.
fn libvirt_error(error: strongroom_libvirt::Error) -> JobError {
    use strongroom_libvirt::Error;
    tracing::warn!(error = %Chain(&error), "libvirt does not take a new server");
    match error {
        Error::Refused { .. } => JobError::Failed {
            trouble: Trouble::Internal,
            source: "the disks are restored, and libvirt refused the machine's definition".into(),
        },
        other => JobError::Retry(Box::new(other)),
    }
}

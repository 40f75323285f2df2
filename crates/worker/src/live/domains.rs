//! Servers whose machines libvirt runs.

use std::path::PathBuf;

use strongroom_libvirt::{
    Disk, DiskRequest, Domain, Error, Freeze, LastPoint, Quiesced, Request, Snapshot, Virsh,
    clear_folder, leftovers, record, settle,
};
use strongroom_service::LibvirtDomain;
use strongroom_service::live_servers::LiveServer;
use strongroom_service::progress::{BackupWork, DiskWork};
use strongroom_service::rows::{LastSaved, Quiesce};
use strongroom_types::{Chain, ConsistentLevel, MachineRecord, Trouble, VolumeId};

use super::backup::Begun;
use super::drives::same_place;
use super::serving::Serving;
use crate::jobs::JobError;

/// What libvirt is asked through.
pub(super) fn virsh(address: &LibvirtDomain) -> Virsh {
    Virsh::new(&address.uri, &address.domain)
}

/// The machine, unless none runs: then its images can be locked, or cannot, which tells the rest.
pub(super) async fn running(virsh: &Virsh) -> Result<Option<Domain>, Error> {
    match Domain::inspect(virsh).await {
        Ok(domain) => Ok(Some(domain).filter(Domain::is_active)),
        Err(Error::Unreachable { .. } | Error::NoDomain) => Ok(None),
        Err(error @ Error::NoClient(_)) => {
            tracing::warn!(error = %Chain(&error), "libvirt cannot be asked");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Makes the instant of a server, after whatever an earlier attempt left in `folder` and in the domain is gone. None for a machine that
/// does not run.
pub(super) async fn begin(
    address: &LibvirtDomain,
    folder: PathBuf,
    work: &BackupWork,
) -> Result<Option<Begun>, JobError> {
    let virsh = virsh(address);
    let Some(domain) = running(&virsh).await.map_err(job_error)? else {
        clear_folder(&folder).await.map_err(job_error)?;
        return Ok(None);
    };
    let freeze = match work.vault.consistent_level {
        ConsistentLevel::App => Freeze::IfPossible,
        ConsistentLevel::Crash => Freeze::No,
    };
    let request = Request {
        disks: requests(&domain, &work.disks)?,
        folder,
        freeze,
    };
    let machine = recorded(&domain, &request.disks, &work.disks);
    let begun = Snapshot::begin(&virsh, &request).await;
    let snapshot = begun.map_err(job_error)?;
    Ok(Some(Begun {
        quiesce: quiesce(&snapshot.quiesced),
        serving: Serving::Libvirt { virsh, snapshot },
        machine,
    }))
}

/// What the machine is made of. A backup does not fail for what it says about its machine.
fn recorded(
    domain: &Domain,
    requests: &[DiskRequest],
    disks: &[DiskWork],
) -> Option<MachineRecord> {
    let disks = disks.iter().zip(requests).map(|(disk, request)| {
        let id = VolumeId::from(disk.backup.resource_id.clone());
        (id, request.target.clone())
    });
    let recorded = record(domain, &disks.collect::<Vec<_>>());
    recorded
        .inspect_err(|error| super::not_recorded(error))
        .ok()
}

fn requests(domain: &Domain, disks: &[DiskWork]) -> Result<Vec<DiskRequest>, JobError> {
    let request = |disk: &DiskWork| {
        let volume = disk.volume.as_ref();
        let found = volume.and_then(|volume| disk_of(domain, &volume.path));
        let found = found.ok_or_else(|| super::missing(disk))?;
        Ok(DiskRequest {
            target: found.target.clone(),
            point: disk.backup.id.clone(),
            last: disk.last.as_ref().map(last_point),
        })
    };
    disks.iter().map(request).collect()
}

/// The domain's disk that lies there. Looks at files, so it blocks.
pub(super) fn disk_of<'a>(domain: &'a Domain, place: &str) -> Option<&'a Disk> {
    domain
        .disks
        .iter()
        .find(|disk| same_place(&disk.place, place))
}

fn last_point(saved: &LastSaved) -> LastPoint {
    LastPoint {
        point: saved.backup_id.clone(),
        size: saved.size_bytes,
    }
}

fn quiesce(quiesced: &Quiesced) -> Option<Quiesce> {
    match quiesced {
        Quiesced::NotAsked => None,
        Quiesced::Frozen { file_systems } => Some(super::frozen(*file_systems)),
        Quiesced::Failed(reason) => Some(Quiesce::Failed {
            reason: reason.clone(),
        }),
    }
}

/// Gives a domain back as if no backup had been under way.
pub(super) async fn sweep(
    address: &LibvirtDomain,
    folder: PathBuf,
    server: &LiveServer,
) -> Result<(), Error> {
    let virsh = virsh(address);
    let Some(domain) = running(&virsh).await? else {
        return clear_folder(&folder).await;
    };
    leftovers(&virsh, &folder).await?;
    let last = server.disks.iter().filter_map(|(volume, last)| {
        let target = disk_of(&domain, &volume.path)?.target.clone();
        Some((target, last.as_ref()?.backup_id.clone()))
    });
    settle(&virsh, &last.collect::<Vec<_>>()).await
}

/// What libvirt says, with names of sockets and folders, stays in the log.
pub(super) fn job_error(error: Error) -> JobError {
    tracing::warn!(error = %Chain(&error), "libvirt did not do its part of a backup");
    match error {
        Error::Unsupported { .. } => JobError::Failed {
            trouble: Trouble::ServerRunning,
            source: Box::new(error),
        },
        Error::Unreachable { .. } => JobError::Retry("libvirt cannot be reached".into()),
        Error::Scratch { .. } => JobError::Retry("the scratch folder cannot be cleared".into()),
        Error::Refused { command, .. } => {
            JobError::Retry(format!("libvirt refused {command}").into())
        }
        other => JobError::Retry(Box::new(other)),
    }
}

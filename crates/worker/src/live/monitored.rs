//! Servers whose QEMU's monitor is ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_qemu::{
    Agent, DiskRequest, Error, Failed, Machine, Qmp, Quiesced, Request, Snapshot, clear_folder,
    leftovers, record,
};
use strongroom_service::progress::{BackupWork, DiskWork};
use strongroom_service::rows::{Quiesce, Server};
use strongroom_types::{Chain, ConsistentLevel, MachineRecord, VolumeId};

use super::backup::Begun;
use super::drives::drive_of;
use super::serving::Serving;
use super::{LiveHost, PATIENCE, job_error, last_point, missing, monitor, thaw};
use crate::jobs::JobError;

/// Some hundred questions, of which each takes less than a millisecond.
const RECORD_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the instant, after whatever an earlier attempt left in `folder` and in the machine is gone. None for a server that has no
/// machine just now.
pub(super) async fn begin(
    host: &LiveHost,
    server: &Server,
    socket: PathBuf,
    folder: PathBuf,
    work: &BackupWork,
) -> Result<Option<Begun>, JobError> {
    let mut qmp = match monitor(&socket, PATIENCE).await {
        Err(Error::Unreachable { .. }) => {
            clear_folder(&folder).await.map_err(job_error)?;
            return Ok(None);
        }
        connected => connected.map_err(job_error)?,
    };
    let cleared = leftovers(&mut qmp, None, &folder).await;
    let mut agent = ready_agent(host, server).await;
    cleared.map_err(job_error)?;
    let machine = Machine::inspect(&mut qmp).await.map_err(job_error)?;
    let recorded = recorded(&mut qmp, &machine, &work.disks).await;
    let request = Request {
        disks: requests(&machine, &work.disks)?,
        folder,
        server: strongroom_qemu::Server::Own,
    };
    let freezing = (work.vault.consistent_level == ConsistentLevel::App).then_some(&mut agent);
    let (agent, refusal) = match freezing {
        None => (None, None),
        Some(Ok(agent)) => (Some(agent), None),
        Some(Err(reason)) => (None, Some(reason.clone())),
    };
    let begun = Snapshot::begin(&mut qmp, agent, &request).await;
    let snapshot = begun.map_err(|failed| not_begun(work, failed))?;
    Ok(Some(Begun {
        quiesce: quiesce(&snapshot.quiesced, refusal),
        serving: Serving::Monitor { socket, snapshot },
        machine: recorded,
    }))
}

/// What the machine is made of. A backup does not fail for what it says about its machine.
async fn recorded(qmp: &mut Qmp, machine: &Machine, disks: &[DiskWork]) -> Option<MachineRecord> {
    let drives = disks.iter().filter_map(|disk| {
        let drive = drive_of(machine, &disk.volume.as_ref()?.path)?;
        Some((VolumeId::from(disk.backup.resource_id.clone()), drive))
    });
    let drives: Vec<_> = drives.collect();
    let asking = tokio::time::timeout(RECORD_PATIENCE, record(qmp, machine, &drives));
    let asked = asking.await.unwrap_or_else(|_| {
        Err(Error::Silent {
            what: "what the machine is made of".to_owned(),
            limit: RECORD_PATIENCE,
        })
    });
    asked.inspect_err(|error| super::not_recorded(error)).ok()
}

/// The guest's agent, once it has let go on what an earlier attempt held still; or why there is none.
async fn ready_agent(host: &LiveHost, server: &Server) -> Result<Agent, String> {
    let Some(socket) = &server.guest_agent_socket else {
        return Err("no guest agent is configured for the server".to_owned());
    };
    let ready = async {
        let mut agent = host.agent(Path::new(socket)).await?;
        thaw(&mut agent).await?;
        Ok(agent)
    };
    ready.await.map_err(|error: Error| {
        tracing::info!(server = %server.id, error = %Chain(&error), "a guest's agent cannot be used");
        match error {
            // Where its socket lies is no business of the server's owner.
            Error::Unreachable { .. } => "the guest agent cannot be connected to".to_owned(),
            other => format!("the guest agent cannot be used: {other}"),
        }
    })
}

fn requests(machine: &Machine, disks: &[DiskWork]) -> Result<Vec<DiskRequest>, JobError> {
    let request = |disk: &DiskWork| {
        let volume = disk.volume.as_ref();
        let drive = volume.and_then(|volume| drive_of(machine, &volume.path));
        let drive = drive.ok_or_else(|| missing(disk))?;
        Ok(DiskRequest {
            node: drive.node.clone(),
            point: disk.backup.id.clone(),
            last: disk.last.as_ref().map(last_point),
        })
    };
    disks.iter().map(request).collect()
}

fn quiesce(quiesced: &Quiesced, refusal: Option<String>) -> Option<Quiesce> {
    match quiesced {
        Quiesced::Frozen { file_systems } => Some(super::frozen(*file_systems)),
        Quiesced::Failed(reason) => Some(Quiesce::Failed {
            reason: reason.clone(),
        }),
        Quiesced::NotAsked => refusal.map(|reason| Quiesce::Failed { reason }),
    }
}

fn not_begun(work: &BackupWork, failed: Failed) -> JobError {
    tracing::warn!(server = %work.backup.resource_id, step = ?failed.step, "no instant of a machine");
    if let Some(left) = &failed.left {
        tracing::error!(error = %Chain(left), "the machine has leftovers of a backup");
    }
    job_error(failed.error)
}

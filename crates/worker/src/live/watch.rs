//! A folder in which QEMUs of this host have their monitors: what appears there is taken into the inventory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_qemu::{Drive, Error, Machine};
use strongroom_service::discovery::{FoundDisk, FoundMachine, find, first_project, take_in};
use strongroom_service::live_servers::LiveServer;
use strongroom_service::{App, Error as ServiceError};
use strongroom_types::{Chain, ProjectId, ServerId};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::drives::{drive_of, file_of};
use super::machines::inspect;

const INTERVAL: Duration = Duration::from_secs(10);
/// Of the monitors' sockets; the guest agents' have the same names with the other ending.
const MONITOR: &str = "qmp";
const AGENT: &str = "agent";

/// Whatever has a monitor in the folder becomes a server.
#[derive(Debug)]
pub struct Watch {
    folder: PathBuf,
    /// Whose servers they become; of the oldest project when absent.
    project: Option<ProjectId>,
    /// What was last said of each socket, so that it is said once.
    said: BTreeMap<PathBuf, String>,
}

#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    Machine(Error),
    #[error(transparent)]
    Service(ServiceError),
    #[error("it has no disk that lies in a file with an absolute name")]
    NoDisk,
    #[error("the server {0} is run by libvirt, which is asked for it")]
    Libvirt(ServerId),
    #[error("there is no project that it could belong to")]
    NoProject,
    #[error("looking at its disks stopped unexpectedly")]
    Broken,
}

impl Watch {
    pub fn new(folder: PathBuf, project: Option<ProjectId>) -> Self {
        Self {
            folder,
            project,
            said: BTreeMap::new(),
        }
    }

    /// Looks every ten seconds, until `stop`.
    pub async fn run(mut self, app: App, stop: CancellationToken) {
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.look(&app) => {}
            }
        }
    }

    /// Takes in what is there now. A machine that has gone stays a server, and is off.
    pub(crate) async fn look(&mut self, app: &App) {
        let sockets = match sockets(&self.folder) {
            Ok(sockets) => sockets,
            Err(error) => {
                let folder = self.folder.clone();
                self.say(&folder, &format!("cannot be read: {error}"));
                return;
            }
        };
        self.said.retain(|place, _| sockets.contains(place));
        for socket in sockets {
            match take(app, self.project.as_ref(), &socket).await {
                Ok(true) => {
                    tracing::info!(socket = %socket.display(), "a machine was taken into the inventory");
                    self.said.remove(&socket);
                }
                Ok(false) => {
                    self.said.remove(&socket);
                }
                // A socket without a machine is what a machine leaves that was killed.
                Err(NotTaken::Machine(Error::Unreachable { .. })) => {}
                Err(error) => self.say(&socket, &Chain(&error).to_string()),
            }
        }
    }

    fn say(&mut self, place: &Path, words: &str) {
        let before = self.said.insert(place.to_owned(), words.to_owned());
        if before.as_deref() != Some(words) {
            tracing::warn!(place = %place.display(), "not taken into the inventory: {words}");
        }
    }
}

fn sockets(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_monitor = path.extension().is_some_and(|ending| ending == MONITOR);
        if is_monitor && entry.file_type()?.is_socket() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

async fn take(app: &App, project: Option<&ProjectId>, socket: &Path) -> Result<bool, NotTaken> {
    let machine = inspect(socket).await.map_err(NotTaken::Machine)?;
    let uuid = uuid(&machine);
    let place = socket.to_string_lossy().into_owned();
    let known = find(app, uuid.as_ref(), &place).await;
    let known = known.map_err(NotTaken::Service)?;
    let server = known.as_ref().map(|known| &known.server);
    if let Some(server) = server.filter(|server| server.libvirt_domain.is_some()) {
        return Err(NotTaken::Libvirt(server.id.clone()));
    }
    let server = server.map(|server| server.id.clone());
    let project = match (&known, project) {
        (Some(known), _) => known.server.project_id.clone(),
        (None, Some(project)) => project.clone(),
        (None, None) => {
            let first = first_project(app).await.map_err(NotTaken::Service)?;
            first.ok_or(NotTaken::NoProject)?
        }
    };
    let socket = socket.to_owned();
    let describing =
        tokio::task::spawn_blocking(move || describe(&machine, known.as_ref(), uuid, &socket));
    let found = describing.await.map_err(|_| NotTaken::Broken)?;
    if found.disks.is_empty() {
        return Err(NotTaken::NoDisk);
    }
    let taken = take_in(app, &project, server.as_ref(), &found).await;
    taken.map_err(NotTaken::Service)
}

/// QEMU's is zero where nobody gave one.
fn uuid(machine: &Machine) -> Option<ServerId> {
    let uuid = machine.uuid.as_deref()?;
    let is_given = uuid.chars().any(|digit| !matches!(digit, '0' | '-'));
    is_given.then(|| uuid.parse().ok()).flatten()
}

/// Looks at files, so it blocks.
fn describe(
    machine: &Machine,
    known: Option<&LiveServer>,
    uuid: Option<ServerId>,
    socket: &Path,
) -> FoundMachine {
    let stem = socket.file_stem().unwrap_or_default().to_string_lossy();
    let agent = socket.with_extension(AGENT);
    let mut drives: Vec<_> = machine
        .drives
        .iter()
        .filter(|drive| !drive.is_read_only)
        .collect();
    drives.sort_by_key(|drive| boot_order(drive));
    let disks = drives
        .into_iter()
        .filter_map(|drive| disk(machine, known, drive));
    FoundMachine {
        uuid,
        name: machine.name.clone().unwrap_or_else(|| stem.into_owned()),
        qmp_socket: socket.to_string_lossy().into_owned(),
        guest_agent_socket: agent.exists().then(|| agent.to_string_lossy().into_owned()),
        disks: disks.collect(),
    }
}

/// Where the machine does not say, as its devices are called: `disk2` before `disk10`.
fn boot_order(drive: &Drive) -> (u64, usize, String) {
    let first = drive.boot_index.unwrap_or(u64::MAX);
    (first, drive.device.len(), drive.device.clone())
}

/// A volume of the server, or a new one. Where relative names begin, only QEMU knows.
fn disk(machine: &Machine, known: Option<&LiveServer>, drive: &Drive) -> Option<FoundDisk> {
    let mut volumes = known.into_iter().flat_map(|known| &known.disks);
    let volume = volumes.find(|(volume, _)| {
        drive_of(machine, &volume.path).is_some_and(|found| found.node == drive.node)
    });
    if let Some((volume, _)) = volume {
        return Some(FoundDisk::Known(volume.id.clone()));
    }
    let file = file_of(drive)?;
    Path::new(&file)
        .is_absolute()
        .then_some(FoundDisk::New(file))
}

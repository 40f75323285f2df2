//! The state of a domain's disks at one instant, served for reading while the machine goes on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_types::BackupId;

use crate::checkpoints::{self, Checkpoint};
use crate::domain::{Domain, State};
use crate::leftovers::{self, note_of_freeze};
use crate::request::{self, DiskRequest, Freeze, PREFIX, Request};
use crate::{Error, Result, Virsh};

/// How long the guest may stand still. Guests with Windows go on by themselves after ten seconds.
const STANDSTILL_MAX: Duration = Duration::from_secs(8);
/// The one format whose images keep bitmaps.
const KEEPS_BITMAPS: &str = "qcow2";

/// A snapshot that is being served. It lives in libvirt: losing this value loses nothing that `leftovers` does not find.
#[derive(Debug)]
pub struct Snapshot {
    pub quiesced: Quiesced,
    pub disks: Vec<ServedDisk>,
    virsh: Virsh,
    folder: PathBuf,
    last: Vec<(String, BackupId)>,
}

/// A disk of a snapshot, readable with any NBD client.
#[derive(Debug, Clone)]
pub struct ServedDisk {
    pub target: String,
    pub point: BackupId,
    pub socket: PathBuf,
    /// The name that the NBD server knows it by.
    pub export: String,
    /// Bytes.
    pub size: u64,
    pub changes: Changes,
}

/// What a reader has to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// What the bitmap marks; all else is as in the point.
    Since {
        point: BackupId,
        /// Its name, which NBD knows as the context `qemu:dirty-bitmap:…`.
        bitmap: String,
    },
    /// All of the disk.
    Whole(Whole),
}

/// Why no checkpoint can say what changed. None of these is a fault: the whole disk is read and compared instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// No point of this disk was committed.
    First,
    /// The image is of a kind that keeps no bitmaps.
    NotKept,
    /// No checkpoint counts from the last point.
    Lost,
    /// libvirt did not take the checkpoint: its bitmaps are gone or broken.
    Refused,
    /// The disk has another size than in the point.
    Resized,
}

/// What a snapshot can promise about the guest's file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quiesced {
    /// Nobody was asked: the state is that after a power cut.
    NotAsked,
    /// So many file systems stood still at the instant.
    Frozen { file_systems: u64 },
    /// The agent did not do it, for this reason: the state is that after a power cut.
    Failed(String),
}

/// Continues the sentence "the disk was read whole, because".
impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "it has no backup yet",
            Self::NotKept => "images of its format keep no bitmaps",
            Self::Lost => "libvirt has no checkpoint of the last backup",
            Self::Refused => "libvirt's checkpoint of the last backup cannot be used",
            Self::Resized => "its size has changed since the last backup",
        })
    }
}

impl Snapshot {
    /// Makes the instant and serves it, after whatever an earlier one left is gone. On failure everything is undone.
    pub async fn begin(virsh: &Virsh, request: &Request) -> Result<Self> {
        let folder = &request.folder;
        leftovers::leftovers(virsh, folder).await?;
        let last = last_points(request);
        let begun = Box::pin(begin(virsh, request)).await;
        let (quiesced, disks) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                leftovers::leftovers(virsh, folder).await?;
                checkpoints::settle(virsh, &last).await?;
                return Err(error);
            }
        };
        Ok(Self {
            quiesced,
            disks,
            virsh: virsh.clone(),
            folder: folder.clone(),
            last,
        })
    }

    /// Whether what was read so far is of the instant: to be asked after the last read, before the points are stored, and now and
    /// then. False once the scratch files had no room left, which also paused the guest: abandon.
    pub async fn is_intact(&self) -> Result<bool> {
        let (state, has_job) = leftovers::look(&self.virsh, &self.folder).await?;
        Ok(has_job && state != State::PausedByError)
    }

    /// Ends the snapshot when its points are stored: from now on changes are counted from them. After a failure it can be called
    /// again.
    pub async fn commit(&self) -> Result<()> {
        leftovers::leftovers(&self.virsh, &self.folder).await?;
        let disks = self.disks.iter();
        let points: Vec<_> = disks
            .map(|disk| (disk.target.clone(), disk.point.clone()))
            .collect();
        checkpoints::settle(&self.virsh, &points).await
    }

    /// Ends the snapshot as if it had not been: changes go on to be counted from the last points.
    pub async fn abandon(&self) -> Result<()> {
        leftovers::leftovers(&self.virsh, &self.folder).await?;
        checkpoints::settle(&self.virsh, &self.last).await
    }
}

fn last_points(request: &Request) -> Vec<(String, BackupId)> {
    let disks = request.disks.iter();
    let last =
        disks.filter_map(|disk| Some((disk.target.clone(), disk.last.as_ref()?.point.clone())));
    last.collect()
}

async fn begin(virsh: &Virsh, request: &Request) -> Result<(Quiesced, Vec<ServedDisk>)> {
    let socket = request.socket()?;
    let last = last_points(request);
    let since = checkpoints::keep(virsh, &last).await?;
    let since = since.as_ref();
    let targets = request.disks.iter().map(|disk| disk.target.as_str());
    let (domain, sizes) = Domain::inspect_disks(virsh, &targets.collect::<Vec<_>>()).await?;
    let plan = request.disks.iter().zip(&sizes);
    let plan = plan.map(|(disk, size)| changes(&domain, disk, *size, since));
    let mut plan = plan.collect::<Result<Vec<_>>>()?;
    let since = since.map(|checkpoint| checkpoint.name.as_str());
    let made = make_instant(virsh, request, &plan, since).await;
    let quiesced = match made {
        Err(error) if error.is_refusal() && plan.iter().any(|(_, changes)| is_known(changes)) => {
            tracing::info!(error = %error, "a checkpoint cannot be used");
            leftovers::leftovers(virsh, &request.folder).await?;
            checkpoints::settle(virsh, &[]).await?;
            for (_, changes) in &mut plan {
                if is_known(changes) {
                    *changes = Changes::Whole(Whole::Refused);
                }
            }
            make_instant(virsh, request, &plan, None).await?
        }
        made => made?,
    };
    let served = request.disks.iter().zip(plan).zip(sizes);
    let served = served.map(|((disk, (_, changes)), size)| ServedDisk {
        target: disk.target.clone(),
        point: disk.point.clone(),
        socket: socket.clone(),
        export: request::export(disk),
        size,
        changes,
    });
    Ok((quiesced, served.collect()))
}

fn is_known(changes: &Changes) -> bool {
    matches!(changes, Changes::Since { .. })
}

/// Whether the disk keeps bitmaps, and what is to be read of it.
fn changes(
    domain: &Domain,
    wanted: &DiskRequest,
    size: u64,
    since: Option<&Checkpoint>,
) -> Result<(bool, Changes)> {
    let disk = domain
        .disk(&wanted.target)
        .ok_or_else(|| Error::unsupported(format!("the machine has no disk {}", wanted.target)))?;
    if disk.format != KEEPS_BITMAPS {
        return Ok((false, Changes::Whole(Whole::NotKept)));
    }
    let counted = since.and_then(|since| since.points.get(&wanted.target));
    let changes = match (&wanted.last, counted) {
        (None, _) => Changes::Whole(Whole::First),
        (Some(last), _) if last.size != size => Changes::Whole(Whole::Resized),
        (Some(last), Some(point)) if last.point == *point => Changes::Since {
            point: point.clone(),
            bitmap: request::export(wanted),
        },
        (Some(_), _) => Changes::Whole(Whole::Lost),
    };
    Ok((true, changes))
}

/// Begins libvirt's backup and its checkpoint in one go, with the guest's file systems standing still meanwhile, if they do.
async fn make_instant(
    virsh: &Virsh,
    request: &Request,
    plan: &[(bool, Changes)],
    since: Option<&str>,
) -> Result<Quiesced> {
    let backup = request::backup_xml(request, &request.socket()?, plan, since);
    let checkpoint = request::checkpoint_xml(request, &request.checkpoint()?, plan);
    let backup = written(&request.folder, "backup.xml", &backup).await?;
    let checkpoint = match checkpoint {
        Some(xml) => Some(written(&request.folder, "checkpoint.xml", &xml).await?),
        None => None,
    };
    let mut options = vec!["--backupxml", &backup];
    if let Some(checkpoint) = &checkpoint {
        options.extend(["--checkpointxml", checkpoint]);
    }
    let quiesced = freeze(virsh, request).await?;
    let Quiesced::Frozen { file_systems } = quiesced else {
        virsh.run("backup-begin", &options).await?;
        return Ok(quiesced);
    };
    let making = virsh.run("backup-begin", &options);
    let made = tokio::time::timeout(STANDSTILL_MAX, making).await;
    let thawed = virsh.run("domfsthaw", &[]).await;
    if thawed.is_ok() {
        let note = note_of_freeze(&request.folder);
        let removed = tokio::fs::remove_file(&note).await;
        removed.map_err(Error::scratch(&note))?;
    }
    made.map_err(|_| Error::Silent {
        command: "backup-begin".to_owned(),
        limit: STANDSTILL_MAX,
    })??;
    if counted(&thawed?) < file_systems {
        let reason = "the guest did not wait for the instant".to_owned();
        return Ok(Quiesced::Failed(reason));
    }
    Ok(quiesced)
}

/// The number in `Froze 2 filesystem(s)`.
fn counted(said: &str) -> u64 {
    let mut words = said.split_whitespace();
    words.find_map(|word| word.parse().ok()).unwrap_or_default()
}

async fn freeze(virsh: &Virsh, request: &Request) -> Result<Quiesced> {
    if request.freeze == Freeze::No {
        return Ok(Quiesced::NotAsked);
    }
    let note = note_of_freeze(&request.folder);
    let noted = tokio::fs::write(&note, []).await;
    noted.map_err(Error::scratch(&note))?;
    let asking = virsh.clone().with_patience(STANDSTILL_MAX);
    let failed = match asking.run("domfsfreeze", &[]).await {
        Ok(said) => {
            let file_systems = counted(&said);
            return Ok(Quiesced::Frozen { file_systems });
        }
        Err(error) => error,
    };
    if !failed.is_refusal() {
        // Late, it may have been done all the same.
        virsh.run("domfsthaw", &[]).await?;
    }
    let removed = tokio::fs::remove_file(&note).await;
    removed.map_err(Error::scratch(&note))?;
    Ok(Quiesced::Failed(failed.to_string()))
}

/// Writes a description for virsh to read.
async fn written(folder: &Path, name: &str, xml: &str) -> Result<String> {
    let path = folder.join(format!("{PREFIX}{name}"));
    let wrote = tokio::fs::write(&path, xml).await;
    wrote.map_err(Error::scratch(&path))?;
    let path = path.into_os_string().into_string();
    path.map_err(|_| Error::unsupported("the scratch folder's name is no UTF-8"))
}

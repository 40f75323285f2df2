//! Proofs: a machine that nobody knows of runs from a backup, without a network, and what it shows is the verdict.
//!
//! It reads the points where they lie and writes into overlays that are thrown away with it, so that a proof changes
//! nothing and costs no restore.

mod disks;
mod emulator;
mod file_systems;
mod partitions;
mod process;
mod signs;
mod watch;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom_repo::{PointId, Repository};
use strongroom_service::progress::ProofOutcome;
use strongroom_service::rows::FileSystemCheck;
use strongroom_types::{Accelerator, Firmware, IdSource, ProofId, ProofVerdict};
use tokio_util::sync::CancellationToken;

use disks::ServedDisks;
use emulator::{Emulator, Plan};
use watch::Seen;

/// What the folders of proofs begin with, beside those of servers, which are called by their ids.
const FOLDER_PREFIX: &str = "prove-";

/// How machines are made that backups are proven with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProveOptions {
    /// A name that is looked for in `PATH`, or a path.
    pub emulator: PathBuf,
    /// None: KVM where this host's processor has it, else TCG.
    pub accelerator: Option<Accelerator>,
    pub memory_mib: u64,
    pub cpus: u32,
    pub disk_bus: DiskBus,
    /// From the start of the machine to its verdict.
    pub time_limit: Duration,
    /// What a machine says on its serial port when it is up.
    pub console_sign: String,
    /// The program of UEFI's firmware.
    pub uefi_code: PathBuf,
    /// Its variables as a new machine has them.
    pub uefi_variables: PathBuf,
}

/// How machines see their disks; the guest must have a driver for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskBus {
    Virtio,
    Scsi,
    Sata,
}

impl Default for ProveOptions {
    fn default() -> Self {
        Self {
            emulator: PathBuf::from("qemu-system-x86_64"),
            accelerator: None,
            memory_mib: 1024,
            cpus: 1,
            disk_bus: DiskBus::Virtio,
            time_limit: Duration::from_mins(5),
            console_sign: "login:".to_owned(),
            // As Debian's package has them.
            uefi_code: PathBuf::from("/usr/share/OVMF/OVMF_CODE_4M.fd"),
            uefi_variables: PathBuf::from("/usr/share/OVMF/OVMF_VARS_4M.fd"),
        }
    }
}

/// What is known of the machine that was backed up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// A guest agent is in it, so that silence tells something.
    pub(crate) has_agent: bool,
    /// Absent: its disk tells.
    pub(crate) firmware: Option<Firmware>,
}

/// Why a proof came to no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProveError {
    #[error("{} is not installed on this host", .0.display())]
    NotInstalled(PathBuf),
    #[error("the emulator ended: {0}")]
    Ended(String),
    #[error("the backup cannot be read")]
    Repository(#[from] strongroom_repo::Error),
    #[error("the overlay of a disk cannot be made")]
    Overlay(#[from] strongroom_attach::Error),
    #[error("the machine's monitor does not answer")]
    Monitor(#[from] strongroom_qemu::Error),
    #[error("the folder of the machine cannot be used")]
    Folder(#[from] io::Error),
    #[error("the proof was stopped")]
    Cancelled,
}

/// Runs machines from backups on this host.
#[derive(Debug)]
pub struct Prover {
    options: ProveOptions,
    scratch_dir: PathBuf,
    ids: Arc<dyn IdSource>,
}

impl Prover {
    /// `scratch_dir` gets a folder for each machine, with what it writes; its name is as short as those of sockets are.
    pub fn new(options: ProveOptions, scratch_dir: PathBuf, ids: Arc<dyn IdSource>) -> Self {
        Self {
            options,
            scratch_dir,
            ids,
        }
    }

    /// Removes what machines of a former process left. They ended with it.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.scratch_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(FOLDER_PREFIX)
            {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Runs one machine from the points, the system disk's first, until it has shown what becomes of it.
    pub(crate) async fn prove(
        &self,
        proof: &ProofId,
        repository: &Repository,
        points: &[PointId],
        known: Known,
        cancel: &CancellationToken,
    ) -> Result<ProofOutcome, ProveError> {
        let emulator = process::find(&self.options.emulator)?;
        let accelerator = self.accelerator();
        let folder = Folder::make(&self.scratch_dir.join(format!("{FOLDER_PREFIX}{proof}")))?;
        let time_limit = self.options.time_limit;
        let disks = ServedDisks::serve(&folder.0, file_systems::LETTER, repository, points).await?;
        let file_systems = tokio::select! {
            checked = file_systems::check(&disks, &folder.0, time_limit) => checked,
            () = cancel.cancelled() => return Err(ProveError::Cancelled),
        };
        let firmware = match known.firmware {
            Some(firmware) => firmware,
            None if disks.are_booted_by_uefi_alone().await => Firmware::Uefi,
            None => Firmware::Bios,
        };
        disks.end().await;
        if firmware == Firmware::Uefi && !self.has_uefi() {
            return Ok(without_machine(file_systems));
        }
        let disks = ServedDisks::serve(&folder.0, emulator::LETTER, repository, points).await?;
        let plan = Plan {
            options: &self.options,
            accelerator,
            firmware,
            disks: points.len(),
        };
        let ran = async {
            let mut emulator = Emulator::start(&emulator, &plan, &folder.0).await?;
            let seen = watch::run(&mut emulator, &self.options, &*self.ids).await?;
            let screen = emulator.screen().await;
            Ok((seen, screen))
        };
        let ran = tokio::select! {
            ran = ran => ran,
            () = cancel.cancelled() => Err(ProveError::Cancelled),
        };
        disks.end().await;
        let (seen, screen) = ran?;
        let (verdict, reason) = judge(&seen, known.has_agent, firmware);
        Ok(ProofOutcome {
            verdict,
            reason,
            accelerator: Some(accelerator),
            file_systems,
            console: seen.console,
            screen,
        })
    }

    fn has_uefi(&self) -> bool {
        let ProveOptions {
            uefi_code,
            uefi_variables,
            ..
        } = &self.options;
        uefi_code.is_file() && uefi_variables.is_file()
    }

    fn accelerator(&self) -> Accelerator {
        match self.options.accelerator {
            Some(chosen) => chosen,
            None if emulator::has_kvm() => Accelerator::Kvm,
            None => Accelerator::Tcg,
        }
    }
}

/// Of disks that no machine was run from: with another firmware than theirs, it would do anything.
fn without_machine(file_systems: Vec<FileSystemCheck>) -> ProofOutcome {
    ProofOutcome {
        verdict: ProofVerdict::Unknown,
        reason: "UEFI boots it, and this host has no firmware for that (Debian's package `ovmf`)"
            .to_owned(),
        accelerator: None,
        file_systems,
        console: String::new(),
        screen: None,
    }
}

/// What was seen, in a word and a sentence. Only what a machine does is a proof; what it does not do is one where it is known
/// to do it otherwise.
fn judge(seen: &Seen, has_agent: bool, firmware: Firmware) -> (ProofVerdict, String) {
    use signs::Sign;
    use watch::End;
    let (verdict, reason) = match &seen.end {
        End::Sign(Sign::Agent) => (ProofVerdict::Boots, "its guest agent answered".to_owned()),
        End::Sign(Sign::Console(text)) => (
            ProofVerdict::Boots,
            format!("it said `{text}` on its console"),
        ),
        End::Sign(Sign::NothingToBoot) => (
            ProofVerdict::DoesNotBoot,
            "its firmware found nothing to boot".to_owned(),
        ),
        End::Sign(Sign::NothingByDefault) => (
            ProofVerdict::Unknown,
            "its firmware found nothing in the default place (`EFI/BOOT`): what else boots it is named by the machine's variables, which are in no backup"
                .to_owned(),
        ),
        // The machine's own variables may name another than the one in the default place.
        End::Sign(Sign::Trouble(text)) if firmware == Firmware::Uefi && *text == signs::LOADER_ALONE => (
            ProofVerdict::Unknown,
            "the boot loader in the default place (`EFI/BOOT`) does not find its system: what else boots it is named by the machine's variables, which are in no backup"
                .to_owned(),
        ),
        End::Sign(Sign::Trouble(text)) => (
            ProofVerdict::DoesNotBoot,
            format!("it said `{text}` on its console"),
        ),
        End::Sign(Sign::Panic) => (ProofVerdict::DoesNotBoot, "its kernel panicked".to_owned()),
        End::Sign(Sign::Off) => (
            ProofVerdict::DoesNotBoot,
            "it reset itself or shut down before it was up".to_owned(),
        ),
        // Firmware and boot loaders speak there, whether or not the system behind them does.
        End::TimeOver if firmware == Firmware::Uefi => (
            ProofVerdict::Unknown,
            "the time is over, and neither its guest agent nor its console has said that it is up: look at its screen"
                .to_owned(),
        ),
        End::TimeOver if has_agent => (
            ProofVerdict::DoesNotBoot,
            "the time is over, and its guest agent has not answered".to_owned(),
        ),
        End::TimeOver if !seen.console.trim().is_empty() => (
            ProofVerdict::DoesNotBoot,
            "the time is over, and its console does not say that it is up".to_owned(),
        ),
        End::TimeOver => (
            ProofVerdict::Unknown,
            "it has neither a guest agent nor a serial console: look at its screen".to_owned(),
        ),
    };
    (verdict, reason)
}

/// The folder of one machine, which goes with it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        // One that an attempt before this one left.
        match remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a machine's folder cannot be removed");
        }
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    file_systems::forget(folder);
    fs::remove_dir_all(folder)
}

/// The name of a disk's socket, in the folder of its machine. Names of sockets are short.
fn socket_of(letter: char, disk: usize) -> String {
    format!("{letter}{disk}")
}

#[cfg(test)]
mod tests;

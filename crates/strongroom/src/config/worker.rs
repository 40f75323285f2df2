//! How this host does the jobs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use strongroom_repo::CollectOptions;
use strongroom_types::ProjectId;
use strongroom_worker::MachineHook;

use super::attach_tls::AttachTls;
use super::prove::Prove;

/// A socket's name has 107 bytes; in such a folder it is one of a server's, called `strongroom-nbd`, or shorter.
const SOCKET_DIR_BYTES_MAX: usize =
    107 - "/00000000-0000-0000-0000-000000000000/strongroom-nbd".len();

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Worker {
    /// Jobs that run at the same time on this host.
    pub(crate) jobs_at_once: usize,
    /// What a collection reads for rewriting, at most; no bound when absent.
    pub(crate) collect_mib_per_second: Option<u64>,
    /// Where QEMU keeps what guests overwrite while they are backed up; in the data directory when absent. At most 55 bytes,
    /// for the names of sockets in it are short.
    pub(crate) scratch_dir: Option<PathBuf>,
    /// How many thousandths of what QEMU's bitmaps do not mark are read in each backup of a running server all the same, to find out
    /// whether they are right.
    pub(crate) audit_permille: u64,
    /// What is read of the disks of all running servers together, at most; no bound when absent.
    pub(crate) live_mib_per_second: Option<u64>,
    /// Machines with a monitor in this folder are taken into the inventory by themselves.
    pub(crate) machines_dir: Option<PathBuf>,
    /// Whose they become; of the oldest project when absent.
    pub(crate) machines_project: Option<ProjectId>,
    /// A program that stops and starts machines, called with `stop` or `start`, the server's id and its name.
    pub(crate) machine_hook: Option<PathBuf>,
    /// After which it is killed.
    pub(crate) machine_hook_seconds: u64,
    /// The machines that backups are proven with.
    pub(crate) prove: Prove,
    /// Where attached backups have their sockets, and what is written over them; in the data directory when absent. At most 55
    /// bytes, for the same reason.
    pub(crate) attach_dir: Option<PathBuf>,
    /// Servers that are made of backups have their images here, each in a folder; none are made when absent. At most 55 bytes, for
    /// there are the sockets of their monitors too.
    pub(crate) new_servers_dir: Option<PathBuf>,
    /// What is kept in memory of each attached disk.
    pub(crate) attach_cache_mib: usize,
    /// Attached disks are served to other hosts as well; to this one alone when absent.
    pub(crate) attach_tls: Option<AttachTls>,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            jobs_at_once: 2,
            collect_mib_per_second: None,
            scratch_dir: None,
            audit_permille: 1,
            live_mib_per_second: None,
            machines_dir: None,
            machines_project: None,
            machine_hook: None,
            machine_hook_seconds: 300,
            prove: Prove::default(),
            attach_dir: None,
            new_servers_dir: None,
            attach_cache_mib: 128,
            attach_tls: None,
        }
    }
}

impl Worker {
    pub(crate) fn collect_options(&self) -> CollectOptions {
        let mib = self.collect_mib_per_second;
        CollectOptions {
            bytes_per_second: mib.map(|mib| mib.saturating_mul(1 << 20)),
            ..CollectOptions::default()
        }
    }

    pub(crate) fn machine_hook(&self) -> Option<MachineHook> {
        let program = self.machine_hook.clone()?;
        let limit = Duration::from_secs(self.machine_hook_seconds);
        Some(MachineHook::new(program, limit))
    }

    pub(super) fn validate(&self) -> anyhow::Result<()> {
        if !(1..=64).contains(&self.jobs_at_once) {
            bail!("`worker.jobs_at_once` must be between 1 and 64");
        }
        if self.collect_mib_per_second == Some(0) {
            bail!("`worker.collect_mib_per_second` must be at least 1");
        }
        let folders = [
            ("scratch_dir", &self.scratch_dir),
            ("attach_dir", &self.attach_dir),
            ("new_servers_dir", &self.new_servers_dir),
        ];
        for (name, folder) in folders {
            if let Some(folder) = folder
                && (!folder.is_absolute() || folder.as_os_str().len() > SOCKET_DIR_BYTES_MAX)
            {
                bail!("`worker.{name}` must be an absolute path of at most 55 bytes");
            }
        }
        if !(8..=1 << 20).contains(&self.attach_cache_mib) {
            bail!("`worker.attach_cache_mib` must be between 8 and 1048576");
        }
        if !(1..=1000).contains(&self.audit_permille) {
            bail!("`worker.audit_permille` must be between 1 and 1000");
        }
        if let Some(rate) = self.live_mib_per_second
            && !(1..=1 << 20).contains(&rate)
        {
            bail!("`worker.live_mib_per_second` must be between 1 and 1048576");
        }
        if let Some(folder) = &self.machines_dir
            && !folder.is_absolute()
        {
            bail!("`worker.machines_dir` must be an absolute path");
        }
        if let Some(program) = &self.machine_hook
            && !program.is_absolute()
        {
            bail!("`worker.machine_hook` must be an absolute path");
        }
        if !(1..=86_400).contains(&self.machine_hook_seconds) {
            bail!("`worker.machine_hook_seconds` must be between 1 and 86400");
        }
        if let Some(attach_tls) = &self.attach_tls {
            attach_tls.validate()?;
        }
        self.prove.validate()
    }
}

use std::time::Duration;

use strongroom_types::{NoticeChannel, ProjectId};

use crate::locks::LockedTime;

use crate::peers::PeerSetting;

/// What an operator may tune. Plain values; where they come from is the binary's business.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name under which clients know this installation.
    pub region: String,
    /// Shown as the place of every resource.
    pub availability_zone: String,
    pub token_lifetime: Duration,
    pub resources_per_vault_max: u64,
    pub tags_per_vault_max: u64,
    pub locked_time: LockedTime,
    /// Where people are told.
    pub notice_channels: Vec<NoticeChannel>,
    /// How often a job is started before its operation has failed; a restart of the process is a start too.
    pub job_attempts_max: i64,
    /// Records of the audit are forgotten after this.
    pub audit_retention: Duration,
    /// What other installations write and projects may list.
    pub storage_units: Vec<StorageUnitSetting>,
    /// Other installations that copies of backups go to and come from.
    pub peers: Vec<PeerSetting>,
    /// Restores of servers stop their machines; without it, servers that run are not restored.
    pub stops_machines: bool,
    /// The folder for the images of servers that are made of backups; absolute. Without it none are made.
    pub new_servers_dir: Option<String>,
    /// The folder for sockets of attached backups, and for what is written over them; absolute.
    pub attach_dir: String,
    /// Where clients reach the server with TLS, as `HOST:PORT`. Without it no backup is attached that way.
    pub attach_tls: Option<String>,
    /// Each has its share of memory and of the host's disk.
    pub attached_disks_max: u64,
    /// Disks that are copied out at a time, each with what is read ahead in memory.
    pub readers_max: usize,
    /// So many of them for one project, so that others have their turn.
    pub readers_of_project_max: usize,
}

/// A repository that another installation writes, and the one project that may list what lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageUnitSetting {
    pub name: String,
    pub project_id: ProjectId,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: "region-1".to_owned(),
            availability_zone: "region-1a".to_owned(),
            token_lifetime: Duration::from_hours(24),
            resources_per_vault_max: 256,
            tags_per_vault_max: 10,
            locked_time: LockedTime::default(),
            notice_channels: vec![NoticeChannel::Log],
            job_attempts_max: 30,
            audit_retention: Duration::from_hours(365 * 24),
            storage_units: Vec::new(),
            peers: Vec::new(),
            stops_machines: false,
            new_servers_dir: None,
            attach_dir: "/var/lib/strongroom/attached".to_owned(),
            attach_tls: None,
            attached_disks_max: 64,
            readers_max: 16,
            readers_of_project_max: 8,
        }
    }
}

//! What a point says about its backup, so that a repository explains itself when the database is lost.
//!
//! A worker stores it as the point's attributes; a recovery, an import and a replication read it back. Members are only
//! ever added, with a default: points live longer than versions of this program.

mod policy;

use serde::{Deserialize, Serialize};
use strongroom_db::{Backup, Checkpoint, Server, Vault, VaultResource};
use strongroom_types::{
    BackupId, ChargingMode, CheckpointId, CloudType, ConsistentLevel, ImageType, MachineRecord,
    ObjectType, PolicyId, ProjectId, ProtectType, ResourceId, Retention, ServerId, Timestamp,
    VaultId, VolumeFormat, VolumeId,
};

use crate::LibvirtDomain;
use crate::progress::{BackupWork, DiskWork};

pub use policy::PolicyNote;

/// A quarter of what the attributes of a point may take; the policies have half of it.
const MACHINE_BYTES_MAX: usize = 16 * 1024;

/// The backup of one disk, as the point that holds its data tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The disk's backup.
    pub backup_id: BackupId,
    /// The server's backup that this one is a part of.
    pub parent_backup_id: Option<BackupId>,
    pub checkpoint_id: CheckpointId,
    pub vault_id: VaultId,
    /// The disk.
    pub resource_id: ResourceId,
    pub resource_name: String,
    pub backup_name: String,
    pub system_disk: bool,
    /// How the disk's file was laid out.
    pub format: Option<VolumeFormat>,
    pub project: ProjectNote,
    pub vault: VaultNote,
    /// Those that are applied to the vault, as far as they fit.
    #[serde(default)]
    pub policies: Vec<PolicyNote>,
    pub checkpoint: CheckpointNote,
    pub backup: BackupNote,
    /// Present exactly when `parent_backup_id` is.
    pub server: Option<ServerNote>,
    /// Where the disk lay on its host; absent in what came from another installation.
    pub place: Option<PlaceNote>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectNote {
    pub id: ProjectId,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultNote {
    pub name: String,
    pub description: Option<String>,
    pub object_type: ObjectType,
    pub protect_type: ProtectType,
    pub consistent_level: ConsistentLevel,
    pub cloud_type: CloudType,
    pub charging_mode: ChargingMode,
    pub size_gb: u64,
    pub auto_expand: bool,
    pub smn_notify: bool,
    pub threshold: u64,
    pub locked: bool,
    pub demand_billing: bool,
    pub backup_name_prefix: Option<String>,
    pub enterprise_project_id: String,
    pub term_ends_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointNote {
    pub name: String,
    pub description: String,
    pub retention_days: i64,
    pub created_at: Timestamp,
}

/// What a server's backup and those of its disks have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupNote {
    pub description: String,
    pub image_type: ImageType,
    pub incremental: bool,
    pub auto_trigger: bool,
    pub created_at: Timestamp,
    pub protected_at: Timestamp,
    pub expired_at: Option<Timestamp>,
    /// Of an automatic backup: the policy that made it, which may be gone by now.
    #[serde(default)]
    pub policy_id: Option<PolicyId>,
    /// Of an automatic backup: the rules that it was made under.
    #[serde(default)]
    pub retention: Option<Retention>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerNote {
    pub id: ServerId,
    pub name: String,
    /// Of the server's backup.
    pub backup_name: String,
    /// How many disks its backup holds; with fewer it is not whole.
    pub disks: u64,
    pub contains_system_disk: bool,
    /// Disks that the vault leaves out.
    pub exclude_volumes: Vec<VolumeId>,
    pub qmp_socket: Option<String>,
    pub guest_agent_socket: Option<String>,
    #[serde(default)]
    pub libvirt: Option<LibvirtDomain>,
    /// What its machine was made of, as far as that fits.
    #[serde(default)]
    pub machine: Option<MachineRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceNote {
    pub path: String,
    /// On its server; 0 is the system disk.
    pub position: u64,
}

impl Provenance {
    /// For the point that will hold a disk's data, whose instant is `protected_at`.
    pub fn of(work: &BackupWork, disk: &DiskWork, protected_at: Timestamp) -> Self {
        let row = &disk.backup;
        Self {
            backup_id: row.id.clone(),
            parent_backup_id: row.parent_id.clone(),
            checkpoint_id: row.checkpoint_id.clone(),
            vault_id: row.vault_id.clone(),
            resource_id: row.resource_id.clone(),
            resource_name: row.resource_name.clone(),
            backup_name: row.name.clone(),
            system_disk: row.system_disk,
            format: disk.volume.as_ref().map(|volume| volume.format),
            project: ProjectNote {
                id: row.project_id.clone(),
                name: work.project_name.clone(),
            },
            vault: VaultNote::of(&work.vault),
            policies: PolicyNote::all_of(&work.policies),
            checkpoint: CheckpointNote::of(&work.checkpoint),
            backup: BackupNote::of(row, protected_at),
            server: row.parent_id.as_ref().map(|_| ServerNote::of(work)),
            place: disk.volume.as_ref().map(|volume| PlaceNote {
                path: volume.path.clone(),
                position: disk.position,
            }),
        }
    }

    /// The attributes of the point.
    pub fn to_attributes(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("its keys are texts")
    }

    /// Nothing for a point that something else than a backup made, e.g. `strongroom repo backup`.
    pub fn from_attributes(attributes: &serde_json::Value) -> Option<Self> {
        let found = Self::deserialize(attributes).ok()?;
        (found.server.is_some() == found.parent_backup_id.is_some()).then_some(found)
    }

    /// The backup that is listed: the server's, or the disk's own.
    pub fn top_id(&self) -> &BackupId {
        self.parent_backup_id.as_ref().unwrap_or(&self.backup_id)
    }
}

impl VaultNote {
    fn of(vault: &Vault) -> Self {
        Self {
            name: vault.name.clone(),
            description: vault.description.clone(),
            object_type: vault.object_type,
            protect_type: vault.protect_type,
            consistent_level: vault.consistent_level,
            cloud_type: vault.cloud_type,
            charging_mode: vault.charging_mode,
            size_gb: vault.size_gb,
            auto_expand: vault.auto_expand,
            smn_notify: vault.smn_notify,
            threshold: vault.threshold,
            locked: vault.locked,
            demand_billing: vault.demand_billing,
            backup_name_prefix: vault.backup_name_prefix.clone(),
            enterprise_project_id: vault.enterprise_project_id.clone(),
            term_ends_at: vault.term_ends_at,
            created_at: vault.created_at,
        }
    }
}

impl CheckpointNote {
    fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            name: checkpoint.name.clone(),
            description: checkpoint.description.clone(),
            retention_days: checkpoint.retention_days,
            created_at: checkpoint.created_at,
        }
    }
}

impl BackupNote {
    fn of(row: &Backup, protected_at: Timestamp) -> Self {
        Self {
            description: row.description.clone(),
            image_type: row.image_type,
            incremental: row.incremental,
            auto_trigger: row.auto_trigger,
            created_at: row.created_at,
            protected_at,
            expired_at: row.expired_at,
            policy_id: row.policy_id.clone(),
            retention: row.retention.as_ref().map(|rules| rules.0.clone()),
        }
    }
}

impl ServerNote {
    fn of(work: &BackupWork) -> Self {
        let backup = &work.backup;
        let excluded = |row: &VaultResource| row.exclude_volumes.clone().map(|list| list.0);
        let socket =
            |of: fn(&Server) -> &Option<String>| work.server.as_ref().and_then(|s| of(s).clone());
        Self {
            id: backup.resource_id.clone().into(),
            name: backup.resource_name.clone(),
            backup_name: backup.name.clone(),
            disks: work.disks.len() as u64,
            contains_system_disk: backup.system_disk,
            exclude_volumes: work
                .resource
                .as_ref()
                .and_then(excluded)
                .unwrap_or_default(),
            qmp_socket: socket(|server| &server.qmp_socket),
            guest_agent_socket: socket(|server| &server.guest_agent_socket),
            libvirt: work.server.as_ref().and_then(LibvirtDomain::of),
            machine: work.machine.as_ref().and_then(fitting),
        }
    }
}

/// A domain's own text is the first that is left out, for it is by far the largest.
fn fitting(machine: &MachineRecord) -> Option<MachineRecord> {
    let fits = |machine: &MachineRecord| {
        serde_json::to_string(machine).is_ok_and(|json| json.len() <= MACHINE_BYTES_MAX)
    };
    if fits(machine) {
        return Some(machine.clone());
    }
    let short = MachineRecord {
        libvirt_xml: None,
        ..machine.clone()
    };
    fits(&short).then_some(short)
}

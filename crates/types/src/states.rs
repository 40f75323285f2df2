//! Words of the CBR v3 API and of our own tables. Source of the API's words: its OpenAPI definition
//! and, where that is silent, what its SDKs accept.

use crate::text::words;

words!(/// State of a vault, `billing.status` on the wire.
VaultStatus {
    Available = "available",
    /// A change of capacity is under way.
    Lock = "lock",
    /// An operator suspended the project.
    Frozen = "frozen",
    Deleting = "deleting",
    Error = "error",
});

words!(/// What kind of resource a vault takes.
ObjectType {
    Server = "server",
    Disk = "disk",
    Turbo = "turbo",
    Workspace = "workspace",
    Vmware = "vmware",
    Rds = "rds",
    File = "file",
});

words!(ProtectType { Backup = "backup", Replication = "replication", Hybrid = "hybrid" });
words!(ConsistentLevel { App = "app_consistent", Crash = "crash_consistent" });
words!(/// What becomes of a backup that its policy started when the guest does not hold its file systems still.
FailedFreeze {
    /// It is made, as after a power cut, and says so.
    CrashConsistent = "crash_consistent",
    /// It fails.
    Fail = "fail",
});

impl Default for FailedFreeze {
    /// Who chose nothing has a backup.
    fn default() -> Self {
        Self::CrashConsistent
    }
}

words!(CloudType { Public = "public", Hybrid = "hybrid" });
words!(ChargingMode { PrePaid = "pre_paid", PostPaid = "post_paid" });
words!(PeriodType { Year = "year", Month = "month" });

words!(/// Type of a protected resource.
ResourceType {
    Server = "OS::Nova::Server",
    Volume = "OS::Cinder::Volume",
    BareMetal = "OS::Ironic::BareMetalServer",
    Native = "OS::Native::Server",
    Turbo = "OS::Sfs::Turbo",
    Desktop = "OS::Workspace::DesktopV2",
});

words!(/// State of a resource inside its vault.
ProtectStatus {
    Available = "available",
    Error = "error",
    Protecting = "protecting",
    Restoring = "restoring",
    Removing = "removing",
    /// On its way to another vault, with its backups; in no published list.
    Migrating = "migrating",
    /// The resource is gone from the inventory.
    Deleted = "deleted",
});

words!(CheckpointStatus {
    Available = "available",
    Protecting = "protecting",
    Deleting = "deleting",
    Deleted = "deleted",
    ErrorDeleting = "error-deleting",
    Error = "error",
});

words!(BackupStatus {
    Available = "available",
    Protecting = "protecting",
    Deleting = "deleting",
    Restoring = "restoring",
    Error = "error",
    WaitingProtect = "waiting_protect",
    WaitingDelete = "waiting_delete",
    WaitingRestore = "waiting_restore",
});

impl BackupStatus {
    /// The backup is being made or waits to be.
    pub const fn is_protecting(self) -> bool {
        matches!(self, Self::WaitingProtect | Self::Protecting)
    }

    /// The backup is being read back or waits to be.
    pub const fn is_restoring(self) -> bool {
        matches!(self, Self::WaitingRestore | Self::Restoring)
    }

    pub const fn is_deleting(self) -> bool {
        matches!(self, Self::WaitingDelete | Self::Deleting)
    }
}

words!(ImageType { Backup = "backup", Replication = "replication" });

words!(/// What a project has answered to a backup that it was offered.
MemberStatus {
    Pending = "pending",
    Accepted = "accepted",
    Rejected = "rejected",
});

words!(/// State of a copy to another region.
ReplicationStatus {
    Waiting = "waiting_replicate",
    Replicating = "replicating",
    Success = "success",
    Fail = "fail",
    Skip = "skip",
});

words!(/// What an operation log records.
OperationType {
    Backup = "backup",
    Copy = "copy",
    Replication = "replication",
    Restore = "restore",
    Delete = "delete",
    Sync = "sync",
    VaultDelete = "vault_delete",
    RemoveResource = "remove_resource",
    /// Another end for backups that expire; in no published list.
    UpdateExpirationTime = "update_expiration_time",
    /// A resource's move to another vault; in no published list.
    MigrateResource = "migrate_resource",
});

words!(/// What a policy does when it runs.
    PolicyOperation { Backup = "backup", Replication = "replication" });

words!(/// Who keeps a policy: its project, or an organization that made it in many projects.
PolicyOrigin {
    Custom = "custom_policy",
    OrganizationV1 = "organization_policy_v1",
    OrganizationV2 = "organization_policy_v2",
    OrganizationRemoved = "organization_policy_removed",
});

words!(OperationStatus {
    Waiting = "waiting",
    Running = "running",
    Success = "success",
    Skipped = "skipped",
    Failed = "failed",
    Timeout = "timeout",
});

words!(/// State of a request for a term reservation, the honest meaning of an order here.
    OrderStatus { Waiting = "waiting", Completed = "completed", Rejected = "rejected" });

words!(/// What an order asks for.
    OrderKind { Create = "create", ChargeMode = "charge_mode", Resize = "resize" });

words!(/// What a user may do in a project; the table of actions is in the service.
Role {
    /// Everything, the installation's inventory, users and orders included.
    Admin = "admin",
    /// Everything on the vaults, backups and policies of the project.
    Operator = "operator",
    /// As operator, without changes to policies.
    BackupUser = "backup_user",
    Reader = "reader",
});

words!(/// State of a server as the inventory found it.
    ServerStatus { Active = "ACTIVE", Shutoff = "SHUTOFF", Error = "ERROR" });

words!(/// How a volume's bytes lie in its file.
    VolumeFormat { Raw = "raw", Qcow2 = "qcow2" });

words!(/// Why one resource or disk could not be backed up, restored or removed. Kept in rows; the API turns each
    /// into a code of the wire.
Trouble {
    /// Its disks are held by a running machine and nothing can read them consistently.
    ServerRunning = "server_running",
    /// The server is gone from the inventory.
    ServerMissing = "server_missing",
    ServerWithoutDisks = "server_without_disks",
    /// The guest did not hold its file systems still, and the policy wants no backup without that.
    GuestNotFrozen = "guest_not_frozen",
    /// The disk is gone from the inventory, or its file from the host.
    DiskMissing = "disk_missing",
    /// The file is of a format or shape this service does not read.
    DiskUnsupported = "disk_unsupported",
    DiskUnreadable = "disk_unreadable",
    DiskUnwritable = "disk_unwritable",
    /// Another program holds the disk.
    DiskInUse = "disk_in_use",
    TargetTooSmall = "target_too_small",
    BackupRunning = "backup_running",
    Restoring = "restoring",
    Removing = "removing",
    /// On its way to another vault.
    Migrating = "migrating",
    /// The vault holds nothing that could be backed up at the time.
    NothingToBackUp = "nothing_to_back_up",
    VaultFull = "vault_full",
    /// The vault is frozen, broken or being deleted.
    VaultState = "vault_state",
    /// The vault's state, its lock or its kind forbids it.
    VaultForbids = "vault_forbids",
    /// No other region is known to replicate to.
    NoPeer = "no_peer",
    /// The storage under the repository did not answer or is full.
    StorageUnavailable = "storage_unavailable",
    /// Backed-up data is missing or does not match its checksums.
    DataDamaged = "data_damaged",
    /// The backup of another project is no longer shared.
    ShareWithdrawn = "share_withdrawn",
    /// Another region refused a copy or failed to make it.
    PeerRefused = "peer_refused",
    /// Every attempt was cut off before it could end.
    Interrupted = "interrupted",
    /// A defect of this program; its log has the chain.
    Internal = "internal",
});

words!(/// State of an agent that backs up files.
AgentStatus {
    Normal = "normal",
    /// It was not heard of for some time.
    Abnormal = "abnormal",
    /// It was told to go.
    Uninstall = "uninstall",
});

words!(/// How far a project is with a policy that its account pushes to it.
DeploymentStatus {
    /// It has no copy yet.
    Syncing = "syncing",
    /// Its copy is to change.
    Updating = "updating",
    /// Its copy is to go.
    Deleting = "deleting",
    Available = "available",
    Error = "error",
});

words!(/// What became of a request that would change something.
AuditOutcome {
    Success = "success",
    /// The credentials are not good, or not good for this.
    Denied = "denied",
    Failed = "failed",
});

words!(/// How far a proof of a backup is.
ProofState {
    Waiting = "waiting",
    Running = "running",
    /// It has a verdict.
    Done = "done",
    /// Nothing was found out.
    Failed = "failed",
});

words!(/// What a machine that ran from a backup has shown.
ProofVerdict {
    Boots = "boots",
    DoesNotBoot = "does_not_boot",
    /// The machine showed nothing that can be told from here.
    Unknown = "unknown",
});

words!(/// What a look through a file system has found.
FileSystemState {
    /// Nothing but what is put right at every boot.
    Clean = "clean",
    Damaged = "damaged",
    NotChecked = "not_checked",
});

words!(/// Who ran a machine's instructions: the processor, or QEMU in its place.
Accelerator { Kvm = "kvm", Tcg = "tcg" });

words!(JobKind {
    BackUp = "back_up",
    Restore = "restore",
    DeleteBackup = "delete_backup",
    DeleteVault = "delete_vault",
    RemoveResource = "remove_resource",
    MigrateResource = "migrate_resource",
    Collect = "collect",
    /// Finds what an accepted backup takes of its receiver's vault.
    MeasureShare = "measure_share",
    /// Makes the projects' copies of an organization policy as it is.
    DeployPolicy = "deploy_policy",
    /// Compare a hybrid vault with its storage unit.
    SyncVault = "sync_vault",
    /// List one backup of a storage unit.
    SyncBackup = "sync_backup",
    /// Send a backup to another region.
    Replicate = "replicate",
    /// Put together what another region sent.
    ReceiveReplica = "receive_replica",
    /// Run a machine from a backup.
    Prove = "prove",
});

words!(/// Where people are told.
    NoticeChannel { Log = "log", Webhook = "webhook", Mail = "mail" });

words!(NoticeState {
    Waiting = "waiting",
    Sent = "sent",
    /// Every attempt failed, or the channel is no longer configured.
    Failed = "failed",
});

words!(/// State of a backup that is served as disks, or shall be.
AttachmentStatus {
    Attaching = "attaching",
    Attached = "attached",
    Detaching = "detaching",
    /// It cannot be served just now; tried again until it can, or is detached.
    Error = "error",
});

words!(/// How an attached backup's disks are reached.
AttachmentTransport {
    /// By sockets of the service's host.
    Unix = "unix",
    /// From other hosts, by TCP with TLS and certificates of both sides.
    Tls = "tls",
});

words!(JobState {
    Waiting = "waiting",
    Running = "running",
    Done = "done",
    Failed = "failed",
});

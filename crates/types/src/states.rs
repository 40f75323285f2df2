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

words!(ImageType { Backup = "backup", Replication = "replication" });

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

words!(JobKind {
    BackUp = "back_up",
    Restore = "restore",
    DeleteBackup = "delete_backup",
    DeleteVault = "delete_vault",
    RemoveResource = "remove_resource",
});

words!(JobState {
    Waiting = "waiting",
    Running = "running",
    Done = "done",
    Failed = "failed",
});

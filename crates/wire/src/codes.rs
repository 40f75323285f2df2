//! The error codes this service answers, in one table: identifier, code, HTTP status, default message.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $message:literal;)+) => {
        /// A code of the wire. `error_code` in answers, `code` in tasks and skipped resources.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The identifier in our source, for the tests that look for unused codes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The text clients compare.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// What a user reads when the place that raises it has nothing more exact to say.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message),+ }
            }
        }
    };
}

codes! {
    NothingToBackUp = "BackupService.0001", 400, "No resource can be backed up.";

    BackupNotReplicable = "BackupService.1002", 400, "The backup cannot be replicated.";
    NotServerBackup = "BackupService.1003", 400, "Only backups of servers can be replicated.";
    RegionNotReplicable = "BackupService.1005", 400, "The target region takes no replicas.";
    ReplicaFailed = "BackupService.1006", 500, "The replica could not be made.";
    ReplicatedAlready = "BackupService.1009", 400, "The backup is replicated to that region already.";
    ProjectNotReplicable = "BackupService.1011", 400, "The target project takes no replicas.";

    TargetTooSmall = "BackupService.2001", 400, "The target disk is smaller than the backup.";
    ResourceBeingBackedUp = "BackupService.2002", 400, "The resource is being backed up. Restore it later.";
    BackupNotRestorable = "BackupService.2005", 400, "The backup cannot be restored in its current state.";
    ServerNotRestorable = "BackupService.2008", 400, "The server must be stopped before it is restored.";
    ResourceBeingRestored = "BackupService.2010", 400, "The resource is being restored.";
    DiskNotRestorable = "BackupService.2011", 400, "The disk is in use and cannot be overwritten.";
    DataDiskOntoSystemDisk = "BackupService.2013", 400, "A data disk cannot be restored onto a system disk.";

    PolicyNotFound = "BackupService.6000", 404, "The policy does not exist.";
    TooManyPolicies = "BackupService.6001", 400, "The project has too many policies of this type.";
    PolicyNotApplied = "BackupService.6002", 404, "The policy is not applied to the vault.";
    DestinationInUse = "BackupService.6003", 400, "The destination region of a policy that is applied cannot change.";

    VaultResourcesExceeded = "BackupService.6100", 400, "The vault holds too many resources.";
    VaultSizeInvalid = "BackupService.6101", 400, "The size of the vault is not valid.";
    ResourceTypeMismatch = "BackupService.6102", 400, "The vault does not take resources of this type.";
    ResourceInOtherVault = "BackupService.6103", 400, "The resource is already associated with a vault.";
    DuplicateResource = "BackupService.6104", 400, "The resource appears more than once in the list.";
    VaultNotFound = "BackupService.6105", 404, "The vault does not exist.";
    ExpansionFailed = "BackupService.6107", 400, "The vault was not expanded.";
    VaultTakesNoResources = "BackupService.6108", 400, "The vault takes no resources.";
    BillNotFound = "BackupService.6109", 400, "The order does not exist.";
    VaultUnchangeable = "BackupService.6110", 400, "The vault cannot be changed so.";
    VaultPrePaid = "BackupService.6111", 400, "A pre-paid vault cannot be deleted.";
    VaultStateForbids = "BackupService.6112", 400, "The state of the vault forbids the operation.";
    VaultStateForbidsBackup = "BackupService.6113", 400, "The state of the vault forbids backups.";
    VaultFull = "BackupService.6114", 400, "The vault is full.";
    UnsupportedVaultType = "BackupService.6116", 400, "Vaults of this type are not offered.";
    UnknownPolicyType = "BackupService.6117", 400, "The type of the policy is not known.";
    DestinationUnchecked = "BackupService.6118", 400, "The destination vault could not be checked.";
    DestinationTakesNoReplicas = "BackupService.6119", 400, "The destination vault takes no replicas.";
    DestinationNotFound = "BackupService.6120", 400, "The destination vault does not exist.";
    ReplicationOfResource = "BackupService.6122", 400, "Resources of this type cannot be replicated.";
    OrderOpen = "BackupService.6123", 400, "An order about the vault is open.";
    VaultCannotBackUp = "BackupService.6124", 400, "Vaults of this type cannot back up.";
    BackupRunning = "BackupService.6125", 400, "A backup of the resource is running.";
    PolicyDoesNotFit = "BackupService.6127", 400, "The policy does not fit the vault.";
    VaultNotReplicable = "BackupService.6128", 400, "Vaults of this type cannot be replicated.";
    DestinationFull = "BackupService.6129", 400, "The destination vault is full.";
    VaultBeingReplicated = "BackupService.6130", 400, "The vault is being replicated.";
    ResourceBeingRemoved = "BackupService.6134", 400, "The resource is being removed from the vault.";
    ResourceNotInVault = "BackupService.6135", 400, "The resource is not associated with the vault.";
    HybridVault = "BackupService.6136", 400, "Hybrid vaults take no policy.";

    BackupNotFound = "BackupService.6200", 404, "The backup does not exist.";
    BackupNotDeletable = "BackupService.6201", 400, "The backup cannot be deleted.";
    VaultStateForbidsRestore = "BackupService.6202", 400, "The state of the vault forbids restoring.";
    VaultBusy = "BackupService.6203", 400, "A task is running.";
    MetadataNotReady = "BackupService.6206", 400, "The metadata is not available in this state of the backup.";
    BackupInUse = "BackupService.6216", 400, "The backup is in use and cannot be deleted.";
    CheckpointNotFound = "BackupService.6217", 404, "The restore point does not exist.";
    BackupLocked = "BackupService.6220", 400, "Automatic backups of a locked vault cannot be deleted before they expire.";

    ResourceNotFound = "BackupService.6302", 404, "The resource does not exist.";

    OperationLogNotFound = "BackupService.6500", 404, "Operation log does not exist.";
    TooManyTags = "BackupService.6600", 400, "The vault has too many tags.";
    TagNotFound = "BackupService.6601", 404, "The vault has no tag of this key.";

    PartShared = "BackupService.6700", 400, "This backup cannot be shared.";
    MembersExceeded = "BackupService.6701", 400, "The backup is shared with too many projects.";
    BackupNotShareable = "BackupService.6702", 400, "Only available backups can be shared.";
    AlreadyShared = "BackupService.6703", 400, "The backup is already shared with the project.";
    BadReceiver = "BackupService.6704", 400, "The backup cannot be shared with this project.";
    MemberNotFound = "BackupService.6705", 404, "The backup is not shared with the project.";
    BadMemberAnswer = "BackupService.6706", 400, "The answer to the shared backup is not valid.";
    SharedBackup = "BackupService.6707", 400, "The backup belongs to another project.";
    MemberNotAnswerable = "BackupService.6708", 400, "The shared backup cannot be answered so.";
    VaultStateForbidsSharing = "BackupService.6712", 400, "The state of the vault forbids sharing.";
    VaultOfOtherType = "BackupService.6713", 400, "The vault is of another type than the backup.";
    SharedOnward = "BackupService.6714", 400, "A shared backup cannot be shared on.";

    DiskNotFound = "BackupService.7000", 404, "The disk does not exist.";
    DiskStateForbidsBackup = "BackupService.7003", 400, "The state of the disk forbids backups.";
    DiskUnsupported = "BackupService.7004", 400, "The disk cannot be backed up or restored.";
    ServerNotFound = "BackupService.7100", 404, "The server does not exist.";
    ServerStateForbidsBackup = "BackupService.7101", 400, "The state of the server forbids backups.";
    ServerWithoutDisks = "BackupService.7108", 400, "The server has no disks.";

    VaultCannotSync = "BackupService.7300", 400, "The vault has no storage that could be synchronised.";
    SyncRunning = "BackupService.7302", 400, "It is being synchronised already.";
    BadAgentId = "BackupService.7403", 400, "The agent id is not valid.";
    TooManyPaths = "BackupService.7407", 400, "The agent has too many paths.";
    AgentNotFound = "BackupService.7410", 404, "The agent does not exist.";

    /// The general one: the message names the field.
    InvalidParameter = "BackupService.9900", 400, "The request is not valid.";
    BodyTooLarge = "BackupService.9900", 413, "The request body is larger than 1 MiB.";
    BodyTooSlow = "BackupService.9900", 408, "The request body did not arrive in time.";
    TimedOut = "BackupService.9910", 504, "The service did not answer in time. Try again later.";
    InternalError = "BackupService.9910", 500, "Something went wrong on our side. Quote the request id to your administrator.";

    /// Ours alone, on our own paths.
    OrderNotFound = "Strongroom.1001", 404, "The order does not exist.";
    OrderDecided = "Strongroom.1002", 409, "The order is already decided.";
    AlreadyInInventory = "Strongroom.1003", 409, "The inventory has it already.";
    InventoryInUse = "Strongroom.1004", 409, "It is in use and cannot be removed.";
    ProjectNotFound = "Strongroom.1005", 404, "The project does not exist.";

    UserNotFound = "Strongroom.1006", 404, "The user does not exist.";
    AccessKeyNotFound = "Strongroom.1007", 404, "The access key does not exist.";
    TokenNotFound = "Strongroom.1009", 404, "The token does not exist or has expired.";
    NameTaken = "Strongroom.1008", 409, "The name is taken.";

    ReplicaStale = "Strongroom.1010", 409, "What was sent does not fit. Compare it again.";
    ReplicaEnded = "Strongroom.1011", 409, "The transfer has ended.";

    ProofNotFound = "Strongroom.1020", 404, "The proof or its picture does not exist.";
    ProofRunning = "Strongroom.1021", 409, "A proof of the backup has not ended yet.";
    BackupNotProvable = "Strongroom.1022", 400, "No machine can be run from the backup in its current state.";
    AttachmentNotFound = "Strongroom.1023", 404, "The attachment does not exist.";
    AttachmentsExceeded = "Strongroom.1024", 400, "Too many disks are attached.";
    RangeNotSatisfiable = "Strongroom.1025", 416, "The range lies beyond the end.";
    MachineNotRecorded = "Strongroom.1026", 404, "It is not known what the machine of the backup was made of.";
    NewServersNotOffered = "Strongroom.1027", 400, "This installation makes no new servers.";
    TlsNotOffered = "Strongroom.1030", 400, "This installation serves no disks over TLS.";

    GuestNotFrozen = "Strongroom.1028", 400, "The guest did not hold its file systems still.";

    /// Why a task failed, where the clouds have no code of their own.
    StorageUnavailable = "Strongroom.2001", 500, "The storage of the backups did not answer or is full.";
    DataDamaged = "Strongroom.2002", 500, "Backed-up data is missing or damaged.";
    Interrupted = "Strongroom.2003", 500, "Every attempt was interrupted.";

    UnknownRoute = "APIGW.0101", 404, "The API does not exist.";
    UnknownMethod = "APIGW.0101", 405, "The API does not exist for this method.";
    Unauthenticated = "APIGW.0301", 401, "Incorrect IAM authentication information.";
    Forbidden = "APIGW.0302", 403, "You are not allowed to do this.";
    Throttled = "APIGW.0308", 429, "The service is busy. Try again later.";
}

use strongroom_types::{
    AttachmentId, BackupId, BackupStatus, CheckpointId, OperationLogId, OrderId, PolicyId,
    PolicyOperation, ProjectId, ProofId, ResourceId, ResourceType, ServerId, Trouble, UserId,
    VaultId, VaultStatus, VolumeId,
};

/// Why the service did not do what it was asked, in the words of the domain. The API gives each its code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request contradicts itself or asks for what this service does not offer; correct it.
    #[error("{message}")]
    Invalid { message: String },
    /// No credentials, or none that are valid now.
    #[error("the credentials are missing, wrong or expired")]
    Unauthenticated,
    /// The caller's role or scope does not allow this.
    #[error("the caller may not do this in this project")]
    Forbidden,
    /// Try again in a moment.
    #[error("the service is busy")]
    Busy(#[source] strongroom_db::Error),
    /// Try again: more passwords are to be checked than can be.
    #[error("too many sign-ins are waiting")]
    TooManySignIns,
    /// A defect or a broken installation; the log has the chain.
    #[error("the service failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),

    // Vaults.
    #[error("the vault {vault_id} does not exist")]
    VaultNotFound { vault_id: VaultId },
    /// The combination of object and protection type is not offered.
    #[error("{message}")]
    VaultTypeNotOffered { message: String },
    #[error("{message}")]
    VaultSize { message: String },
    /// The vault's kind or content forbids this change.
    #[error("{message}")]
    VaultNotChangeable { message: String },
    /// Locking is one-way. The text is a contract: a client's test matches it.
    #[error("vault not support to modify locked attribute from true to false.")]
    VaultUnlock,
    #[error("the vault has a prepaid term and cannot be deleted")]
    VaultPrePaid,
    #[error("the vault is {status} and cannot be changed or deleted")]
    VaultState { status: VaultStatus },
    #[error("the vault is being deleted")]
    VaultDeleting,
    /// A backup or a restore of the vault has to end first.
    #[error("a backup or restore of the vault is running")]
    VaultBusy,
    /// A locked vault keeps its automatic backups until they expire.
    #[error("the vault is locked and keeps its automatic backups until they expire")]
    LockedBackups,
    /// A locked vault keeps its resources.
    #[error("the vault is locked: its resources cannot be removed")]
    VaultLocked,
    /// Resources move between vaults of one kind only.
    #[error("the two vaults are of different types")]
    VaultsDiffer,
    /// Only what another installation writes is synchronised.
    #[error("{message}")]
    VaultCannotSync { message: String },
    #[error("the vault or the backup is being synchronised already")]
    SyncRunning,
    #[error("a vault may have at most {max} tags")]
    TooManyTags { max: u64 },
    #[error("the vault has no tag of this key")]
    TagNotFound,

    // Policies.
    #[error("the policy {policy_id} does not exist")]
    PolicyNotFound { policy_id: PolicyId },
    #[error("a project may have at most {max} {operation_type} policies")]
    TooManyPolicies {
        operation_type: PolicyOperation,
        max: u64,
    },
    #[error("the policy {policy_id} is not applied to the vault")]
    PolicyNotApplied { policy_id: PolicyId },
    /// Replicas of the vaults that it is applied to are in the old region already.
    #[error("the policy is applied to vaults: its destination_region cannot change")]
    DestinationInUse,
    /// The kind of the policy and that of the vault do not go together.
    #[error("{message}")]
    PolicyDoesNotFit { message: String },
    /// Nothing here makes the backups of a hybrid vault.
    #[error("a hybrid vault takes no policy")]
    HybridVault,
    /// Of all disks, only those of a server are copied to other regions, with the server.
    #[error("only server vaults can be replicated")]
    ReplicationOfDisks,

    // Resources of a vault.
    #[error("a vault may protect at most {max} resources")]
    TooManyResources { max: u64 },
    #[error("the vault takes no resources of type {resource_type}: {resource_id}")]
    WrongResourceType {
        resource_id: ResourceId,
        resource_type: ResourceType,
    },
    /// The resource, its server or one of its disks is protected by another vault.
    #[error("the resource {resource_id} is already protected by another vault")]
    ResourceInOtherVault { resource_id: ResourceId },
    #[error("the resource {resource_id} is listed twice")]
    DuplicateResource { resource_id: ResourceId },
    #[error("the resource {resource_id} does not exist")]
    ResourceNotFound { resource_id: ResourceId },
    /// A replication vault is filled by replication alone.
    #[error("the vault takes no resources")]
    VaultTakesNoResources,
    #[error("the resource {resource_id} is not in the vault")]
    ResourceNotInVault { resource_id: ResourceId },
    #[error("the resource {resource_id} is being removed from the vault")]
    ResourceBeingRemoved { resource_id: ResourceId },

    // Checkpoints.
    #[error("the checkpoint {checkpoint_id} does not exist")]
    CheckpointNotFound { checkpoint_id: CheckpointId },
    #[error("nothing in the vault can be backed up now: {reason}")]
    NothingToBackUp { reason: String },
    /// Every selected resource is being backed up already.
    #[error("the selected resources are already being backed up")]
    BackupRunning,
    #[error("the vault is {status} and takes no backups")]
    VaultStateForbidsBackup { status: VaultStatus },
    #[error("the vault is full")]
    VaultFull,
    #[error("a vault for replicas takes no backups")]
    VaultCannotBackUp,

    // Backups.
    #[error("the backup {backup_id} does not exist")]
    BackupNotFound { backup_id: BackupId },
    #[error("{message}")]
    BackupNotDeletable { message: String },
    /// The newest backup stays while the next one is being made.
    #[error("the resource is being backed up and its newest backup cannot be deleted meanwhile")]
    NewestBackupNeeded,
    #[error("the backup is in use")]
    BackupInUse,
    #[error("{message}")]
    MetadataNotReady { message: String },

    // Backups that are served as disks, our own extension.
    /// The backup, or one of the vault or the resource, is served as disks.
    #[error("a backup that is attached cannot be deleted: detach it first")]
    BackupAttached,
    #[error("a backup that is being copied out cannot be deleted: wait for the end of that")]
    BackupRead,
    #[error("{message}")]
    BackupNotAttachable { message: String },
    #[error("at most {max} disks can be attached at a time")]
    TooManyAttached { max: u64 },
    #[error(
        "this installation serves no disks over TLS: its owner has to configure `worker.attach_tls`"
    )]
    TlsNotOffered,
    #[error("at most {max} disks can be copied out at a time")]
    TooManyReaders { max: usize },
    #[error("at most {max} disks of a project can be copied out at a time")]
    TooManyReadersOfProject { max: usize },
    #[error("the attachment {attachment_id} does not exist")]
    AttachmentNotFound { attachment_id: AttachmentId },

    // Copies to and from other regions.
    #[error("every backup of the vault is in that region, or none can be copied")]
    NothingToReplicate,
    #[error("{message}")]
    BackupNotReplicable { message: String },
    #[error("only backups of servers are copied to other regions")]
    NotServerBackup,
    #[error("the region {region} takes no copies from here")]
    RegionNotReplicable { region: String },
    #[error("the backup is in the region {region} already, or on its way there")]
    ReplicatedAlready { region: String },
    #[error("the project {project_id} takes no copies from this one")]
    ProjectNotReplicable { project_id: ProjectId },
    /// The other region could not be asked.
    #[error("the destination vault cannot be checked: {reason}")]
    DestinationUnchecked { reason: String },
    #[error("the destination vault takes no copies")]
    DestinationTakesNoReplicas,
    /// It is a vault of this region, or none at all.
    #[error("the destination vault {vault_id} does not exist in the other region")]
    DestinationNotFound { vault_id: VaultId },
    #[error("a vault of copies is not copied to another region")]
    VaultNotReplicable,
    #[error("the destination vault is full")]
    DestinationFull,
    #[error("the vault is being copied to another region")]
    VaultBeingReplicated,
    /// What was sent does not fit what is here by now.
    #[error("the stretch has changed: compare it again")]
    ReplicaStale,
    #[error("the transfer has ended")]
    ReplicaEnded,
    /// The repository of a transfer did not answer.
    #[error("the storage of the copies did not answer")]
    StorageUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),

    // Proofs.
    #[error("the backup is {status}: no machine can be run from it")]
    BackupStateForbidsProof { status: BackupStatus },
    #[error("it is not known what the machine of the backup {backup_id} was made of")]
    MachineNotRecorded { backup_id: BackupId },
    #[error("no folder is configured for new servers")]
    NewServersNotOffered,
    #[error("a proof of the backup has not ended yet")]
    ProofRunning,
    #[error("the proof {proof_id} does not exist")]
    ProofNotFound { proof_id: ProofId },
    #[error("the proof has no picture of the machine's screen")]
    ProofWithoutScreen,

    // Restores.
    #[error("the backup is {status} and cannot be restored")]
    BackupStateForbidsRestore { status: BackupStatus },
    #[error("the vault is {status}: backups are restored only from an available vault")]
    VaultStateForbidsRestore { status: VaultStatus },
    #[error("the disk {volume_id} does not exist")]
    TargetVolumeNotFound { volume_id: VolumeId },
    #[error("the server {server_id} does not exist")]
    TargetServerNotFound { server_id: ServerId },
    #[error("the disk {volume_id} is smaller than the backup")]
    TargetTooSmall { volume_id: VolumeId },
    #[error("the server {server_id} is running: stop it first")]
    ServerRunning { server_id: ServerId },
    #[error("the disk {volume_id} is in use: detach it first")]
    DiskInUse { volume_id: VolumeId },
    /// The file under the target is missing or cannot be opened.
    #[error("the disk {volume_id} cannot be used: {reason}")]
    TargetUnusable {
        volume_id: VolumeId,
        trouble: Trouble,
        reason: String,
    },
    #[error("the resource {resource_id} is being backed up: restore later")]
    ResourceBeingBackedUp { resource_id: ResourceId },
    #[error("the resource {resource_id} is being restored")]
    ResourceBeingRestored { resource_id: ResourceId },
    #[error("the backup of a data disk cannot be restored onto the system disk {volume_id}")]
    DataDiskOntoSystemDisk { volume_id: VolumeId },

    // Sharing.
    #[error("a disk's part of a server's backup is shared with the server's backup")]
    PartShared,
    #[error("a backup may be shared with at most {max} projects")]
    TooManyMembers { max: usize },
    #[error("the backup is {status} and cannot be shared")]
    BackupStateForbidsSharing { status: BackupStatus },
    /// Also when the request itself names the project twice.
    #[error("the backup is already shared with the project {project_id}")]
    AlreadyShared { project_id: ProjectId },
    #[error("{message}")]
    BadReceiver { message: String },
    #[error("the backup is not shared with the project {project_id}")]
    MemberNotFound { project_id: ProjectId },
    #[error("{message}")]
    BadMemberAnswer { message: String },
    /// The backup is another project's: the caller's can restore it or turn it down.
    #[error("the backup is shared with this project: only its owner can change or delete it")]
    SharedBackup,
    #[error("{message}")]
    MemberNotAnswerable { message: String },
    #[error("the vault is {status} and does not take part in sharing")]
    VaultStateForbidsSharing { status: VaultStatus },
    #[error("the vault is of another type than the backup")]
    VaultOfOtherType,
    #[error("a backup that is shared with this project cannot be shared on")]
    SharedOnward,
    #[error("the backup is offered to this project, which has not accepted it")]
    ShareNotAccepted,
    /// What a job hears when the right to restore ended before it began.
    #[error("the backup is no longer shared with the project")]
    ShareWithdrawn,

    // Organization policies.
    #[error("the organization policy does not exist")]
    OrganizationPolicyNotFound,
    /// A project's copy of an organization policy.
    #[error("the policy is pushed by the organization, which alone can change or delete it")]
    PolicyOfOrganization,

    // Agents.
    #[error("the agent does not exist")]
    AgentNotFound,
    #[error("an agent of another project has that id")]
    AgentIdTaken,
    #[error("an agent may have at most {max} paths")]
    TooManyPaths { max: usize },

    // Operation logs and orders.
    #[error("the task {operation_log_id} does not exist")]
    OperationLogNotFound { operation_log_id: OperationLogId },
    #[error("the order {order_id} does not exist")]
    OrderNotFound { order_id: OrderId },
    /// The project has placed no order of that id.
    #[error("the order does not exist")]
    BillNotFound,
    /// Another order about the vault has to be decided first.
    #[error("an order about the vault waits for its decision")]
    OrderOpen,
    #[error("the order was rejected")]
    OrderRejected,
    #[error("the order {order_id} is already decided")]
    OrderDecided { order_id: OrderId },

    // Inventory, our own extension.
    #[error("the project {project_id} does not exist")]
    ProjectNotFound { project_id: ProjectId },
    #[error("the volume {volume_id} does not exist")]
    VolumeNotFound { volume_id: VolumeId },
    #[error("the server {server_id} does not exist")]
    ServerNotFound { server_id: ServerId },
    /// A volume of that path, or an object of that id, is in the inventory already.
    #[error("{message}")]
    AlreadyInInventory { message: String },
    #[error("the disk {path} cannot be used: {reason}")]
    DiskUnusable {
        path: String,
        trouble: Trouble,
        reason: String,
    },
    /// Attached to a server, protected by a vault, or the target of a restore.
    #[error("{message}")]
    InventoryInUse { message: String },

    // Identity.
    #[error("the user {user_id} does not exist")]
    UserNotFound { user_id: UserId },
    #[error("the access key {access_key} does not exist")]
    AccessKeyNotFound { access_key: String },
    /// Another project or user of the domain has that name.
    #[error("the name `{name}` is taken")]
    NameTaken { name: String },

    // What the worker hears.
    /// The job has another owner by now: publish nothing and stop.
    #[error("the job has another owner")]
    LeaseLost,
    /// The vault's points are not those that were measured: measure again.
    #[error("the vault changed while its use was measured")]
    UsageStale,
    /// The job's subject is gone or past this step; the job is done.
    #[error("the job has nothing left to do")]
    NothingToDo,
}

impl Error {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
        }
    }

    /// A rule that the code relies on does not hold in the database.
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Internal(what.into().into())
    }
}

impl From<strongroom_db::Error> for Error {
    fn from(error: strongroom_db::Error) -> Self {
        use strongroom_db::Error as Db;
        match error {
            Db::Busy(_) => Self::Busy(error),
            Db::UnknownMarker => Self::invalid("marker is not the id of a row of this list."),
            Db::Conflict(_)
            | Db::Full(_)
            | Db::NewerVersion { .. }
            | Db::BadAddress { .. }
            | Db::Broken(_)
            | Db::Migrate(_) => Self::Internal(Box::new(error)),
        }
    }
}

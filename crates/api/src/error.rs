//! The one way out for errors: whatever went wrong becomes an [`ApiError`], and `observe` writes its body.

use std::fmt;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use strongroom_service::Error;
use strongroom_types::{Chain, Trouble};
use strongroom_wire::Code;

/// A refusal: a code of the table and a sentence for the user. The cause stays in our log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub code: Code,
    pub message: String,
    /// The chain of causes, for the log only.
    pub cause: Option<String>,
}

impl ApiError {
    /// A refusal with the table's own message.
    pub fn of(code: Code) -> Self {
        Self::new(code, code.message())
    }

    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            cause: None,
        }
    }

    /// `Invalid FIELD provided.`, the clouds' sentence for a bad parameter.
    pub fn invalid(field: impl fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("Invalid {field} provided."))
    }

    /// A failure on our side: the client reads the table's message, the log the cause.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::of(Code::InternalError)
        }
    }
}

impl IntoResponse for ApiError {
    /// Without a body: only `observe`, around every route, knows the request id that some bodies show.
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).expect("the table has valid statuses");
        let mut response = status.into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let code = code_of(&error);
        if matches!(error, Error::VaultUnlock) {
            // Clients compare this text to the letter.
            return Self::new(code, error.to_string());
        }
        if matches!(code, Code::InternalError | Code::Throttled) {
            return Self {
                cause: Some(Chain(&error).to_string()),
                ..Self::of(code)
            };
        }
        Self::new(code, sentence(&error.to_string()))
    }
}

/// The domain's words, written as a sentence.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|c| c.to_ascii_uppercase());
    let mut sentence: String = first.into_iter().chain(rest).collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

#[expect(clippy::too_many_lines, reason = "a table: one line for each error")]
const fn code_of(error: &Error) -> Code {
    match error {
        Error::Invalid { .. } | Error::VaultUnlock => Code::InvalidParameter,
        Error::Unauthenticated => Code::Unauthenticated,
        Error::Forbidden | Error::PolicyOfOrganization => Code::Forbidden,
        Error::Busy(_) | Error::TooManySignIns => Code::Throttled,
        Error::Internal(_) | Error::LeaseLost | Error::UsageStale | Error::NothingToDo => {
            Code::InternalError
        }

        Error::VaultNotFound { .. } => Code::VaultNotFound,
        Error::VaultTypeNotOffered { .. } => Code::UnsupportedVaultType,
        Error::VaultSize { .. } => Code::VaultSizeInvalid,
        Error::VaultNotChangeable { .. } | Error::VaultLocked => Code::VaultUnchangeable,
        Error::VaultPrePaid => Code::VaultPrePaid,
        Error::VaultState { .. } => Code::VaultStateForbids,
        Error::VaultDeleting | Error::VaultBusy | Error::NewestBackupNeeded => Code::VaultBusy,
        Error::LockedBackups => Code::BackupLocked,
        Error::VaultCannotSync { .. } => Code::VaultCannotSync,
        Error::SyncRunning => Code::SyncRunning,
        Error::TooManyTags { .. } => Code::TooManyTags,
        Error::TagNotFound => Code::TagNotFound,

        Error::PolicyNotFound { .. } | Error::OrganizationPolicyNotFound => Code::PolicyNotFound,
        Error::TooManyPolicies { .. } => Code::TooManyPolicies,
        Error::PolicyNotApplied { .. } => Code::PolicyNotApplied,
        Error::DestinationInUse => Code::DestinationInUse,
        Error::PolicyDoesNotFit { .. } => Code::PolicyDoesNotFit,
        Error::HybridVault => Code::HybridVault,
        Error::ReplicationOfDisks => Code::ReplicationOfResource,

        Error::TooManyResources { .. } => Code::VaultResourcesExceeded,
        Error::WrongResourceType { .. } | Error::VaultsDiffer => Code::ResourceTypeMismatch,
        Error::ResourceInOtherVault { .. } => Code::ResourceInOtherVault,
        Error::DuplicateResource { .. } => Code::DuplicateResource,
        Error::ResourceNotFound { .. } => Code::ResourceNotFound,
        Error::VaultTakesNoResources => Code::VaultTakesNoResources,
        Error::ResourceNotInVault { .. } => Code::ResourceNotInVault,
        Error::ResourceBeingRemoved { .. } => Code::ResourceBeingRemoved,

        Error::CheckpointNotFound { .. } => Code::CheckpointNotFound,
        Error::NothingToBackUp { .. } | Error::NothingToReplicate => Code::NothingToBackUp,
        Error::BackupRunning => Code::BackupRunning,
        Error::VaultStateForbidsBackup { .. } => Code::VaultStateForbidsBackup,
        Error::VaultFull => Code::VaultFull,
        Error::VaultCannotBackUp => Code::VaultCannotBackUp,

        Error::BackupNotFound { .. } => Code::BackupNotFound,
        Error::BackupNotDeletable { .. } => Code::BackupNotDeletable,
        Error::BackupInUse | Error::BackupAttached | Error::BackupRead => Code::BackupInUse,
        Error::MetadataNotReady { .. } => Code::MetadataNotReady,

        Error::BackupNotReplicable { .. } => Code::BackupNotReplicable,
        Error::NotServerBackup => Code::NotServerBackup,
        Error::RegionNotReplicable { .. } => Code::RegionNotReplicable,
        Error::ReplicatedAlready { .. } => Code::ReplicatedAlready,
        Error::ProjectNotReplicable { .. } => Code::ProjectNotReplicable,
        Error::DestinationUnchecked { .. } => Code::DestinationUnchecked,
        Error::DestinationTakesNoReplicas => Code::DestinationTakesNoReplicas,
        Error::DestinationNotFound { .. } => Code::DestinationNotFound,
        Error::VaultNotReplicable => Code::VaultNotReplicable,
        Error::DestinationFull => Code::DestinationFull,
        Error::VaultBeingReplicated => Code::VaultBeingReplicated,
        Error::ReplicaStale => Code::ReplicaStale,
        Error::ReplicaEnded => Code::ReplicaEnded,
        Error::StorageUnavailable(_) => Code::StorageUnavailable,

        Error::BackupStateForbidsProof { .. } => Code::BackupNotProvable,
        Error::MachineNotRecorded { .. } => Code::MachineNotRecorded,
        Error::NewServersNotOffered => Code::NewServersNotOffered,
        Error::ProofRunning => Code::ProofRunning,
        Error::ProofNotFound { .. } | Error::ProofWithoutScreen => Code::ProofNotFound,

        Error::BackupStateForbidsRestore { .. }
        | Error::ShareNotAccepted
        | Error::BackupNotAttachable { .. } => Code::BackupNotRestorable,
        Error::VaultStateForbidsRestore { .. } => Code::VaultStateForbidsRestore,
        Error::TargetVolumeNotFound { .. } | Error::VolumeNotFound { .. } => Code::DiskNotFound,
        Error::TargetServerNotFound { .. } | Error::ServerNotFound { .. } => Code::ServerNotFound,
        Error::TargetTooSmall { .. } => Code::TargetTooSmall,
        Error::ServerRunning { .. } => Code::ServerNotRestorable,
        Error::DiskInUse { .. } => Code::DiskNotRestorable,
        Error::TargetUnusable { .. } | Error::DiskUnusable { .. } => Code::DiskUnsupported,
        Error::ResourceBeingBackedUp { .. } => Code::ResourceBeingBackedUp,
        Error::ResourceBeingRestored { .. } => Code::ResourceBeingRestored,
        Error::DataDiskOntoSystemDisk { .. } => Code::DataDiskOntoSystemDisk,

        Error::PartShared => Code::PartShared,
        Error::TooManyMembers { .. } => Code::MembersExceeded,
        Error::BackupStateForbidsSharing { .. } => Code::BackupNotShareable,
        Error::AlreadyShared { .. } => Code::AlreadyShared,
        Error::BadReceiver { .. } => Code::BadReceiver,
        Error::MemberNotFound { .. } | Error::ShareWithdrawn => Code::MemberNotFound,
        Error::BadMemberAnswer { .. } => Code::BadMemberAnswer,
        Error::SharedBackup => Code::SharedBackup,
        Error::MemberNotAnswerable { .. } => Code::MemberNotAnswerable,
        Error::VaultStateForbidsSharing { .. } => Code::VaultStateForbidsSharing,
        Error::VaultOfOtherType => Code::VaultOfOtherType,
        Error::SharedOnward => Code::SharedOnward,

        Error::AttachmentNotFound { .. } => Code::AttachmentNotFound,
        Error::TlsNotOffered => Code::TlsNotOffered,
        Error::TooManyAttached { .. }
        | Error::TooManyReaders { .. }
        | Error::TooManyReadersOfProject { .. } => Code::AttachmentsExceeded,

        Error::AgentNotFound => Code::AgentNotFound,
        Error::AgentIdTaken => Code::BadAgentId,
        Error::TooManyPaths { .. } => Code::TooManyPaths,

        Error::OperationLogNotFound { .. } => Code::OperationLogNotFound,
        Error::OrderNotFound { .. } => Code::OrderNotFound,
        Error::BillNotFound => Code::BillNotFound,
        Error::OrderOpen => Code::OrderOpen,
        Error::OrderRejected => Code::ExpansionFailed,
        Error::OrderDecided { .. } => Code::OrderDecided,

        Error::ProjectNotFound { .. } => Code::ProjectNotFound,
        Error::UserNotFound { .. } => Code::UserNotFound,
        Error::AccessKeyNotFound { .. } => Code::AccessKeyNotFound,
        Error::NameTaken { .. } => Code::NameTaken,
        Error::AlreadyInInventory { .. } => Code::AlreadyInInventory,
        Error::InventoryInUse { .. } => Code::InventoryInUse,
    }
}

/// The code that a task's `error_info`, a skipped resource or a protectable instance shows.
pub(crate) const fn code_of_trouble(trouble: Trouble) -> Code {
    match trouble {
        Trouble::ServerRunning => Code::ServerStateForbidsBackup,
        Trouble::ServerMissing => Code::ServerNotFound,
        Trouble::ServerWithoutDisks => Code::ServerWithoutDisks,
        Trouble::GuestNotFrozen => Code::GuestNotFrozen,
        Trouble::DiskMissing => Code::DiskNotFound,
        Trouble::DiskUnsupported => Code::DiskUnsupported,
        Trouble::DiskUnreadable | Trouble::DiskInUse => Code::DiskStateForbidsBackup,
        Trouble::DiskUnwritable => Code::DiskNotRestorable,
        Trouble::TargetTooSmall => Code::TargetTooSmall,
        Trouble::BackupRunning => Code::BackupRunning,
        Trouble::Restoring => Code::ResourceBeingRestored,
        Trouble::Removing => Code::ResourceBeingRemoved,
        Trouble::NothingToBackUp => Code::NothingToBackUp,
        Trouble::VaultFull => Code::VaultFull,
        Trouble::VaultState => Code::VaultStateForbidsBackup,
        Trouble::NoPeer => Code::RegionNotReplicable,
        Trouble::Migrating => Code::VaultBusy,
        Trouble::VaultForbids => Code::VaultUnchangeable,
        Trouble::StorageUnavailable => Code::StorageUnavailable,
        Trouble::DataDamaged => Code::DataDamaged,
        Trouble::ShareWithdrawn => Code::MemberNotFound,
        Trouble::PeerRefused => Code::ReplicaFailed,
        Trouble::Interrupted => Code::Interrupted,
        Trouble::Internal => Code::InternalError,
    }
}

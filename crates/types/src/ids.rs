use std::fmt;
use std::str::FromStr;

use crate::IdSource;
use crate::text::text_column;

/// A text that does not have the shape of the id it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    pub type_name: &'static str,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}", self.type_name)
    }
}

impl std::error::Error for InvalidId {}

fn parse_uuid(text: &str) -> Option<String> {
    // Only the dashed form: the wire never shows another, and one object must not have two spellings.
    let dashed = text.len() == 36 && text.bytes().filter(|b| *b == b'-').count() == 4;
    dashed.then(|| uuid::Uuid::try_parse(text).ok().map(|id| id.to_string()))?
}

fn parse_hex32(text: &str) -> Option<String> {
    let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| text.to_ascii_lowercase())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $parse:ident, $new:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            pub fn random(ids: &dyn IdSource) -> Self {
                Self(ids.$new())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                $parse(text).map(Self).ok_or(InvalidId { type_name: stringify!($name) })
            }
        }

        text_column!($name);

        #[cfg(feature = "utoipa")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::schema::$new()
            }
        }

        #[cfg(feature = "utoipa")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

id!(/// An account that owns projects and users; 32 hex digits.
    DomainId, parse_hex32, hex32);
id!(/// A tenant's project; 32 hex digits.
    ProjectId, parse_hex32, hex32);
id!(/// A user; 32 hex digits.
    UserId, parse_hex32, hex32);
id!(VaultId, parse_uuid, uuid);
id!(/// Anything a vault protects: the id of a server or of a volume.
    ResourceId, parse_uuid, uuid);
id!(ServerId, parse_uuid, uuid);
id!(VolumeId, parse_uuid, uuid);
id!(CheckpointId, parse_uuid, uuid);
id!(BackupId, parse_uuid, uuid);
id!(/// An operation log: what the wire's users call a task.
    OperationLogId, parse_uuid, uuid);
id!(PolicyId, parse_uuid, uuid);
id!(/// What starts a policy; the wire shows it inside the policy.
    TriggerId, parse_uuid, uuid);
id!(OrderId, parse_uuid, uuid);
id!(/// The record of a backup that is offered to a project; on paths the receiving project stands for it.
    MemberId, parse_uuid, uuid);
id!(/// One record of the audit.
    AuditId, parse_uuid, uuid);
id!(/// An agent that backs up files; it chooses its id itself.
    AgentId, parse_uuid, uuid);
id!(AgentPathId, parse_uuid, uuid);
id!(/// A copy of a backup to another region.
    ReplicationId, parse_uuid, uuid);
id!(/// A policy that an account pushes to its projects.
    OrganizationPolicyId, parse_uuid, uuid);
id!(/// One attempt to run a machine from a backup.
    ProofId, parse_uuid, uuid);
id!(/// A backup that is served as disks which machines run from.
    AttachmentId, parse_uuid, uuid);
id!(/// A row of the queue.
    JobId, parse_uuid, uuid);

impl From<ServerId> for ResourceId {
    fn from(id: ServerId) -> Self {
        Self(id.0)
    }
}

impl From<VolumeId> for ResourceId {
    fn from(id: VolumeId) -> Self {
        Self(id.0)
    }
}

impl From<ResourceId> for ServerId {
    fn from(id: ResourceId) -> Self {
        Self(id.0)
    }
}

impl From<ResourceId> for VolumeId {
    fn from(id: ResourceId) -> Self {
        Self(id.0)
    }
}

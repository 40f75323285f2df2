//! What can be protected: volumes, and the servers they are attached to.

use strongroom_types::{ProjectId, ServerId, Timestamp, VolumeFormat, VolumeId};

/// A disk: a file or device on this host.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Volume {
    pub id: VolumeId,
    pub project_id: ProjectId,
    pub name: String,
    /// Absolute; one volume per path in the whole installation.
    pub path: String,
    pub format: VolumeFormat,
    /// As of the last look at the file.
    #[sqlx(try_from = "i64")]
    pub size_bytes: u64,
    pub version: i64,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Server {
    pub id: ServerId,
    pub project_id: ProjectId,
    pub name: String,
    pub qmp_socket: Option<String>,
    pub guest_agent_socket: Option<String>,
    pub created_at: Timestamp,
}

/// A volume in its place on a server; position 0 is the system disk.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Attachment {
    pub volume_id: VolumeId,
    pub server_id: ServerId,
    #[sqlx(try_from = "i64")]
    pub position: u64,
}

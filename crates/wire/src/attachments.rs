//! Our own extension: backups that are served as disks.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    AttachmentId, AttachmentStatus, AttachmentTransport, BackupId, ProjectId, ResourceId,
};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Offset, PageLimit};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachBackupRequest {
    pub attachment: NewAttachment,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewAttachment {
    /// Refuse writes, instead of keeping them beside the backup until it is detached.
    pub read_only: Option<bool>,
    /// How the disks are reached; `unix` when absent. `tls` needs an installation that offers it.
    pub transport: Option<AttachmentTransport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachmentAnswer {
    pub attachment: Attachment,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachmentList {
    pub attachments: Vec<Attachment>,
    /// How many there are, on all pages.
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    pub id: AttachmentId,
    pub project_id: ProjectId,
    pub backup_id: BackupId,
    pub read_only: bool,
    pub transport: AttachmentTransport,
    pub status: AttachmentStatus,
    /// Why it is in `error`; empty otherwise.
    pub reason: String,
    /// In the order to boot in: the system disk first.
    pub disks: Vec<AttachedDisk>,
    pub created_at: CbrTime,
    pub updated_at: CbrTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedDisk {
    /// Of this disk.
    pub backup_id: BackupId,
    /// The disk whose backup it is.
    pub resource_id: ResourceId,
    pub resource_name: String,
    pub size_bytes: u64,
    /// It is a system disk.
    pub bootable: bool,
    /// Of the service's host; connected to while the attachment is `attached`. Empty where the transport is `tls`.
    pub socket: String,
    /// The place as clients of NBD write it: `nbd+unix://`, or `nbds://` where the transport is `tls`. Empty while that is not
    /// configured any more.
    pub uri: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListAttachmentsQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last attachment of the page before.
    pub marker: Option<AttachmentId>,
    pub backup_id: Option<BackupId>,
}

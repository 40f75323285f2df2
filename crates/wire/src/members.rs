//! Sharing: the projects that a backup is offered to.

use serde::{Deserialize, Serialize};
use strongroom_types::{BackupId, MemberId, MemberStatus, ProjectId, VaultId};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Label, Offset, PageLimit, ShortText};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddMembersRequest {
    /// Ids of projects.
    #[schema(max_items = 10)]
    pub members: Option<Vec<ShortText>>,
    /// Whole accounts, which is not offered.
    pub domains: Option<Vec<ShortText>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddMembersAnswer {
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    pub members: Vec<Member>,
    /// How many members pass the filters, on all pages.
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberAnswer {
    pub member: Member,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Of this record; on paths the receiving project stands for it.
    pub id: MemberId,
    pub backup_id: BackupId,
    /// The receiver.
    pub dest_project_id: ProjectId,
    pub status: MemberStatus,
    /// The receiver's vault, once it has accepted.
    #[schema(required)]
    pub vault_id: Option<VaultId>,
    /// No images are made here.
    #[schema(required)]
    pub image_id: Option<String>,
    pub created_at: CbrTime,
    /// When the receiver answered last.
    #[schema(required)]
    pub updated_at: Option<CbrTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateMemberRequest {
    pub status: MemberStatus,
    /// Required to accept.
    pub vault_id: Option<VaultId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListMembersQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last member of the page before.
    pub marker: Option<MemberId>,
    /// One of `created_at`, `updated_at`, `status`, `id`, then `:asc` or `:desc` (the default).
    #[param(value_type = Option<String>, pattern = "^(created_at|updated_at|status|id)(:(asc|desc))?$")]
    pub sort: Option<Label>,
    pub dest_project_id: Option<ProjectId>,
    pub status: Option<MemberStatus>,
    pub vault_id: Option<VaultId>,
    /// No member has one.
    pub image_id: Option<ShortText>,
}

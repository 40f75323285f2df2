//! Our own extension: who changed what, or tried to.

use serde::{Deserialize, Serialize};
use strongroom_types::{AuditId, AuditOutcome, DomainId, ProjectId, UserId};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Label, Offset, PageLimit, ShortText};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    pub records: Vec<AuditRecord>,
    /// How many records pass the filters, on all pages.
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    pub id: AuditId,
    pub happened_at: CbrTime,
    pub request_id: String,
    #[schema(example = "createVault")]
    pub action: String,
    pub outcome: AuditOutcome,
    /// Of the refusal; empty when there was none.
    pub error_code: String,
    #[schema(required)]
    pub project_id: Option<ProjectId>,
    #[schema(required)]
    pub domain_id: Option<DomainId>,
    #[schema(required)]
    pub user_id: Option<UserId>,
    pub user_name: String,
    /// The one that signed the request, or was claimed to.
    #[schema(required)]
    pub access_key: Option<String>,
    #[schema(example = "vault")]
    pub resource_type: String,
    #[schema(required)]
    pub resource_id: Option<String>,
    /// The client's address.
    pub source: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListAuditQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last record of the page before.
    pub marker: Option<AuditId>,
    pub project_id: Option<ProjectId>,
    pub user_id: Option<UserId>,
    pub action: Option<ShortText>,
    pub outcome: Option<AuditOutcome>,
    pub resource_id: Option<Label>,
    pub request_id: Option<ShortText>,
    /// At or after.
    pub start_time: Option<CbrTime>,
    /// At or before.
    pub end_time: Option<CbrTime>,
}

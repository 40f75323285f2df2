//! Our own extension: reading the audit, for administrators.

use axum::extract::State;
use strongroom_service::audit;
use strongroom_service::rows::{self, AuditFilter};
use strongroom_wire::CbrTime;
use strongroom_wire::audit::{AuditList, AuditRecord, ListAuditQuery};
use strongroom_wire::values::{Label, ShortText};

use crate::auth::Authenticated;
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Query};
use crate::{ApiError, ApiState};

/// List who changed what, or tried to, newest first.
#[utoipa::path(get, path = "/strongroom/v1/audit", tag = "administration",
    params(ListAuditQuery), responses((status = 200, body = AuditList)))]
pub(crate) async fn list_audit(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(query): Query<ListAuditQuery>,
) -> Result<Json<AuditList>, ApiError> {
    let page = page(query.limit, query.offset, query.marker, DEFAULT_LIMIT);
    let filter = AuditFilter {
        project_id: query.project_id,
        user_id: query.user_id,
        action: query.action.map(ShortText::into_string),
        outcome: query.outcome,
        resource_id: query.resource_id.map(Label::into_string),
        request_id: query.request_id.map(ShortText::into_string),
        start_time: query.start_time.map(|time| time.0),
        end_time: query.end_time.map(|time| time.0),
    };
    let (records, count) = audit::list(&state.app, &caller, &filter, &page).await?;
    Ok(Json(AuditList {
        records: records.into_iter().map(record).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

fn record(row: rows::AuditRecord) -> AuditRecord {
    AuditRecord {
        id: row.id,
        happened_at: CbrTime(row.happened_at),
        request_id: row.request_id,
        action: row.action,
        outcome: row.outcome,
        error_code: row.error_code,
        project_id: row.project_id,
        domain_id: row.domain_id,
        user_id: row.user_id,
        user_name: row.user_name,
        access_key: row.access_key,
        resource_type: row.resource_type,
        resource_id: row.resource_id,
        source: row.source,
    }
}

use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::sharing;
use strongroom_wire::Code;
use strongroom_wire::members::{
    AddMembersAnswer, AddMembersRequest, ListMembersQuery, MemberAnswer, MemberList,
    UpdateMemberRequest,
};
use strongroom_wire::values::ShortText;

use crate::auth::Tenant;
use crate::convert::members::{answer, member, member_filter, member_page, member_sort};
use crate::extract::{Json, Path, Query};
use crate::params::{BackupPath, MemberPath};
use crate::{ApiError, ApiState};

/// Share a backup with other projects, which have to accept it.
#[utoipa::path(post, path = "/v3/{project_id}/backups/{backup_id}/members", tag = "sharing",
    params(BackupPath), request_body = AddMembersRequest,
    responses((status = 200, body = AddMembersAnswer)))]
pub(crate) async fn add_member(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
    Json(request): Json<AddMembersRequest>,
) -> Result<Json<AddMembersAnswer>, ApiError> {
    let receivers = request.members.unwrap_or_default().into_iter();
    let receivers = receivers.map(ShortText::into_string).collect();
    if request.domains.is_some_and(|domains| !domains.is_empty()) {
        caller.authorise(strongroom_service::Action::MembersCreate, &project)?;
        return Err(ApiError::new(
            Code::InvalidParameter,
            "Invalid domains provided: backups are shared with projects, which members must name.",
        ));
    }
    let added = sharing::add(&state.app, &caller, &project, &path.backup_id, receivers).await?;
    let members = added.into_iter().map(member).collect();
    Ok(Json(AddMembersAnswer { members }))
}

/// List the projects that a backup is shared with, newest first unless `sort` says otherwise.
#[utoipa::path(get, path = "/v3/{project_id}/backups/{backup_id}/members", tag = "sharing",
    params(BackupPath, ListMembersQuery), responses((status = 200, body = MemberList)))]
pub(crate) async fn show_members_detail(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
    Query(query): Query<ListMembersQuery>,
) -> Result<Json<MemberList>, ApiError> {
    let page = member_page(&query);
    let sort = member_sort(query.sort.as_ref())?;
    let of_image = query.image_id.is_some();
    let filter = member_filter(query);
    let id = &path.backup_id;
    let listed = sharing::list(&state.app, &caller, &project, id, filter, &sort, &page).await?;
    let (members, count) = if of_image { (vec![], 0) } else { listed };
    Ok(Json(MemberList {
        members: members.into_iter().map(member).collect(),
        count,
    }))
}

/// Show one project that a backup is shared with.
#[utoipa::path(get, path = "/v3/{project_id}/backups/{backup_id}/members/{member_id}", tag = "sharing",
    params(MemberPath), responses((status = 200, body = MemberAnswer)))]
pub(crate) async fn show_member_detail(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<MemberPath>,
) -> Result<Json<MemberAnswer>, ApiError> {
    let (id, receiver) = (&path.backup_id, &path.member_id);
    let found = sharing::get(&state.app, &caller, &project, id, receiver).await?;
    let member = member(found);
    Ok(Json(MemberAnswer { member }))
}

/// Accept a shared backup into a vault, or turn it down, as the receiving project.
#[utoipa::path(put, path = "/v3/{project_id}/backups/{backup_id}/members/{member_id}", tag = "sharing",
    params(MemberPath), request_body = UpdateMemberRequest,
    responses((status = 200, body = MemberAnswer)))]
pub(crate) async fn update_member_status(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<MemberPath>,
    Json(request): Json<UpdateMemberRequest>,
) -> Result<Json<MemberAnswer>, ApiError> {
    let (id, receiver) = (&path.backup_id, &path.member_id);
    let answer = answer(request);
    let changed = sharing::answer(&state.app, &caller, &project, id, receiver, answer).await?;
    let member = member(changed);
    Ok(Json(MemberAnswer { member }))
}

/// Stop sharing a backup with a project.
#[utoipa::path(delete, path = "/v3/{project_id}/backups/{backup_id}/members/{member_id}", tag = "sharing",
    params(MemberPath), responses((status = 204)))]
pub(crate) async fn delete_member(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<MemberPath>,
) -> Result<StatusCode, ApiError> {
    let (id, receiver) = (&path.backup_id, &path.member_id);
    sharing::remove(&state.app, &caller, &project, id, receiver).await?;
    Ok(StatusCode::NO_CONTENT)
}

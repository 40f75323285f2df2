//! Our own extension: projects, users and their access keys, for administrators.

use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::identity;
use strongroom_service::identity::Secret;
use strongroom_service::rows;
use strongroom_wire::administration::{
    AccessKey, AccessKeyList, CreateProjectRequest, CreateUserRequest, ListPartQuery, Membership,
    NewAccessKeyAnswer, ProjectAnswer, ProjectList, SetPasswordRequest, UserAnswer, UserList,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Authenticated;
use crate::convert::identity::{new_access_key, new_user, project, user_of};
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Path, Query};
use crate::params::{AccessKeyPath, UserPath};
use crate::{ApiError, ApiState};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(create_project, list_projects))
        .routes(routes!(create_user, list_users))
        .routes(routes!(set_password))
        .routes(routes!(add_membership))
        .routes(routes!(create_access_key, list_access_keys))
        .routes(routes!(delete_access_key))
}

/// Create a project.
#[utoipa::path(post, path = "/strongroom/v1/projects", tag = "administration",
    request_body = CreateProjectRequest, responses((status = 201, body = ProjectAnswer)))]
async fn create_project(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(request): Json<CreateProjectRequest>,
) -> Result<(StatusCode, Json<ProjectAnswer>), ApiError> {
    let created = identity::create_project(&state.app, &caller, request.name).await?;
    let project = project(created);
    Ok((StatusCode::CREATED, Json(ProjectAnswer { project })))
}

/// List all projects, oldest first.
#[utoipa::path(get, path = "/strongroom/v1/projects", tag = "administration",
    params(ListPartQuery), responses((status = 200, body = ProjectList)))]
async fn list_projects(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(query): Query<ListPartQuery>,
) -> Result<Json<ProjectList>, ApiError> {
    let page = part(&query);
    let projects = identity::list_all_projects(&state.app, &caller, &page).await?;
    let projects = projects.into_iter().map(project).collect();
    Ok(Json(ProjectList { projects }))
}

/// Create a user with a role in a project.
#[utoipa::path(post, path = "/strongroom/v1/users", tag = "administration",
    request_body = CreateUserRequest, responses((status = 201, body = UserAnswer)))]
async fn create_user(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(request): Json<CreateUserRequest>,
) -> Result<(StatusCode, Json<UserAnswer>), ApiError> {
    let view = identity::create_user(&state.app, &caller, new_user(request)).await?;
    let user = user_of(view);
    Ok((StatusCode::CREATED, Json(UserAnswer { user })))
}

/// List all users with their roles, oldest first.
#[utoipa::path(get, path = "/strongroom/v1/users", tag = "administration",
    params(ListPartQuery), responses((status = 200, body = UserList)))]
async fn list_users(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(query): Query<ListPartQuery>,
) -> Result<Json<UserList>, ApiError> {
    let page = part(&query);
    let users = identity::list_users(&state.app, &caller, &page).await?;
    let users = users.into_iter().map(user_of).collect();
    Ok(Json(UserList { users }))
}

/// Set a user's password. Their tokens and temporary keys end.
#[utoipa::path(put, path = "/strongroom/v1/users/{user_id}/password", tag = "administration",
    params(UserPath), request_body = SetPasswordRequest, responses((status = 204)))]
async fn set_password(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<UserPath>,
    Json(request): Json<SetPasswordRequest>,
) -> Result<StatusCode, ApiError> {
    let password = Secret::new(request.password.0);
    identity::set_password(&state.app, &caller, &path.user_id, &password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a user a role in a project, in place of the one they had there.
#[utoipa::path(post, path = "/strongroom/v1/users/{user_id}/memberships", tag = "administration",
    params(UserPath), request_body = Membership, responses((status = 200, body = UserAnswer)))]
async fn add_membership(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<UserPath>,
    Json(request): Json<Membership>,
) -> Result<Json<UserAnswer>, ApiError> {
    let membership = rows::Membership {
        user_id: path.user_id,
        project_id: request.project_id,
        role: request.role,
    };
    let view = identity::add_membership(&state.app, &caller, membership).await?;
    let user = user_of(view);
    Ok(Json(UserAnswer { user }))
}

/// Make an access key for a user. Its secret key is shown this once.
#[utoipa::path(post, path = "/strongroom/v1/users/{user_id}/access-keys", tag = "administration",
    params(UserPath), responses((status = 201, body = NewAccessKeyAnswer)))]
async fn create_access_key(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<UserPath>,
) -> Result<(StatusCode, Json<NewAccessKeyAnswer>), ApiError> {
    let new = identity::create_access_key(&state.app, &caller, &path.user_id).await?;
    let access_key = new_access_key(new);
    Ok((StatusCode::CREATED, Json(NewAccessKeyAnswer { access_key })))
}

/// List a user's access keys, oldest first.
#[utoipa::path(get, path = "/strongroom/v1/users/{user_id}/access-keys", tag = "administration",
    params(UserPath), responses((status = 200, body = AccessKeyList)))]
async fn list_access_keys(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<UserPath>,
) -> Result<Json<AccessKeyList>, ApiError> {
    let keys = identity::list_access_keys(&state.app, &caller, &path.user_id).await?;
    let access_keys = keys
        .into_iter()
        .map(|key| AccessKey {
            access_key: key.access_key,
            user_id: key.user_id,
            created_at: key.created_at.into(),
        })
        .collect();
    Ok(Json(AccessKeyList { access_keys }))
}

/// Delete an access key.
#[utoipa::path(delete, path = "/strongroom/v1/access-keys/{access_key}", tag = "administration",
    params(AccessKeyPath), responses((status = 204)))]
async fn delete_access_key(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<AccessKeyPath>,
) -> Result<StatusCode, ApiError> {
    identity::delete_access_key(&state.app, &caller, &path.access_key).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn part(query: &ListPartQuery) -> rows::Page {
    page(query.limit, query.offset, None::<String>, DEFAULT_LIMIT)
}

use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::vault_tags;
use strongroom_wire::vault_tags::{
    ChangeTagsAction, ChangeTagsRequest, CreateTagRequest, FindVaultsAction, FindVaultsRequest,
    FoundVaults, ProjectTags, TagValues, VaultTags,
};

use crate::auth::Tenant;
use crate::convert::vault_tags::{
    enterprise_sys_tag, find_filter, find_page, found_vault, keys_to_delete, new_tag, tags_to_put,
};
use crate::convert::vaults::tag;
use crate::extract::{Json, Path, Query};
use crate::params::{EnterpriseQuery, VaultPath, VaultTagPath};
use crate::{ApiError, ApiState};

/// Give a vault a tag, or its tag of that key another value.
#[utoipa::path(post, path = "/v3/{project_id}/vault/{vault_id}/tags", tag = "tags",
    params(VaultPath), request_body = CreateTagRequest, responses((status = 204)))]
pub(crate) async fn create_vault_tag(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<CreateTagRequest>,
) -> Result<StatusCode, ApiError> {
    let tag = new_tag(request.tag);
    vault_tags::put(&state.app, &caller, &project, &path.vault_id, tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Create or delete several tags of a vault.
#[utoipa::path(post, path = "/v3/{project_id}/vault/{vault_id}/tags/action", tag = "tags",
    params(VaultPath), request_body = ChangeTagsRequest, responses((status = 204)))]
pub(crate) async fn change_vault_tags(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<ChangeTagsRequest>,
) -> Result<StatusCode, ApiError> {
    let (app, vault) = (&state.app, &path.vault_id);
    match request.action {
        ChangeTagsAction::Create => {
            let tags = tags_to_put(request)?;
            vault_tags::put_several(app, &caller, &project, vault, tags).await?;
        }
        ChangeTagsAction::Delete => {
            let keys = keys_to_delete(request)?;
            vault_tags::take(app, &caller, &project, vault, &keys).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Delete one tag of a vault.
#[utoipa::path(delete, path = "/v3/{project_id}/vault/{vault_id}/tags/{key}", tag = "tags",
    params(VaultTagPath), responses((status = 204)))]
pub(crate) async fn delete_vault_tag(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultTagPath>,
) -> Result<StatusCode, ApiError> {
    vault_tags::delete(&state.app, &caller, &project, &path.vault_id, &path.key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show the tags of a vault.
#[utoipa::path(get, path = "/v3/{project_id}/vault/{vault_id}/tags", tag = "tags",
    params(VaultPath), responses((status = 200, body = VaultTags)))]
pub(crate) async fn show_vault_tags(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
) -> Result<Json<VaultTags>, ApiError> {
    let view = vault_tags::of_vault(&state.app, &caller, &project, &path.vault_id).await?;
    Ok(Json(VaultTags {
        sys_tags: vec![enterprise_sys_tag(&view.vault)],
        tags: view.tags.into_iter().map(tag).collect(),
    }))
}

/// Show every tag that vaults of the project have.
#[utoipa::path(get, path = "/v3/{project_id}/vault/tags", tag = "tags",
    responses((status = 200, body = ProjectTags)))]
pub(crate) async fn show_project_tags(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
) -> Result<Json<ProjectTags>, ApiError> {
    let tags = vault_tags::of_project(&state.app, &caller, &project).await?;
    let values = |(key, values): (String, std::collections::BTreeSet<String>)| TagValues {
        key,
        values: values.into_iter().collect(),
    };
    Ok(Json(ProjectTags {
        tags: tags.into_iter().map(values).collect(),
    }))
}

/// Find or count vaults by their tags.
#[utoipa::path(post, path = "/v3/{project_id}/vault/resource_instances/action", tag = "tags",
    params(EnterpriseQuery), request_body = FindVaultsRequest,
    responses((status = 200, body = FoundVaults)))]
pub(crate) async fn find_vaults(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<EnterpriseQuery>,
    Json(request): Json<FindVaultsRequest>,
) -> Result<Json<FoundVaults>, ApiError> {
    let app = &state.app;
    let (action, page) = (request.action, find_page(&request));
    let filter = find_filter(request, query, caller.is_admin())?;
    let (resources, total_count) = match action {
        FindVaultsAction::Count => {
            let count = vault_tags::count_vaults(app, &caller, &project, &filter).await?;
            (None, count)
        }
        FindVaultsAction::Filter => {
            let (views, count) =
                vault_tags::find_vaults(app, &caller, &project, &filter, &page).await?;
            (Some(views.into_iter().map(found_vault).collect()), count)
        }
    };
    Ok(Json(FoundVaults {
        resources,
        total_count,
    }))
}

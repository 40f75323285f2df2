use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::rows::PolicyFilter;
use strongroom_service::{policies, vault_policies};
use strongroom_wire::policies::{
    AssociatePolicyAnswer, AssociatePolicyRequest, CreatePolicyRequest, DissociatePolicyAnswer,
    DissociatePolicyRequest, ListPoliciesQuery, PolicyAnswer, PolicyList, UpdatePolicyRequest,
    VaultPolicy,
};

use crate::auth::Tenant;
use crate::convert::policies::{
    created_policy, new_association, new_policy, policy, policy_change, vault_policy,
};
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Path, Query};
use crate::params::{PolicyPath, VaultPath};
use crate::{ApiError, ApiState};

/// Create a policy that backs up or replicates vaults by itself.
#[utoipa::path(post, path = "/v3/{project_id}/policies", tag = "policies",
    request_body = CreatePolicyRequest, responses((status = 200, body = PolicyAnswer)))]
pub(crate) async fn create_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<CreatePolicyRequest>,
) -> Result<Json<PolicyAnswer>, ApiError> {
    let new = new_policy(request.policy)?;
    let view = policies::create(&state.app, &caller, &project, new).await?;
    Ok(Json(PolicyAnswer {
        policy: created_policy(view)?,
    }))
}

/// List the policies of the project, newest first.
#[utoipa::path(get, path = "/v3/{project_id}/policies", tag = "policies",
    params(ListPoliciesQuery), responses((status = 200, body = PolicyList)))]
pub(crate) async fn list_policies(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListPoliciesQuery>,
) -> Result<Json<PolicyList>, ApiError> {
    let page = page(query.limit, query.offset, query.marker, DEFAULT_LIMIT);
    let filter = PolicyFilter {
        operation_type: query.operation_type,
        vault_id: query.vault_id,
    };
    let (views, count) = policies::list(&state.app, &caller, &project, &filter, &page).await?;
    let listed: Result<Vec<_>, _> = views.into_iter().map(policy).collect();
    Ok(Json(PolicyList {
        policies: listed?,
        count,
        limit: page.limit,
        offset: page.offset,
    }))
}

/// Show one policy.
#[utoipa::path(get, path = "/v3/{project_id}/policies/{policy_id}", tag = "policies",
    params(PolicyPath), responses((status = 200, body = PolicyAnswer)))]
pub(crate) async fn show_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<PolicyPath>,
) -> Result<Json<PolicyAnswer>, ApiError> {
    let view = policies::get(&state.app, &caller, &project, &path.policy_id).await?;
    Ok(Json(PolicyAnswer {
        policy: policy(view)?,
    }))
}

/// Change a policy; what is absent stays as it is, a definition is replaced as a whole.
#[utoipa::path(put, path = "/v3/{project_id}/policies/{policy_id}", tag = "policies",
    params(PolicyPath), request_body = UpdatePolicyRequest,
    responses((status = 200, body = PolicyAnswer)))]
pub(crate) async fn update_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<PolicyPath>,
    Json(request): Json<UpdatePolicyRequest>,
) -> Result<Json<PolicyAnswer>, ApiError> {
    let change = policy_change(request.policy)?;
    let view = policies::update(&state.app, &caller, &project, &path.policy_id, change).await?;
    Ok(Json(PolicyAnswer {
        policy: policy(view)?,
    }))
}

/// Delete a policy; the backups that it made stay.
#[utoipa::path(delete, path = "/v3/{project_id}/policies/{policy_id}", tag = "policies",
    params(PolicyPath), responses((status = 204)))]
pub(crate) async fn delete_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<PolicyPath>,
) -> Result<StatusCode, ApiError> {
    policies::delete(&state.app, &caller, &project, &path.policy_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Apply policies to a vault.
#[utoipa::path(post, path = "/v3/{project_id}/vaults/{vault_id}/associatepolicy", tag = "vaults",
    params(VaultPath), request_body = AssociatePolicyRequest,
    responses((status = 200, body = AssociatePolicyAnswer)))]
pub(crate) async fn associate_vault_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<AssociatePolicyRequest>,
) -> Result<Json<AssociatePolicyAnswer>, ApiError> {
    let new = new_association(request);
    let applied =
        vault_policies::associate(&state.app, &caller, &project, &path.vault_id, new).await?;
    Ok(Json(AssociatePolicyAnswer {
        associate_policy: vault_policy(applied),
    }))
}

/// Take a policy off a vault; the backups that it made stay.
#[utoipa::path(post, path = "/v3/{project_id}/vaults/{vault_id}/dissociatepolicy", tag = "vaults",
    params(VaultPath), request_body = DissociatePolicyRequest,
    responses((status = 200, body = DissociatePolicyAnswer)))]
pub(crate) async fn disassociate_vault_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<DissociatePolicyRequest>,
) -> Result<Json<DissociatePolicyAnswer>, ApiError> {
    let (vault_id, policy_id) = (path.vault_id, request.policy_id);
    vault_policies::dissociate(&state.app, &caller, &project, &vault_id, &policy_id).await?;
    Ok(Json(DissociatePolicyAnswer {
        dissociate_policy: VaultPolicy {
            vault_id,
            policy_id,
            destination_vault_id: None,
        },
    }))
}

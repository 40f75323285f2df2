use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::organization_policies::{
    self, NewOrganizationPolicy, OrganizationPolicyChange, OrganizationPolicyView,
};
use strongroom_wire::administration::ListPartQuery;
use strongroom_wire::organization_policies::{
    CreateOrganizationPolicyRequest, Deployment, DeploymentList, ListOrganizationPoliciesQuery,
    OrganizationPolicy, OrganizationPolicyAnswer, OrganizationPolicyChangeRequest,
    OrganizationPolicyList, OrganizationPolicyRequest, OrganizationTrigger,
    OrganizationTriggerProperties, UpdateOrganizationPolicyRequest,
};
use strongroom_wire::policies::PolicyChangeRequest;
use strongroom_wire::values::{Description, Label, Name, StartWindow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::convert::policies::{definition, policy_change};
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Path, Query};
use crate::params::OrganizationPolicyPath;
use crate::{ApiError, ApiState};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(
            create_organization_policy,
            list_organization_policies
        ))
        .routes(routes!(
            show_organization_policy,
            update_organization_policy,
            delete_organization_policy
        ))
        .routes(routes!(list_organization_policy_detail))
}

/// Push a policy to the projects of the account.
#[utoipa::path(post, path = "/v3/{project_id}/organization-policies", tag = "organization policies",
    request_body = CreateOrganizationPolicyRequest,
    responses((status = 200, body = OrganizationPolicyAnswer)))]
async fn create_organization_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<CreateOrganizationPolicyRequest>,
) -> Result<Json<OrganizationPolicyAnswer>, ApiError> {
    let new = new_policy(request.policy)?;
    let view = organization_policies::create(&state.app, &caller, &project, new).await?;
    let policy = policy(view)?;
    Ok(Json(OrganizationPolicyAnswer { policy }))
}

/// List the policies that the account pushes to its projects, newest first.
#[utoipa::path(get, path = "/v3/{project_id}/organization-policies", tag = "organization policies",
    params(ListOrganizationPoliciesQuery), responses((status = 200, body = OrganizationPolicyList)))]
async fn list_organization_policies(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListOrganizationPoliciesQuery>,
) -> Result<Json<OrganizationPolicyList>, ApiError> {
    let page = page(query.limit, query.offset, None::<String>, DEFAULT_LIMIT);
    let kind = Some(query.operation_type);
    let listed = organization_policies::list(&state.app, &caller, &project, kind, &page).await?;
    let (views, count) = listed;
    let policies: Result<Vec<_>, _> = views.into_iter().map(policy).collect();
    Ok(Json(OrganizationPolicyList {
        policies: policies?,
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// Show one of them.
#[utoipa::path(get, path = "/v3/{project_id}/organization-policies/{organization_policy_id}",
    tag = "organization policies", params(OrganizationPolicyPath),
    responses((status = 200, body = OrganizationPolicyAnswer)))]
async fn show_organization_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<OrganizationPolicyPath>,
) -> Result<Json<OrganizationPolicyAnswer>, ApiError> {
    let id = &path.organization_policy_id;
    let view = organization_policies::get(&state.app, &caller, &project, id).await?;
    let policy = policy(view)?;
    Ok(Json(OrganizationPolicyAnswer { policy }))
}

/// Change one of them, and the copies of the projects with it.
#[utoipa::path(put, path = "/v3/{project_id}/organization-policies/{organization_policy_id}",
    tag = "organization policies", params(OrganizationPolicyPath),
    request_body = UpdateOrganizationPolicyRequest,
    responses((status = 200, body = OrganizationPolicyAnswer)))]
async fn update_organization_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<OrganizationPolicyPath>,
    Json(request): Json<UpdateOrganizationPolicyRequest>,
) -> Result<Json<OrganizationPolicyAnswer>, ApiError> {
    let id = &path.organization_policy_id;
    let change = change(request.policy)?;
    let view = organization_policies::update(&state.app, &caller, &project, id, change).await?;
    let policy = policy(view)?;
    Ok(Json(OrganizationPolicyAnswer { policy }))
}

/// Take one of them back from the projects.
#[utoipa::path(delete, path = "/v3/{project_id}/organization-policies/{organization_policy_id}",
    tag = "organization policies", params(OrganizationPolicyPath), responses((status = 204)))]
async fn delete_organization_policy(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<OrganizationPolicyPath>,
) -> Result<StatusCode, ApiError> {
    let id = &path.organization_policy_id;
    organization_policies::delete(&state.app, &caller, &project, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List how far each project is.
#[utoipa::path(get, path = "/v3/{project_id}/organization-policies/{organization_policy_id}/policy-detail",
    tag = "organization policies", params(OrganizationPolicyPath, ListPartQuery),
    responses((status = 200, body = DeploymentList)))]
async fn list_organization_policy_detail(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<OrganizationPolicyPath>,
    Query(query): Query<ListPartQuery>,
) -> Result<Json<DeploymentList>, ApiError> {
    let id = &path.organization_policy_id;
    let page = page(query.limit, query.offset, None::<String>, DEFAULT_LIMIT);
    let found = organization_policies::deployments(&state.app, &caller, &project, id).await?;
    let (policy, rows) = found;
    let count = rows.len() as u64;
    let part = rows
        .into_iter()
        .skip(usize::try_from(page.offset).unwrap_or(usize::MAX))
        .take(usize::try_from(page.limit).unwrap_or(usize::MAX));
    let policies = part.map(|row| Deployment {
        domain_id: policy.domain_id.clone(),
        project_id: row.project_id,
        policy_id: row.policy_id.map(|id| id.to_string()).unwrap_or_default(),
        status: row.status,
    });
    Ok(Json(DeploymentList {
        policies: policies.collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

fn new_policy(request: OrganizationPolicyRequest) -> Result<NewOrganizationPolicy, ApiError> {
    let properties = request.policy_trigger.properties;
    let patterns = properties.pattern.into_iter().map(Label::into_string);
    let description = request.description.map(Description::into_string);
    let scope = request.effective_scope.map(Label::into_string);
    Ok(NewOrganizationPolicy {
        name: request.name.into_string(),
        description: description.unwrap_or_default(),
        effective_scope: scope.unwrap_or_default(),
        policy_name: request.policy_name.into_string(),
        operation_type: request.operation_type,
        enabled: request.policy_enabled,
        definition: definition(request.policy_operation_definition)?,
        patterns: patterns.collect(),
        start_window_minutes: properties.start_window_minutes.map(StartWindow::get),
    })
}

fn change(request: OrganizationPolicyChangeRequest) -> Result<OrganizationPolicyChange, ApiError> {
    Ok(OrganizationPolicyChange {
        name: request.name.map(Name::into_string),
        description: request.description.map(Description::into_string),
        effective_scope: request.effective_scope.map(Label::into_string),
        policy: policy_change(PolicyChangeRequest {
            name: request.policy_name,
            enabled: request.policy_enabled,
            operation_definition: request.policy_operation_definition,
            trigger: request.policy_trigger,
        })?,
    })
}

fn policy(view: OrganizationPolicyView) -> Result<OrganizationPolicy, ApiError> {
    let OrganizationPolicyView {
        policy: row,
        domain_name,
        status,
    } = view;
    let definition = serde_json::from_str(&row.definition).map_err(ApiError::internal)?;
    Ok(OrganizationPolicy {
        id: row.id,
        name: row.name,
        description: row.description,
        domain_id: row.domain_id,
        domain_name,
        effective_scope: row.effective_scope,
        operation_type: row.operation_type,
        policy_name: row.policy_name,
        policy_enabled: row.enabled,
        policy_operation_definition: definition,
        policy_trigger: OrganizationTrigger {
            properties: OrganizationTriggerProperties {
                pattern: row.schedule.0.into(),
                start_window_minutes: row.start_window_minutes,
            },
        },
        status,
    })
}

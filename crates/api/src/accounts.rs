//! Accounts and projects on CBR's own paths, features, and the migration from CBR's predecessors.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::Value;
use strongroom_service::features::{self, Feature};
use strongroom_service::rows::Page;
use strongroom_service::{identity, predecessors};
use strongroom_wire::Code;
use strongroom_wire::accounts::{
    DomainProject, DomainProjectList, MigrateAnswer, MigrateRequest, MigrateStatus, ProjectDomain,
};
use strongroom_wire::administration::ListPartQuery;
use strongroom_wire::identity::KeystoneProjectList;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Authenticated, Tenant};
use crate::convert::DEFAULT_LIMIT;
use crate::convert::identity::{keystone_project, links};
use crate::convert::page;
use crate::extract::{Json, Path, Query};
use crate::identity::base_url;
use crate::params::{DomainNamePath, FeaturePath, SourceProjectPath};
use crate::{ApiError, ApiState};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_features))
        .routes(routes!(show_feature))
        .routes(routes!(list_projects))
        .routes(routes!(list_domain_projects))
        .routes(routes!(show_domain))
        .routes(routes!(migrate_domain, show_migrate_status))
}

/// List what this installation can do.
#[utoipa::path(get, path = "/v3/{project_id}/cbr-features", tag = "accounts",
    params(ListPartQuery), responses((status = 200, body = BTreeMap<String, Value>)))]
async fn list_features(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListPartQuery>,
) -> Result<Json<BTreeMap<String, Value>>, ApiError> {
    let features = features::list(&state.app, &caller, &project)?;
    let page = page(query.limit, query.offset, None::<String>, DEFAULT_LIMIT);
    let features = features
        .into_iter()
        .map(|(name, feature)| (name.to_owned(), value(feature)))
        .skip(usize::try_from(page.offset).unwrap_or(usize::MAX))
        .take(usize::try_from(page.limit).unwrap_or(usize::MAX));
    Ok(Json(features.collect()))
}

/// Show one of the things that this installation can or cannot do.
#[utoipa::path(get, path = "/v3/{project_id}/cbr-features/{feature_key}", tag = "accounts",
    params(FeaturePath), responses((status = 200, body = BTreeMap<String, Value>)))]
async fn show_feature(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<FeaturePath>,
) -> Result<Json<BTreeMap<String, Value>>, ApiError> {
    let (name, feature) = features::get(&state.app, &caller, &project, &path.feature_key)?;
    Ok(Json(BTreeMap::from([(name.to_owned(), value(feature))])))
}

fn value(feature: Feature) -> Value {
    match feature {
        Feature::Flag(flag) => flag.into(),
        Feature::Text(text) => text.into(),
        Feature::List(list) => list.into(),
    }
}

/// List the projects of the caller, all of them for an administrator.
#[utoipa::path(get, path = "/v3/region-projects", tag = "accounts",
    responses((status = 200, body = KeystoneProjectList)))]
async fn list_projects(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
) -> Result<Json<KeystoneProjectList>, ApiError> {
    let page = Page::first(DEFAULT_LIMIT);
    let projects = identity::projects_of(&state.app, &caller, None, &page).await?;
    let base_url = base_url(&state, &headers);
    let projects = projects.into_iter();
    Ok(Json(KeystoneProjectList {
        projects: projects
            .map(|project| keystone_project(&base_url, project))
            .collect(),
        links: links(format!("{base_url}/v3/region-projects")),
    }))
}

/// List the caller's projects in an account.
#[utoipa::path(get, path = "/v3/domain/{domain_name}/projects", tag = "accounts",
    params(DomainNamePath), responses((status = 200, body = DomainProjectList)))]
async fn list_domain_projects(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<DomainNamePath>,
) -> Result<Json<DomainProjectList>, ApiError> {
    let page = Page::first(DEFAULT_LIMIT);
    let domain = &path.domain_name;
    let projects = identity::projects_in_domain(&state.app, &caller, domain, &page).await?;
    let projects = projects.into_iter().map(|project| DomainProject {
        project_id: project.id,
        project_name: project.name,
    });
    Ok(Json(DomainProjectList {
        projects: projects.collect(),
    }))
}

/// Show the account that owns a project, of the caller's own and of those that share backups with it.
#[utoipa::path(get, path = "/v3/domain/{source_project_id}", tag = "accounts",
    params(SourceProjectPath), responses((status = 200, body = ProjectDomain)))]
async fn show_domain(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<SourceProjectPath>,
) -> Result<Json<ProjectDomain>, ApiError> {
    let view = identity::owner_of(&state.app, &caller, &path.source_project_id).await?;
    Ok(Json(ProjectDomain {
        domain_id: view.domain.id,
        domain_name: view.domain.name,
        project_id: view.project.id,
        project_name: view.project.name,
    }))
}

/// Bring in the backups of CBR's predecessors, of which there are none here.
#[utoipa::path(post, path = "/v3/migrates", tag = "accounts",
    request_body = MigrateRequest, responses((status = 200, body = MigrateAnswer)))]
async fn migrate_domain(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(request): Json<MigrateRequest>,
) -> Result<Json<MigrateAnswer>, ApiError> {
    let reservation = request.reservation.unwrap_or(0.2);
    if !(0.0..=1.0).contains(&reservation) {
        return Err(ApiError::new(
            Code::InvalidParameter,
            "Invalid reservation provided: it must be from 0 to 1.",
        ));
    }
    let regions = predecessors::migrate(&state.app, &caller)?;
    let done = regions
        .into_iter()
        .map(|region| (region, "success".to_owned()));
    Ok(Json(done.collect()))
}

/// Show what has become of that migration.
#[utoipa::path(get, path = "/v3/migrates", tag = "accounts",
    params(("all_regions" = Option<bool>, Query, description = "Default true; there is one region.")),
    responses((status = 200, body = MigrateStatus)))]
async fn show_migrate_status(
    Authenticated(caller): Authenticated,
) -> Result<Json<MigrateStatus>, ApiError> {
    predecessors::check_done(&caller)?;
    Ok(Json(MigrateStatus {
        status: "success".to_owned(),
        project_status: vec![],
    }))
}

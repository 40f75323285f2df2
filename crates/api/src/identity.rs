//! Signing in, in the manner of OpenStack's identity service: what clients call before and around CBR.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::get;
use strongroom_service::identity;
use strongroom_service::identity::Secret;
use strongroom_service::rows::Page;
use strongroom_wire::Code;
use strongroom_wire::identity::{
    AuthRequest, ByNameQuery, CatalogAnswer, DomainList, IdentityVersion, IdentityVersionAnswer,
    KeystoneProjectList, MediaType, TemporaryKeyAnswer, TokenAnswer, VersionLink,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Authenticated;
use crate::convert::DEFAULT_LIMIT;
use crate::convert::identity::{
    catalog, keystone_domain, keystone_project, links, sign_in, temporary_credential,
    temporary_key_request, token,
};
use crate::extract::{Json, Query};
use crate::{ApiError, ApiState};

const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// Whether a route's errors are written in Keystone's shape.
pub(crate) fn is_identity_route(route: &str) -> bool {
    let begins = |part: &&str| route.starts_with(part);
    matches!(route, "/v3" | "/v3/" | "/v3/projects") || ["/v3/auth/", "/v3.0/"].iter().any(begins)
}

/// What is asked before there are credentials.
pub(crate) fn open_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(show_identity_version))
        // Clients ask with and without the slash, as their configuration has it.
        .route("/v3/", get(show_identity_version))
        .routes(routes!(create_token))
        .routes(routes!(create_temporary_key))
}

pub(crate) fn guarded_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(show_token))
        .routes(routes!(show_catalog))
        .routes(routes!(list_keystone_projects))
        .routes(routes!(list_scopes))
        .routes(routes!(list_domains))
}

/// Where the client reached us: what it wrote into `Host`, so that the answer is right behind a forwarded port.
pub(crate) fn base_url(state: &ApiState, headers: &HeaderMap) -> String {
    if let Some(url) = &state.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get("Host").and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost"))
}

/// Describe the identity service.
#[utoipa::path(get, path = "/v3", tag = "identity", security(()),
    responses((status = 200, body = IdentityVersionAnswer)))]
async fn show_identity_version(
    State(state): State<ApiState>,
    headers: HeaderMap,
) -> Json<IdentityVersionAnswer> {
    let version = IdentityVersion {
        id: "v3.14".to_owned(),
        status: "stable".to_owned(),
        updated: "2020-04-07T00:00:00Z".to_owned(),
        links: vec![VersionLink {
            rel: "self".to_owned(),
            href: format!("{}/v3/", base_url(&state, &headers)),
        }],
        media_types: vec![MediaType {
            base: "application/json".to_owned(),
            kind: "application/vnd.openstack.identity-v3+json".to_owned(),
        }],
    };
    Json(IdentityVersionAnswer { version })
}

/// Sign in with a password or a token. The new token is in the header X-Subject-Token.
#[utoipa::path(post, path = "/v3/auth/tokens", tag = "identity", security(()),
    params(("nocatalog" = Option<String>, Query, description = "Present: the answer has no catalog.")),
    request_body = AuthRequest,
    responses((status = 201, body = TokenAnswer, headers(("X-Subject-Token" = String)))))]
async fn create_token(
    State(state): State<ApiState>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Json(request): Json<AuthRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<TokenAnswer>), ApiError> {
    let (proof, wish) = sign_in(request.auth)?;
    let issued = identity::issue_token(&state.app, proof, wish).await?;
    let answer = token_answer(&state, &headers, query.as_deref(), issued.view);
    let subject = (SUBJECT_TOKEN, issued.token.expose().to_owned());
    Ok((StatusCode::CREATED, [subject], Json(answer)))
}

/// Show what the token in the header X-Subject-Token says.
#[utoipa::path(get, path = "/v3/auth/tokens", tag = "identity",
    params(("X-Subject-Token" = String, Header),
        ("nocatalog" = Option<String>, Query, description = "Present: the answer has no catalog.")),
    responses((status = 200, body = TokenAnswer, headers(("X-Subject-Token" = String)))))]
async fn show_token(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<([(HeaderName, String); 1], Json<TokenAnswer>), ApiError> {
    let subject = headers.get(SUBJECT_TOKEN);
    let subject = subject.ok_or_else(|| ApiError::invalid("X-Subject-Token"))?;
    let subject = subject.to_str().unwrap_or_default().trim();
    let view = identity::describe_token(&state.app, &caller, subject).await?;
    let view = view.ok_or(ApiError::of(Code::TokenNotFound))?;
    let answer = token_answer(&state, &headers, query.as_deref(), view);
    Ok(([(SUBJECT_TOKEN, subject.to_owned())], Json(answer)))
}

fn token_answer(
    state: &ApiState,
    headers: &HeaderMap,
    query: Option<&str>,
    view: identity::TokenView,
) -> TokenAnswer {
    let unwanted = query
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair.split('=').next() == Some("nocatalog"));
    let project = view.project.as_ref().map(|view| view.project.id.clone());
    let region = &state.app.settings.region;
    let catalog = (!unwanted).then(|| catalog(&base_url(state, headers), region, project.as_ref()));
    TokenAnswer {
        token: token(view, catalog),
    }
}

/// List the services of this installation.
#[utoipa::path(get, path = "/v3/auth/catalog", tag = "identity",
    responses((status = 200, body = CatalogAnswer)))]
async fn show_catalog(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
) -> Json<CatalogAnswer> {
    let base_url = base_url(&state, &headers);
    let region = &state.app.settings.region;
    Json(CatalogAnswer {
        catalog: catalog(&base_url, region, caller.project_id.as_ref()),
        links: links(format!("{base_url}/v3/auth/catalog")),
    })
}

/// List the projects of the caller, all of them for an administrator.
#[utoipa::path(get, path = "/v3/projects", tag = "identity", params(ByNameQuery),
    responses((status = 200, body = KeystoneProjectList)))]
async fn list_keystone_projects(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    Query(query): Query<ByNameQuery>,
) -> Result<Json<KeystoneProjectList>, ApiError> {
    let page = Page::first(DEFAULT_LIMIT);
    let projects = identity::projects_of(&state.app, &caller, query.name, &page).await?;
    let base_url = base_url(&state, &headers);
    let projects = projects
        .into_iter()
        .map(|project| keystone_project(&base_url, project))
        .collect();
    let links = links(format!("{base_url}/v3/projects"));
    Ok(Json(KeystoneProjectList { projects, links }))
}

/// List the projects that the caller can sign in to.
#[utoipa::path(get, path = "/v3/auth/projects", tag = "identity", params(ByNameQuery),
    responses((status = 200, body = KeystoneProjectList)))]
async fn list_scopes(
    state: State<ApiState>,
    caller: Authenticated,
    headers: HeaderMap,
    query: Query<ByNameQuery>,
) -> Result<Json<KeystoneProjectList>, ApiError> {
    list_keystone_projects(state, caller, headers, query).await
}

/// List the domain of the caller.
#[utoipa::path(get, path = "/v3/auth/domains", tag = "identity", params(ByNameQuery),
    responses((status = 200, body = DomainList)))]
async fn list_domains(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    Query(query): Query<ByNameQuery>,
) -> Result<Json<DomainList>, ApiError> {
    let domains = identity::domains_of(&state.app, &caller, query.name.as_deref()).await?;
    let base_url = base_url(&state, &headers);
    let domains = domains
        .into_iter()
        .map(|domain| keystone_domain(&base_url, domain))
        .collect();
    let links = links(format!("{base_url}/v3/auth/domains"));
    Ok(Json(DomainList { domains, links }))
}

/// Make an access key that ends by itself, from a token.
#[utoipa::path(post, path = "/v3.0/OS-CREDENTIAL/securitytokens", tag = "identity", security(("token" = [])),
    request_body = AuthRequest, responses((status = 201, body = TemporaryKeyAnswer)))]
async fn create_temporary_key(
    State(state): State<ApiState>,
    headers: HeaderMap,
    request: Result<Json<AuthRequest>, ApiError>,
) -> Result<(StatusCode, Json<TemporaryKeyAnswer>), ApiError> {
    if request.is_err() && !headers.contains_key("X-Auth-Token") {
        return Err(ApiError::of(Code::Unauthenticated));
    }
    let (token, lifetime) = temporary_key_request(request?.0.auth)?;
    let in_header = || {
        let value = headers.get("X-Auth-Token")?.to_str().ok()?;
        Some(Secret::new(value.trim().to_owned()))
    };
    let token = token.or_else(in_header);
    let token = token.ok_or(ApiError::of(Code::Unauthenticated))?;
    let key = identity::create_temporary_key(&state.app, &token, lifetime).await?;
    let credential = temporary_credential(key);
    Ok((StatusCode::CREATED, Json(TemporaryKeyAnswer { credential })))
}

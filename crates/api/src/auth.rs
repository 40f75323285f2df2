//! Who asks. A layer checks the credentials of every path but the sign-in, before its handler runs.

mod signature;

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use strongroom_service::{Caller, Error, identity};
use strongroom_types::ProjectId;
use strongroom_wire::Code;
use strongroom_wire::signing::Authorization;

use crate::audit::Followed;
use crate::extract::NOT_TEXT;
use crate::{ApiError, ApiState, RequestId};

/// The user whose credentials the layer has checked.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated(pub(crate) Caller);

/// The same, and the project that the path is about.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) caller: Caller,
    pub(crate) project: ProjectId,
}

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>();
        caller.cloned().ok_or(ApiError::of(Code::Unauthenticated))
    }
}

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let tenant = parts.extensions.get::<Self>();
        tenant.cloned().ok_or(ApiError::of(Code::Unauthenticated))
    }
}

/// The id that `observe` gave the request.
impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let id = parts.extensions.get::<Self>();
        id.cloned()
            .ok_or_else(|| ApiError::internal("a route without a request id"))
    }
}

/// The project that the path is about, before it is known who asks.
enum PathProject {
    /// The path has no place for one.
    None,
    /// Clients that know no project send the template's own text.
    Placeholder,
    Id(ProjectId),
    Malformed,
    /// Some part of the path is not UTF-8.
    NotText,
}

fn claimed_in(path: &PathProject) -> Option<&ProjectId> {
    match path {
        PathProject::Id(project) => Some(project),
        _ => None,
    }
}

/// Checks the credentials and puts [`Authenticated`] and, where the path has a project, [`Tenant`] into the
/// request. A token wins over a signature.
pub(crate) async fn authenticate(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let in_path = path_project(&mut parts).await;
    let in_header = header_project(&parts);
    let claimed = match (&in_path, &in_header) {
        (PathProject::Id(project), _) | (_, Ok(Some(project))) => Some(project.clone()),
        _ => None,
    };
    let (caller, body) = match token(&parts) {
        Some(token) => (check_token(&state, &parts, token).await?, body),
        None => signature::check(&state, &parts, body, claimed).await?,
    };
    let followed = parts.extensions.get::<Followed>().cloned();
    if let Some(followed) = &followed {
        followed.is_by(&caller, claimed_in(&in_path));
    }
    let project = match in_path {
        PathProject::None => None,
        PathProject::Id(project) => Some(project),
        PathProject::Malformed => return Err(ApiError::invalid("project_id")),
        PathProject::NotText => {
            return Err(ApiError::new(Code::InvalidParameter, NOT_TEXT));
        }
        PathProject::Placeholder => Some(only_project(&caller)?),
    };
    check_agreement(project.as_ref(), in_header?.as_ref())?;
    if let Some(project) = project {
        identity::enter_project(&state.app, &caller, &project).await?;
        let caller = caller.clone();
        parts.extensions.insert(Tenant { caller, project });
    }
    parts.extensions.insert(Authenticated(caller));
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn token(parts: &Parts) -> Option<&[u8]> {
    parts
        .headers
        .get("X-Auth-Token")
        .map(|value| value.as_bytes().trim_ascii())
}

async fn check_token(state: &ApiState, parts: &Parts, token: &[u8]) -> Result<Caller, ApiError> {
    let request_id = request_id(parts);
    // A token of ours is text.
    let token = str::from_utf8(token).unwrap_or_default();
    match identity::authenticate_token(&state.app, token, request_id).await {
        Err(Error::Unauthenticated) => Err(unauthenticated("decrypt token fail")),
        outcome => Ok(outcome?),
    }
}

/// The one shape of a refusal to let somebody in.
fn unauthenticated(reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        format!("Incorrect IAM authentication information: {reason}"),
    )
}

/// The text of a header that claims to be a signature.
fn signature_header(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get("Authorization")?.to_str().ok()?;
    Authorization::is_signature(header).then_some(header)
}

fn request_id(parts: &Parts) -> String {
    let id = parts.extensions.get::<RequestId>();
    id.map(|id| id.0.clone()).unwrap_or_default()
}

async fn path_project(parts: &mut Parts) -> PathProject {
    let Ok(params) = parts.extract::<RawPathParams>().await else {
        return PathProject::NotText;
    };
    match params.iter().find(|(name, _)| *name == "project_id") {
        None => PathProject::None,
        Some((_, "{project_id}")) => PathProject::Placeholder,
        Some((_, id)) => id.parse().map_or(PathProject::Malformed, PathProject::Id),
    }
}

/// The project in `X-Project-Id`.
fn header_project(parts: &Parts) -> Result<Option<ProjectId>, ApiError> {
    let Some(value) = parts.headers.get("X-Project-Id") else {
        return Ok(None);
    };
    let id = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    id.map(Some)
        .ok_or_else(|| ApiError::invalid("X-Project-Id"))
}

fn check_agreement(
    in_path: Option<&ProjectId>,
    in_header: Option<&ProjectId>,
) -> Result<(), ApiError> {
    match (in_path, in_header) {
        (Some(path), Some(header)) if path != header => Err(ApiError::new(
            Code::Forbidden,
            "X-Project-Id is not the project of the path.",
        )),
        _ => Ok(()),
    }
}

fn only_project(caller: &Caller) -> Result<ProjectId, ApiError> {
    caller.project_id.clone().ok_or_else(|| {
        ApiError::new(
            Code::InvalidParameter,
            "Invalid project_id provided: the credentials are good for more than one project or for none, so the request must name it.",
        )
    })
}

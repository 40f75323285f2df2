use axum::body::Body;
use axum::extract::OriginalUri;
use axum::http::request::Parts;
use strongroom_service::identity::{self, KeyClaim, Secret};
use strongroom_service::{Caller, Error};
use strongroom_types::ProjectId;
use strongroom_wire::signing::{Authorization, Request, SignatureError, verify};

use super::{request_id, signature_header, unauthenticated};
use crate::audit::Followed;
use crate::extract::read_body;
use crate::{ApiError, ApiState};

/// Checks a request that is signed with an access key; its body is read whole, since the signature covers it.
pub(super) async fn check(
    state: &ApiState,
    parts: &Parts,
    body: Body,
    project_id: Option<ProjectId>,
) -> Result<(Caller, Body), ApiError> {
    let header = signature_header(parts)
        .ok_or_else(|| unauthenticated("neither X-Auth-Token nor a signature is present"))?;
    let authorization = Authorization::parse(header).map_err(unauthenticated)?;
    if let Some(followed) = parts.extensions.get::<Followed>() {
        followed.claims(&authorization.access_key);
    }
    let body = read_body(body).await?;
    let claim = KeyClaim {
        access_key: authorization.access_key.clone(),
        security_token: security_token(parts),
        project_id,
        request_id: request_id(parts),
    };
    let check = |secret: &str| verify_parts(state, parts, &body, &authorization, secret);
    let caller = match identity::authenticate_access_key(&state.app, claim).await {
        Ok(unverified) => unverified.verify(check),
        // The same work and the same words as for a key that exists, whatever is wrong with the request.
        Err(Error::Unauthenticated) => Err(check("").err().unwrap_or(SignatureError::Mismatch)),
        Err(error) => return Err(error.into()),
    };
    let caller = caller.map_err(unauthenticated)?;
    Ok((caller, Body::from(body)))
}

fn security_token(parts: &Parts) -> Option<Secret> {
    let value = parts.headers.get("X-Security-Token")?;
    // What is no text is no token of ours.
    let text = value.to_str().unwrap_or_default().trim();
    Some(Secret::new(text.to_owned()))
}

fn verify_parts(
    state: &ApiState,
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization,
    secret: &str,
) -> Result<(), SignatureError> {
    let uri = match parts.extensions.get::<OriginalUri>() {
        Some(original) => &original.0,
        None => &parts.uri,
    };
    let headers: Vec<(&str, &[u8])> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let request = Request {
        method: parts.method.as_str(),
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        headers: &headers,
        body,
    };
    verify(authorization, &request, secret, state.app.now())
}

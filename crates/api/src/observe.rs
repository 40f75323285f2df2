//! Around every request: its id, its span, its metrics, and the body of its error.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use strongroom_wire::ErrorBody;
use strongroom_wire::identity::{IdentityError, IdentityErrorBody};
use tracing::Instrument;

use crate::extract::Json;
use crate::identity::is_identity_route;
use crate::{ApiError, ApiState};

/// Requests by operation (method and route) and status.
pub(crate) const REQUESTS: &str = "strongroom_http_requests_total";
/// Seconds from a request to its answer, by operation.
pub(crate) const SECONDS: &str = "strongroom_http_request_seconds";

/// Tells the recorder, if one is installed, what our metrics mean.
pub(crate) fn describe_metrics() {
    describe_counter!(REQUESTS, "Requests answered, by operation and status");
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "From a request to its answer, by operation"
    );
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names one request in its answer, in our log and in the task it began; 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// How the errors of a route are written.
#[derive(Debug, Clone, Copy)]
enum ErrorShape {
    Cbr,
    Keystone,
}

impl ErrorShape {
    fn of(request: &Request) -> Self {
        match request.extensions().get::<MatchedPath>() {
            Some(route) if is_identity_route(route.as_str()) => Self::Keystone,
            _ => Self::Cbr,
        }
    }
}

pub(crate) async fn observe(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = state.app.ids.hex32();
    let operation = operation_of(&request);
    let shape = ErrorShape::of(&request);
    // The query stays out of the log: filters may name what is confidential.
    let span =
        tracing::info_span!("request", request.id = %id, operation, path = request.uri().path());
    request.extensions_mut().insert(RequestId(id.clone()));
    let begun = state.app.now();
    let response = next.run(request).instrument(span.clone()).await;
    let seconds = state.app.now().since(begun).as_secs_f64();
    let status = response.status().as_u16();
    counter!(REQUESTS, "operation" => operation.clone(), "status" => status.to_string())
        .increment(1);
    histogram!(SECONDS, "operation" => operation).record(seconds);
    let mut response = span.in_scope(|| {
        tracing::info!(status, seconds, "answered");
        with_error_body(response, &id, shape)
    });
    let id = HeaderValue::from_str(&id).expect("hex digits are a header value");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// `GET /v3/{project_id}/vaults`: bounded in number, as labels must be.
fn operation_of(request: &Request) -> String {
    let method = match *request.method() {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    };
    match request.extensions().get::<MatchedPath>() {
        Some(route) => format!("{method} {}", route.as_str()),
        None => format!("{method} unknown"),
    }
}

/// Logs an [`ApiError`] and writes its body.
fn with_error_body(mut response: Response, request_id: &str, shape: ErrorShape) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return response;
    };
    let code = error.code.as_str();
    let cause = error.cause.as_deref().unwrap_or_default();
    if error.code.status() >= 500 {
        tracing::error!(code, cause, "{}", error.message);
    } else {
        tracing::info!(code, cause, "{}", error.message);
    }
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut answer = match shape {
        ErrorShape::Cbr => (status, Json(error_body(error, request_id))).into_response(),
        ErrorShape::Keystone => {
            (status, Json(identity_error(status, error.message))).into_response()
        }
    };
    for (name, value) in &headers {
        if *name != axum::http::header::CONTENT_LENGTH {
            answer.headers_mut().entry(name).or_insert(value.clone());
        }
    }
    answer
}

fn error_body(error: ApiError, request_id: &str) -> ErrorBody {
    let code = error.code.as_str();
    let from_gateway = code.starts_with("APIGW.");
    ErrorBody {
        error_code: code.to_owned(),
        error_msg: error.message,
        request_id: from_gateway.then(|| request_id.to_owned()),
    }
}

fn identity_error(status: StatusCode, message: String) -> IdentityErrorBody {
    IdentityErrorBody {
        error: IdentityError {
            code: status.as_u16(),
            message,
            title: status.canonical_reason().unwrap_or_default().to_owned(),
        },
    }
}

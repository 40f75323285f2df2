//! What is about the service itself and needs no credentials.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ApiState;
use crate::extract::Json;
use crate::identity::base_url;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Versions {
    versions: Vec<Version>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
struct Version {
    id: String,
    status: String,
    links: Vec<Link>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
struct Link {
    href: String,
    rel: String,
}

/// List the versions of the API.
#[utoipa::path(get, path = "/", tag = "service", security(()),
    responses((status = 300, body = Versions)))]
pub(crate) async fn list_versions(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    versions(&state, &headers)
}

/// List the versions of the API under the name of the service.
#[utoipa::path(get, path = "/cbr", tag = "service", security(()),
    responses((status = 300, body = Versions)))]
pub(crate) async fn show_version(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    versions(&state, &headers)
}

fn versions(state: &ApiState, headers: &HeaderMap) -> Response {
    let base = base_url(state, headers);
    let links = vec![Link {
        href: format!("{base}/v3/"),
        rel: "self".to_owned(),
    }];
    let versions = vec![Version {
        id: "v3".to_owned(),
        status: "CURRENT".to_owned(),
        links,
    }];
    (StatusCode::MULTIPLE_CHOICES, Json(Versions { versions })).into_response()
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: String,
}

/// Say whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "service", security(()),
    responses((status = 200, body = Health)))]
pub(crate) async fn show_health() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
    })
}

/// Measurements of this process, as Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "service", security(()),
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
pub(crate) async fn show_metrics(State(state): State<ApiState>) -> Response {
    let text = (state.render_metrics)();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

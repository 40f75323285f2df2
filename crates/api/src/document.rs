//! The OpenAPI document: its frame, and what every operation has in common.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use strongroom_types::{AgentStatus, AuditOutcome, MemberStatus, ProjectId};
use strongroom_wire::ErrorBody;
use strongroom_wire::backups::OwnType;
use strongroom_wire::identity::{IdentityError, IdentityErrorBody};
use strongroom_wire::link::TOKEN_HEADER;
use strongroom_wire::values::{Offset, PageLimit};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{
    Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response as Described,
    ResponseBuilder, SecurityRequirement,
};
use utoipa::{PartialSchema, ToSchema};

use crate::identity::is_identity_route;
use crate::params::ProtectableType;

/// Everything but the routes.
pub(crate) fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Strongroom")
        .description(Some(
            "Cloud backup and recovery: the CBR v3 API, and what Strongroom adds under /strongroom/v1.",
        ))
        .version("v3")
        .build();
    let token = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Auth-Token")));
    let signature = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
        "Authorization",
        "SDK-HMAC-SHA256 signature with an access key",
    )));
    let peer = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
        TOKEN_HEADER,
        "the secret of two regions, beside the region that asks in X-Strongroom-Peer",
    )));
    let components = utoipa::openapi::ComponentsBuilder::new()
        .security_scheme("token", token)
        .security_scheme("signature", signature)
        .security_scheme("peer", peer)
        .schema(ErrorBody::name(), ErrorBody::schema())
        // Only parameters refer to these, and the routes register the schemas of bodies.
        .schema_from::<AgentStatus>()
        .schema_from::<AuditOutcome>()
        .schema_from::<MemberStatus>()
        .schema_from::<Offset>()
        .schema_from::<OwnType>()
        .schema_from::<PageLimit>()
        .schema_from::<ProtectableType>()
        .schema(IdentityErrorBody::name(), IdentityErrorBody::schema())
        .schema(IdentityError::name(), IdentityError::schema())
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([
            SecurityRequirement::new("token", [] as [&str; 0]),
            SecurityRequirement::new("signature", [] as [&str; 0]),
        ]))
        .build()
}

/// Completes a document whose routes are known: the project in the paths, and every way to be refused.
pub(crate) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        operations(item).for_each(describe_success);
        if path.contains("{project_id}") {
            item.parameters = Some(vec![RefOr::T(project_parameter())]);
        }
        let body = if is_identity_route(path) {
            IdentityErrorBody::name()
        } else if path.starts_with("/v3/") || path.starts_with("/strongroom/") {
            ErrorBody::name()
        } else {
            continue;
        };
        for operation in operations(item) {
            add_refusals(operation, &body);
        }
    }
}

/// OpenAPI wants words for every answer; those of ours that are no refusals need none of their own.
fn describe_success(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            "Done.".clone_into(&mut response.description);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        ..
    } = item;
    [get, put, post, delete].into_iter().flatten()
}

fn project_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("project_id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The project of the credentials; 32 hex digits."))
        .schema(Some(ProjectId::schema()))
        .build()
}

/// What can answer any operation; the ones that it documents itself stay.
fn add_refusals(operation: &mut Operation, body: &str) {
    let refusals = [
        (
            "400",
            "The request is not valid, or a rule or a state forbids it.",
        ),
        ("401", "The credentials are missing, wrong or expired."),
        (
            "403",
            "The role or the scope of the credentials does not allow it.",
        ),
        ("404", "The object does not exist."),
        ("408", "The request body did not arrive in time."),
        ("409", "The object is in use or decided already."),
        ("413", "The request body is larger than 1 MiB."),
        ("429", "The service is busy."),
        ("500", "The service failed."),
        ("504", "The service did not answer in time."),
    ];
    for (status, description) in refusals {
        let documented = &mut operation.responses.responses;
        documented
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(refusal(description, body)));
    }
}

fn refusal(description: &str, body: &str) -> Described {
    let body = Content::new(Some(Ref::from_schema_name(body)));
    ResponseBuilder::new()
        .description(description)
        .content("application/json", body)
        .build()
}

/// The document as clients read it.
pub(crate) fn text(document: &OpenApi) -> String {
    document
        .to_pretty_json()
        .expect("the document holds strings and numbers only")
}

pub(crate) fn answer(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

//! Every route and every layer.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use strongroom_wire::Code;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audit::{Auditor, audit};
use crate::auth::authenticate;
use crate::limits::limit;
use crate::observe::{describe_metrics, observe};
use crate::{
    ApiError, ApiState, accounts, administration, attachments, audit_list, backup_machines,
    backups, checkpoints, contents, document, file_agents, identity, imports, inventory, link,
    machines, members, meta, metering, operation_logs, orders, organization_policies, policies,
    policy_options, proofs, protectables, replications, resources, vault_orders, vault_tags,
    vaults,
};

/// Longer than any handler needs; a client gives up before.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The whole face of the service.
pub fn router(state: ApiState) -> Router {
    describe_metrics();
    let (guarded, open) = all_routes();
    let (guarded, of_guarded) = guarded.split_for_parts();
    let (open, of_open) = open.split_for_parts();
    let auditor = Auditor::new(&state, [&of_guarded, &of_open]);
    let description = describe(of_guarded, of_open);
    let show_description = async move || document::answer(description);
    let routes = guarded
        .route_layer(from_fn_with_state(state.clone(), limit))
        .route_layer(from_fn_with_state(state.clone(), authenticate))
        .merge(open)
        .route_layer(from_fn_with_state(auditor, audit))
        .route("/openapi.json", axum::routing::get(show_description));
    with_layers(routes, &state).with_state(state)
}

/// What surrounds every handler, and what answers where there is none.
pub(crate) fn with_layers<S>(routes: Router<S>, state: &ApiState) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .fallback(async || ApiError::of(Code::UnknownRoute))
        .method_not_allowed_fallback(async || ApiError::of(Code::UnknownMethod))
        .layer(from_fn(limit_time))
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(from_fn_with_state(state.clone(), observe))
}

/// Routes that need credentials, and those that do not.
fn all_routes() -> (OpenApiRouter<ApiState>, OpenApiRouter<ApiState>) {
    let guarded = cbr()
        .merge(accounts::routes())
        .merge(file_agents::routes())
        .merge(attachments::routes())
        .merge(contents::routes())
        .merge(organization_policies::routes())
        .merge(extensions())
        .merge(administration::routes())
        .merge(identity::guarded_routes());
    let open = OpenApiRouter::with_openapi(document::frame())
        .routes(routes!(meta::list_versions))
        .routes(routes!(meta::show_version))
        .routes(routes!(meta::show_health))
        .routes(routes!(meta::show_metrics))
        .merge(link::routes())
        .merge(identity::open_routes());
    (guarded, open)
}

/// The OpenAPI document, as text.
fn describe(guarded: OpenApi, open: OpenApi) -> String {
    let mut document = open;
    document.merge(guarded);
    document::complete(&mut document);
    document::text(&document)
}

/// The document without a router, for the tests that read it.
#[cfg(test)]
pub(crate) fn document_text() -> String {
    let (guarded, open) = all_routes();
    describe(guarded.into_openapi(), open.into_openapi())
}

/// The CBR v3 API.
fn cbr() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(vaults::create_vault, vaults::list_vaults))
        .routes(routes!(
            vaults::show_vault,
            vaults::update_vault,
            vaults::delete_vault
        ))
        .routes(routes!(resources::add_vault_resource))
        .routes(routes!(resources::remove_vault_resource))
        .routes(routes!(resources::set_vault_resource))
        .routes(routes!(resources::migrate_vault_resource))
        .routes(routes!(vaults::update_expiration_time))
        .routes(routes!(metering::show_summary))
        .routes(routes!(metering::show_storage_usage))
        .routes(routes!(vaults::batch_update_vaults))
        .routes(routes!(vault_orders::create_post_paid_vault))
        .routes(routes!(vault_orders::change_vault_charge_mode))
        .routes(routes!(vault_orders::change_order))
        .routes(routes!(vault_orders::update_order))
        .merge(tags())
        .routes(routes!(checkpoints::create_checkpoint))
        .routes(routes!(checkpoints::show_checkpoint))
        .routes(routes!(backups::list_backups))
        .routes(routes!(
            backups::show_backup,
            backups::update_backup,
            backups::delete_backup
        ))
        .routes(routes!(replications::list_external_vaults))
        .routes(routes!(replications::copy_checkpoint))
        .routes(routes!(replications::copy_backup))
        .routes(routes!(replications::show_replication_capabilities))
        .routes(routes!(imports::import_checkpoint))
        .routes(routes!(imports::import_backup))
        .routes(routes!(backups::restore_backup))
        .routes(routes!(machines::show_metadata))
        .routes(routes!(machines::check_agent))
        .routes(routes!(members::add_member, members::show_members_detail))
        .routes(routes!(
            members::show_member_detail,
            members::update_member_status,
            members::delete_member
        ))
        .routes(routes!(policies::create_policy, policies::list_policies))
        .routes(routes!(
            policies::show_policy,
            policies::update_policy,
            policies::delete_policy
        ))
        .routes(routes!(policies::associate_vault_policy))
        .routes(routes!(policies::disassociate_vault_policy))
        .routes(routes!(operation_logs::list_op_logs))
        .routes(routes!(operation_logs::show_op_log))
        .routes(routes!(protectables::list_protectable))
        .routes(routes!(protectables::show_protectable))
}

/// The tags of vaults, under a path in the singular.
fn tags() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(
            vault_tags::create_vault_tag,
            vault_tags::show_vault_tags
        ))
        .routes(routes!(vault_tags::change_vault_tags))
        .routes(routes!(vault_tags::delete_vault_tag))
        .routes(routes!(vault_tags::show_project_tags))
        .routes(routes!(vault_tags::find_vaults))
}

/// What CBR leaves to other services of a cloud.
fn extensions() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(inventory::add_volume, inventory::list_volumes))
        .routes(routes!(inventory::remove_volume))
        .routes(routes!(inventory::add_server, inventory::list_servers))
        .routes(routes!(inventory::remove_server))
        .routes(routes!(audit_list::list_audit))
        .routes(routes!(
            inventory::show_inventory_tags,
            inventory::set_inventory_tags
        ))
        .routes(routes!(backup_machines::show_machine))
        .routes(routes!(backup_machines::restore_new_server))
        .routes(routes!(
            policy_options::show_policy_options,
            policy_options::update_policy_options
        ))
        .routes(routes!(proofs::prove_backup, proofs::list_proofs))
        .routes(routes!(proofs::show_proof))
        .routes(routes!(proofs::show_proof_screen))
        .routes(routes!(orders::list_orders))
        .routes(routes!(orders::approve_order))
        .routes(routes!(orders::reject_order))
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::of(Code::TimedOut).into_response(),
    }
}

/// The panic hook has logged where it happened; the client learns that it was not the request's fault.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::internal(format_args!("panic: {}", text.unwrap_or("without a text"))).into_response()
}

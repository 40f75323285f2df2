//! Follows every request that changes something, so that its record goes into the database with the change, and records
//! those that were refused. The names of actions come from the routes themselves: a new route is covered as it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::RequestExt;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use strongroom_service::Caller;
use strongroom_service::audit::{AuditRecord, Trail, record};
use strongroom_types::{AuditId, AuditOutcome, ProjectId};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};

use crate::limits::{Limiter, Limits};
use crate::{ApiError, ApiState, RequestId};

/// Where a request came from, as the listener saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Refusals of credentials that are recorded; strangers must not fill the database. The log has them all.
const DENIED: Limits = Limits {
    requests_per_second: 1,
    burst: 60,
    requests_at_once: u32::MAX,
};
/// Claimed by a client that may be anybody.
const ACCESS_KEY_LENGTH_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Auditor {
    state: ApiState,
    /// By method and route.
    actions: Arc<HashMap<(&'static str, String), String>>,
    denied: Arc<Limiter>,
}

impl Auditor {
    pub(crate) fn new(state: &ApiState, documents: [&OpenApi; 2]) -> Self {
        let items = documents.into_iter().flat_map(|d| &d.paths.paths);
        let changes = items.flat_map(|(route, item)| changes(route, item));
        Self {
            state: state.clone(),
            actions: Arc::new(changes.collect()),
            denied: Arc::new(Limiter::new(DENIED)),
        }
    }

    fn action_of(&self, request: &Request) -> Option<&str> {
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        let method = ["POST", "PUT", "DELETE"]
            .into_iter()
            .find(|method| request.method() == method)?;
        let action = self.actions.get(&(method, route.to_owned()))?;
        Some(action)
    }
}

/// The changes that a route offers.
fn changes<'a>(
    route: &'a str,
    item: &'a PathItem,
) -> impl Iterator<Item = ((&'static str, String), String)> + 'a {
    let methods = [
        ("POST", &item.post),
        ("PUT", &item.put),
        ("DELETE", &item.delete),
    ];
    methods.into_iter().filter_map(move |(method, operation)| {
        let action = action(operation.as_ref()?)?;
        Some(((method, route.to_owned()), action))
    })
}

/// The public name of a change; some operations ask although they POST.
fn action(operation: &Operation) -> Option<String> {
    let id = operation.operation_id.as_deref()?;
    let asks = ["show_", "list_", "check_"];
    if asks.iter().any(|prefix| id.starts_with(prefix)) {
        return None;
    }
    let published = match id {
        "create_checkpoint" => "createVaultBackup",
        "copy_checkpoint" => "replicateVaultBackup",
        "import_checkpoint" => "syncVaultBackup",
        "copy_backup" => "replicateBackup",
        "import_backup" => "syncBackup",
        "add_vault_resource" => "addResources",
        "remove_vault_resource" => "removeResources",
        "set_vault_resource" => "setResources",
        "migrate_vault_resource" => "migrateResources",
        "associate_vault_policy" => "associatePolicy",
        "disassociate_vault_policy" => "dissociatePolicy",
        "create_vault_tags" => "createVaultTag",
        "batch_create_and_delete_vault_tags" => "bulkCreateDeleteVaultTag",
        "add_member" => "createBackupMember",
        "update_member_status" => "updateBackupMember",
        "delete_member" => "deleteBackupMember",
        other => return Some(camel_case(other)),
    };
    Some(published.to_owned())
}

fn camel_case(snake_case: &str) -> String {
    let mut words = snake_case.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

/// Around authentication, so that refusals of credentials are seen, too.
pub(crate) async fn audit(
    State(auditor): State<Auditor>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(action) = auditor.action_of(&request) else {
        return next.run(request).await;
    };
    let action = action.to_owned();
    let trail = Trail::new(first_record(&auditor.state, &mut request, action).await);
    request
        .extensions_mut()
        .insert(Followed(Arc::clone(&trail)));
    let response = trail.follow(next.run(request)).await;
    if !trail.is_written() {
        let error = response.extensions().get::<ApiError>();
        let code = error.map_or("", |error| error.code.as_str());
        record_unchanged(&auditor, &trail, response.status(), code).await;
    }
    response
}

/// A request that has committed nothing: refused, or asking for what is so already.
async fn record_unchanged(auditor: &Auditor, trail: &Trail, status: StatusCode, error_code: &str) {
    let outcome = match status {
        // As many as there are requests; refusing them must stay cheap.
        StatusCode::TOO_MANY_REQUESTS => return,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AuditOutcome::Denied,
        status if status.is_success() => AuditOutcome::Success,
        _ => AuditOutcome::Failed,
    };
    let app = &auditor.state.app;
    let unknown = status == StatusCode::UNAUTHORIZED;
    if unknown && auditor.denied.enter("", app.now()).is_err() {
        return;
    }
    trail.complete(|record| {
        record.outcome = outcome;
        error_code.clone_into(&mut record.error_code);
    });
    record(app, &trail.record()).await;
}

/// What shows before anybody has looked at the credentials.
async fn first_record(state: &ApiState, request: &mut Request, action: String) -> AuditRecord {
    let params = request.extract_parts::<RawPathParams>().await.ok();
    let params = || params.iter().flatten();
    let project = params().find(|(name, _)| *name == "project_id");
    let object = params().find(|(name, _)| *name != "project_id");
    let id = request.extensions().get::<RequestId>();
    let peer = request.extensions().get::<Peer>().copied();
    AuditRecord {
        id: AuditId::random(&*state.app.ids),
        happened_at: state.app.now(),
        request_id: id.map(|id| id.0.clone()).unwrap_or_default(),
        action,
        outcome: AuditOutcome::Success,
        error_code: String::new(),
        project_id: project.and_then(|(_, id)| id.parse().ok()),
        domain_id: None,
        user_id: None,
        user_name: String::new(),
        access_key: None,
        resource_type: object.map_or("", |(name, _)| kind_of(name)).to_owned(),
        resource_id: object.map(|(_, id)| shortened(id)),
        source: source(peer, request.headers(), &state.trusted_proxies),
    }
}

/// `vault` of `vault_id`.
fn kind_of(parameter: &str) -> &str {
    parameter.strip_suffix("_id").unwrap_or(parameter)
}

/// A path may hold anything in place of an id.
fn shortened(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// The client's address: what a trusted proxy says of it, else the other end of the connection.
fn source(peer: Option<Peer>, headers: &HeaderMap, trusted: &[IpAddr]) -> String {
    let Some(Peer(peer)) = peer else {
        return String::new();
    };
    if !trusted.contains(&peer) {
        return peer.to_string();
    }
    let lines = headers.get_all("X-Forwarded-For").iter();
    let hops: Vec<IpAddr> = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map_while(|hop| hop.trim().parse().ok())
        .collect();
    // Each proxy adds at the end, so that what lies before the first stranger's address is the stranger's invention.
    let client = hops.into_iter().rev().find(|hop| !trusted.contains(hop));
    client.unwrap_or(peer).to_string()
}

/// The record of the request, for the layers that learn who makes it.
#[derive(Debug, Clone)]
pub(crate) struct Followed(Arc<Trail>);

impl Followed {
    /// The access key that a signature names, whether or not it holds.
    pub(crate) fn claims(&self, access_key: &str) {
        let key = access_key.chars().take(ACCESS_KEY_LENGTH_MAX).collect();
        self.0.complete(|record| record.access_key = Some(key));
    }

    pub(crate) fn is_by(&self, caller: &Caller, project: Option<&ProjectId>) {
        self.0.complete(|record| {
            record.user_id = Some(caller.user_id.clone());
            record.domain_id = Some(caller.domain_id.clone());
            record.user_name.clone_from(&caller.user_name);
            let project = project.or(caller.project_id.as_ref());
            record.project_id = project.cloned();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("X-Forwarded-For", line.parse().unwrap());
        }
        let trusted: Vec<IpAddr> = trusted.iter().map(|ip| ip.parse().unwrap()).collect();
        source(Some(Peer(peer.parse().unwrap())), &headers, &trusted)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_about_who_reached_it() {
        assert_eq!(seen("10.0.0.9", &["1.2.3.4"], &[]), "10.0.0.9");
        let proxy = ["10.0.0.9"];
        assert_eq!(seen("10.0.0.9", &["1.2.3.4"], &proxy), "1.2.3.4");
        assert_eq!(seen("10.0.0.9", &["6.6.6.6, 1.2.3.4"], &proxy), "1.2.3.4");
        assert_eq!(seen("10.0.0.9", &["6.6.6.6", "1.2.3.4"], &proxy), "1.2.3.4");
        let two = ["10.0.0.9", "10.0.0.8"];
        assert_eq!(seen("10.0.0.9", &["1.2.3.4, 10.0.0.8"], &two), "1.2.3.4");
        assert_eq!(seen("10.0.0.9", &["nonsense"], &proxy), "10.0.0.9");
        assert_eq!(seen("10.0.0.9", &[], &proxy), "10.0.0.9");
        assert_eq!(seen("::1", &["2001:db8::7"], &["::1"]), "2001:db8::7");
    }

    #[test]
    fn names_of_operations_become_names_of_actions() {
        assert_eq!(camel_case("create_vault"), "createVault");
        assert_eq!(camel_case("restore_backup"), "restoreBackup");
        assert_eq!(camel_case("add"), "add");
    }
}

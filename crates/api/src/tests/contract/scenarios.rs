//! What every operation needs before it can succeed, one case that does and those that do not.

mod accounts;
mod agents;
mod backups;
mod changes;
mod imports;
mod orders;
mod organization;
mod policies;
mod replication;
mod sharing;
mod tags;
mod vaults;

use serde_json::{Value, json};

use super::requests::Request;
use crate::tests::server::TestServer;

/// An id of the right form that names nothing.
pub(super) const UNKNOWN: &str = "11111111-2222-4333-8444-555555555555";

/// Stands for a permission where whoever has credentials may ask.
pub(super) const OPEN: &str = "any credentials";

pub(super) struct Scenario {
    pub(super) operation: &'static str,
    /// Its permission in the service's table.
    pub(super) permission: &'static str,
    /// What succeeds, with as many fields as can be sent together.
    pub(super) request: Request,
    /// What succeeds time and again, where that request does so once.
    pub(super) again: Vec<Request>,
    /// What rules and states forbid, and the refusal: `6105 404`.
    pub(super) refused: Vec<(Request, &'static str)>,
}

/// Objects for all operations, each its own, so that none spoils what another needs.
pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let mut all = vaults::scenarios(server).await;
    all.extend(backups::scenarios(server).await);
    all.extend(policies::scenarios(server).await);
    all.extend(changes::scenarios(server).await);
    all.extend(tags::scenarios(server).await);
    all.extend(orders::scenarios(server).await);
    all.extend(sharing::scenarios(server).await);
    all.extend(accounts::scenarios(server).await);
    all.extend(imports::scenarios(server).await);
    all.extend(replication::scenarios(server).await);
    all.extend(agents::scenarios(server).await);
    // Their copies are made by jobs, which would come before the backups of others.
    all.extend(organization::scenarios(server).await);
    all
}

/// The case of an operation that succeeds; `refuses` adds those that do not.
fn operation(operation: &'static str, permission: &'static str, request: Request) -> Scenario {
    Scenario {
        operation,
        permission,
        request,
        again: Vec::new(),
        refused: Vec::new(),
    }
}

impl Scenario {
    fn and_again(mut self, request: Request) -> Self {
        self.again.push(request);
        self
    }

    fn refuses(mut self, request: Request, refusal: &'static str) -> Self {
        self.refused.push((request, refusal));
        self
    }
}

/// A request to the path as it is.
fn plain() -> Request {
    Request::default()
}

fn with(name: &'static str, id: &str) -> Request {
    plain().and(name, id)
}

fn sending(body: Value) -> Request {
    plain().body(body)
}

impl Request {
    fn and(mut self, name: &'static str, id: &str) -> Self {
        self.path.push((name, id.to_owned()));
        self
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = body;
        self
    }
}

/// A vault with one server in it, whose disk is 40 GiB; their ids.
async fn filled_vault(server: &TestServer, name: &str) -> (String, String) {
    let resource = server.add_server(name).await;
    let vault = server.add_vault(name).await;
    let path = format!("/v3/{{project_id}}/vaults/{vault}/addresources");
    let body = json!({"resources": [{"id": resource, "type": "OS::Nova::Server"}]});
    server.post(&path, body).await.expect(200);
    (vault, resource)
}

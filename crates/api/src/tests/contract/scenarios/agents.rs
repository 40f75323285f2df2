//! Agents that back up files, outside the inventory.

use serde_json::{Value, json};

use super::{Scenario, UNKNOWN, operation, plain, sending, with};
use crate::tests::server::TestServer;

fn registration(id: &str) -> Value {
    json!({"agent": {"agent_id": id, "agent_type": "file", "agent_version": "1.2.3", "host_ip": "192.0.2.7",
        "host_name": "mail", "host_nickname": "the mail host", "host_os": "linux"}})
}

/// The request to an agent that has registered.
async fn registered(server: &TestServer, number: u8) -> super::Request {
    let id = format!("0f1e2d3c-4b5a-4978-8697-0000000000{number:02}");
    server
        .post("/v3/{project_id}/agents", registration(&id))
        .await
        .expect(200);
    with("agent_id", &id)
}

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let uninstalled = json!({"agent": {"status": "uninstall"}});
    let add = json!({"add_path": ["/srv"],
        "exclude_path": [{"path_name": "/srv", "exclude_path_name": ["/srv/tmp"]}]});
    let remove = json!({"remove_path": ["/srv"]});
    let new = registration("0f1e2d3c-4b5a-4978-8697-000000000000");
    let unknown = with("agent_id", UNKNOWN);
    vec![
        operation("RegisterAgent", "cbr:agents:register", sending(new))
            .refuses(sending(registration("my-laptop")), "7403 400"),
        operation("ListAgent", "cbr:agents:list", plain())
            .refuses(plain().query("limit", "0"), "9900 400"),
        operation("ShowAgent", "cbr:agents:get", registered(server, 1).await)
            .refuses(unknown.clone(), "7410 404"),
        operation(
            "UpdateAgent",
            "cbr:agents:update",
            registered(server, 2).await.body(uninstalled.clone()),
        )
        .refuses(unknown.clone().body(uninstalled), "7410 404"),
        operation(
            "UnregisterAgent",
            "cbr:agents:delete",
            registered(server, 3).await,
        )
        .refuses(unknown.clone(), "7410 404"),
        operation(
            "AddAgentPath",
            "cbr:agents:addPath",
            registered(server, 4).await.body(add.clone()),
        )
        .refuses(unknown.clone().body(add), "7410 404"),
        operation(
            "RemoveAgentPath",
            "cbr:agents:removePath",
            registered(server, 5).await.body(remove.clone()),
        )
        .refuses(unknown.body(remove), "7410 404"),
    ]
}

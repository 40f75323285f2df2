//! Backups that are shared with another project.

use serde_json::{Value, json};

use super::backups::backed_up;
use super::{Scenario, UNKNOWN, operation, with};
use crate::tests::server::{TestServer, vault_body};

/// A project of the right form that does not exist.
const NOBODY: &str = "0123456789abcdef0123456789abcdef";

/// Another project; the administrator acts in it, too.
async fn add_project(server: &TestServer, name: &str) -> String {
    let made = server
        .post("/strongroom/v1/projects", json!({"name": name}))
        .await
        .expect(201);
    made["project"]["id"].as_str().unwrap().to_owned()
}

/// A backup that is offered to a project; its id.
async fn offered(server: &TestServer, name: &str, receiver: &str) -> String {
    let backup = backed_up(server, name).await.backup;
    let path = format!("/v3/{{project_id}}/backups/{backup}/members");
    server
        .post(&path, json!({"members": [receiver]}))
        .await
        .expect(200);
    backup
}

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let receiver = add_project(server, "receiver").await;
    let other = add_project(server, "another").await;
    let path = format!("/v3/{receiver}/vaults");
    let vault = server.post(&path, vault_body("taken")).await.expect(200);
    let accept = json!({"status": "accepted", "vault_id": vault["vault"]["id"]});
    let own = with("backup_id", &backed_up(server, "not_shared").await.backup);
    let shared = offered(server, "shared", &receiver).await;
    let withdrawn = offered(server, "withdrawn", &receiver).await;
    let shared = with("backup_id", &shared);
    let theirs = shared
        .clone()
        .and("member_id", &receiver)
        .and("project_id", &receiver);
    let members = |project: &str| -> Value { json!({"members": [project]}) };
    vec![
        operation(
            "AddMember",
            "cbr:member:create",
            own.clone().body(members(&other)),
        )
        .refuses(own.body(members(NOBODY)), "6704 400")
        .refuses(with("backup_id", UNKNOWN).body(members(&other)), "6200 404"),
        operation("ShowMembersDetail", "cbr:member:list", shared.clone())
            .refuses(with("backup_id", UNKNOWN), "6200 404"),
        operation(
            "ShowMemberDetail",
            "cbr:member:get",
            shared.clone().and("member_id", &receiver),
        )
        .refuses(shared.clone().and("member_id", NOBODY), "6705 404"),
        operation(
            "UpdateMemberStatus",
            "cbr:member:update",
            theirs.clone().body(accept),
        )
        .refuses(theirs.body(json!({"status": "accepted"})), "6706 400"),
        operation(
            "DeleteMember",
            "cbr:member:delete",
            with("backup_id", &withdrawn).and("member_id", &receiver),
        )
        .refuses(
            with("backup_id", &withdrawn).and("member_id", NOBODY),
            "6705 404",
        ),
    ]
}

//! Policies of the organization.

use serde_json::{Value, json};

use super::policies::policy_body;
use super::{Scenario, UNKNOWN, operation, plain, sending, with};
use crate::tests::server::TestServer;

/// The rules of a policy, as a template for every project.
fn template(name: &str) -> Value {
    let policy = policy_body(name);
    json!({"policy": {
        "name": name, "description": "from the contract", "operation_type": "backup", "effective_scope": "all",
        "policy_name": "nightly", "policy_enabled": true,
        "policy_operation_definition": policy["policy"]["operation_definition"],
        "policy_trigger": policy["policy"]["trigger"]
    }})
}

async fn pushed(server: &TestServer, name: &str) -> super::Request {
    let path = "/v3/{project_id}/organization-policies";
    let made = server.post(path, template(name)).await.expect(200);
    with(
        "organization_policy_id",
        made["policy"]["id"].as_str().unwrap(),
    )
}

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let shown = pushed(server, "shown").await;
    let updated = pushed(server, "updated").await;
    let deleted = pushed(server, "deleted").await;
    let unknown = with("organization_policy_id", UNKNOWN);
    let mut change = template("changed");
    change["policy"]
        .as_object_mut()
        .unwrap()
        .remove("operation_type");
    vec![
        operation(
            "CreateOrganizationPolicy",
            "cbr:organizationPolicies:create",
            sending(template("made")),
        )
        .refuses(sending(json!({"policy": {}})), "9900 400"),
        operation(
            "ListOrganizationPolicies",
            "cbr:organizationPolicies:list",
            plain().query("operation_type", "backup"),
        )
        .refuses(plain(), "9900 400"),
        operation(
            "ShowOrganizationPolicy",
            "cbr:organizationPolicies:get",
            shown.clone(),
        )
        .refuses(unknown.clone(), "6000 404"),
        operation(
            "ListOrganizationPolicyDetail",
            "cbr:organizationPolicies:get",
            shown,
        )
        .refuses(unknown.clone(), "6000 404"),
        operation(
            "UpdateOrganizationPolicy",
            "cbr:organizationPolicies:update",
            updated.body(change.clone()),
        )
        .refuses(unknown.clone().body(change), "6000 404"),
        operation(
            "DeleteOrganizationPolicy",
            "cbr:organizationPolicies:delete",
            deleted,
        )
        .refuses(unknown, "6000 404"),
    ]
}

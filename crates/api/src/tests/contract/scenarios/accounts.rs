//! Accounts, features, agents of servers, and what is known of a machine.

use serde_json::json;

use super::backups::backed_up;
use super::{OPEN, Scenario, UNKNOWN, operation, plain, sending, with};
use crate::tests::server::TestServer;

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let known = backed_up(server, "described").await;
    let asked = json!({"agent_status": [
        {"resource_id": known.server, "resource_name": "described", "resource_type": "OS::Nova::Server"}]});
    let migrate = json!({"all_regions": true, "reservation": 0.2});
    let another = plain().and("project_id", "0123456789abcdef0123456789abcdef");
    vec![
        operation(
            "ShowMetadata",
            "cbr:backups:getMetadata",
            with("backup_id", &known.backup),
        )
        .refuses(with("backup_id", UNKNOWN), "6200 404"),
        operation("CheckAgent", "cbr:backups:checkAgent", sending(asked))
            .refuses(sending(json!({"agent_status": "all"})), "9900 400"),
        operation("ListFeatures", "cbr:features:list", plain()).refuses(another, "APIGW.0302 403"),
        operation(
            "ShowFeature",
            "cbr:features:get",
            with("feature_key", "replication.enable"),
        )
        .refuses(with("feature_key", "features.perpetual_motion"), "9900 400"),
        operation("ListProjects", OPEN, plain()),
        operation("ListDomainProjects", OPEN, with("domain_name", "default")),
        operation(
            "ShowDomain",
            OPEN,
            with("source_project_id", &server.project),
        )
        .refuses(
            with("source_project_id", "0123456789abcdef0123456789abcdef"),
            "APIGW.0302 403",
        ),
        operation("MigrateDomain", "cbr:migrates:create", sending(migrate)).refuses(
            sending(json!({"all_regions": true, "reservation": 2})),
            "9900 400",
        ),
        operation("ShowMigrateStatus", "cbr:migrates:get", plain()),
    ]
}

//! Tags of vaults.

use serde_json::json;

use super::{Scenario, UNKNOWN, operation, plain, sending, with};
use crate::tests::server::TestServer;

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let vault = server.add_vault("tagged").await;
    let path = format!("/v3/{{project_id}}/vault/{vault}/tags");
    let tag = json!({"tag": {"key": "team", "value": "blue"}});
    server.post(&path, tag.clone()).await.expect(204);
    let tagged = with("vault_id", &vault);
    let changed = with("vault_id", &server.add_vault("tagged_often").await);
    let several = json!({"action": "create", "tags": [{"key": "env", "value": "test"}]});
    let many: Vec<_> = (0..11)
        .map(|number| json!({"key": format!("k{number}"), "value": ""}))
        .collect();
    let too_many = json!({"action": "create", "tags": many});
    let tags = json!([{"key": "team", "values": ["blue"]}]);
    let search = json!({
        "action": "filter", "limit": "10", "offset": "0", "cloud_type": "public", "object_type": "server",
        "tags": tags, "tags_any": tags, "not_tags": [], "not_tags_any": [],
        "matches": [{"key": "resource_name", "value": "tagged"}],
    });
    let another = plain().and("project_id", "0123456789abcdef0123456789abcdef");
    vec![
        operation(
            "CreateVaultTags",
            "cbr:vaults:setTags",
            changed.clone().body(tag.clone()),
        )
        .refuses(with("vault_id", UNKNOWN).body(tag), "6105 404"),
        operation(
            "BatchCreateAndDeleteVaultTags",
            "cbr:vaults:bulkCreateOrDeleteTags",
            changed.clone().body(several),
        )
        .refuses(changed.body(too_many), "6600 400"),
        operation("ShowVaultTag", "cbr:vaults:getTags", tagged.clone())
            .refuses(with("vault_id", UNKNOWN), "6105 404"),
        operation("ShowVaultProjectTag", "cbr:vaults:listProjectTags", plain())
            .refuses(another, "APIGW.0302 403"),
        operation(
            "ShowVaultResourceInstances",
            "cbr:vaults:listResourceInstances",
            sending(search),
        )
        .refuses(sending(json!({"action": "guess"})), "9900 400"),
        operation(
            "DeleteVaultTag",
            "cbr:vaults:deleteTags",
            tagged.clone().and("key", "team"),
        )
        .refuses(tagged.and("key", "absent"), "6601 404"),
    ]
}

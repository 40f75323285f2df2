//! Tags of vaults, as clients set, search and delete them.

use serde_json::{Value, json};

use super::server::{TestServer, Who, on_each_server, vault_body};

async fn tags(server: &TestServer, vault: &str) -> Value {
    let path = format!("/v3/{{project_id}}/vault/{vault}/tags");
    server.get(&path).await.expect(200)["tags"].clone()
}

async fn change(server: &TestServer, vault: &str, action: &str, tags: Value) {
    let path = format!("/v3/{{project_id}}/vault/{vault}/tags/action");
    let body = json!({"action": action, "tags": tags});
    let answer = server.post(&path, body).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
}

#[tokio::test]
async fn a_tag_is_set_replaced_shown_and_deleted() {
    on_each_server(|server| async move {
        let vault = server.add_vault("v").await;
        let path = format!("/v3/{{project_id}}/vault/{vault}/tags");
        for value in ["blue", "green"] {
            let body = json!({"tag": {"key": "team", "value": value}});
            let answer = server.post(&path, body).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
        }
        assert_eq!(
            tags(&server, &vault).await,
            json!([{"key": "team", "value": "green"}])
        );
        let shown = server.get(&path).await.expect(200);
        let sys = json!([{"key": "_sys_enterprise_project_id", "value": "0"}]);
        assert_eq!(shown["sys_tags"], sys);

        let key = format!("{path}/team");
        assert_eq!(server.delete(&key).await.status, 204);
        assert_eq!(server.delete(&key).await.refusal(), "6601 404");
        // Such a key cannot be created, and asking for it is no error of form.
        let odd = format!("{path}/a%20b%2Fc");
        assert_eq!(server.delete(&odd).await.refusal(), "6601 404");
        assert_eq!(tags(&server, &vault).await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn several_tags_change_together_up_to_the_limit() {
    on_each_server(|server| async move {
        let vault = server.add_vault("v").await;
        let many = |range: std::ops::Range<u32>| -> Value {
            range
                .map(|n| json!({"key": format!("k{n}"), "value": ""}))
                .collect()
        };
        change(&server, &vault, "create", many(0..10)).await;
        let path = format!("/v3/{{project_id}}/vault/{vault}/tags/action");
        let refused = [
            (json!({"action": "create", "tags": many(9..11)}), "6600 400"),
            (json!({"action": "create", "tags": many(0..11)}), "6600 400"),
            (json!({"action": "create", "tags": [{"key": "a"}]}), "9900 400"),
            (json!({"action": "create", "tags": [{"key": "a b", "value": ""}]}), "9900 400"),
            (json!({"action": "create", "tags": [{"key": "k0", "value": ""}, {"key": "k0", "value": "1"}]}), "9900 400"),
            (json!({"action": "create", "sys_tags": [{"key": "a", "value": ""}]}), "9900 400"),
            (json!({"action": "replace"}), "9900 400"),
        ];
        for (body, refusal) in refused {
            assert_eq!(server.post(&path, body.clone()).await.refusal(), refusal, "{body}");
        }
        let body = json!({"tag": {"key": "one-more", "value": ""}});
        let one = server.post(&format!("/v3/{{project_id}}/vault/{vault}/tags"), body).await;
        assert_eq!(one.refusal(), "6600 400");
        assert_eq!(tags(&server, &vault).await.as_array().unwrap().len(), 10);

        // A key that is absent is deleted already.
        change(&server, &vault, "delete", json!([{"key": "k3"}, {"key": "never"}, {"key": "a b"}])).await;
        assert_eq!(tags(&server, &vault).await.as_array().unwrap().len(), 9);
    })
    .await;
}

#[tokio::test]
async fn a_project_shows_each_value_of_each_key_once() {
    on_each_server(|server| async move {
        for (name, value) in [("a", "x"), ("b", "x"), ("c", "")] {
            let vault = server.add_vault(name).await;
            let set = json!([{"key": "env", "value": value}, {"key": "name", "value": name}]);
            change(&server, &vault, "create", set).await;
        }
        let shown = server.get("/v3/{project_id}/vault/tags").await.expect(200);
        let expected = json!({"tags": [
            {"key": "env", "values": ["", "x"]},
            {"key": "name", "values": ["a", "b", "c"]}]});
        assert_eq!(shown, expected);
    })
    .await;
}

/// Names of the vaults that a search finds, oldest first, or why it was refused.
async fn found(server: &TestServer, who: Who, mut body: Value) -> Result<Vec<String>, String> {
    const PATH: &str = "/v3/{project_id}/vault/resource_instances/action";
    body["action"] = json!("filter");
    let answer = server.call(who, "POST", PATH, &body).await;
    if answer.status != 200 {
        return Err(answer.refusal());
    }
    let answer = answer.json();
    let resources = answer["resources"].as_array().unwrap();
    let mut names: Vec<_> = resources
        .iter()
        .map(|found| {
            assert_eq!(
                found["resource_detail"]["vault"]["id"],
                found["resource_id"]
            );
            found["resource_name"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    if body.get("limit").is_none() {
        body["action"] = json!("count");
        let counted = server.call(who, "POST", PATH, &body).await.json();
        assert_eq!(counted, json!({"total_count": names.len()}), "{body}");
    }
    Ok(names)
}

fn team(values: &[&str]) -> Value {
    json!([{"key": "team", "values": values}])
}

fn enterprise(id: &str) -> Value {
    json!([{"key": "_sys_enterprise_project_id", "values": [id]}])
}

/// What is asked for, and the names that are found.
fn searches() -> Vec<(Value, Vec<&'static str>)> {
    let env = json!([{"key": "env", "values": []}, {"key": "team", "values": []}]);
    vec![
        (json!({}), vec!["blue", "both", "other", "plain"]),
        (
            json!({"without_any_tag": true, "tags": team(&["blue"])}),
            vec!["other", "plain"],
        ),
        (json!({"tags": team(&[])}), vec!["blue", "both"]),
        (json!({"tags": team(&["blue"])}), vec!["blue"]),
        (json!({"tags": team(&["*blue"])}), vec!["blue", "both"]),
        (json!({"tags": team(&["*", "x"])}), vec!["blue", "both"]),
        (json!({"tags": team(&["*_"])}), vec!["both"]),
        (json!({"tags": team(&["red", "blue"])}), vec!["blue"]),
        (json!({"tags": env}), vec!["both"]),
        (json!({"tags_any": env}), vec!["blue", "both"]),
        (json!({"not_tags": env}), vec!["blue", "other", "plain"]),
        (json!({"not_tags_any": env}), vec!["other", "plain"]),
        (
            json!({"matches": [{"key": "resource_name", "value": "l"}]}),
            vec!["blue", "plain"],
        ),
        (
            json!({"matches": [{"key": "resource_name", "value": "%"}]}),
            vec![],
        ),
        (
            json!({"matches": [{"key": "resource_name", "value": ""}]}),
            vec![],
        ),
        (json!({"object_type": "disk"}), vec!["other"]),
        (json!({"cloud_type": "hybrid"}), vec![]),
        (json!({"sys_tags": enterprise("ep")}), vec!["other"]),
        (json!({"limit": "2", "offset": "3"}), vec!["plain"]),
        (json!({"limit": "2", "offset": "9"}), vec![]),
    ]
}

#[tokio::test]
async fn vaults_are_found_by_tags() {
    on_each_server(|server| async move {
        let vaults = [
            ("plain", json!([])),
            ("blue", json!([{"key": "team", "value": "blue"}])),
            (
                "both",
                json!([{"key": "team", "value": "light_blue"}, {"key": "env", "value": ""}]),
            ),
        ];
        for (name, set) in vaults {
            let vault = server.add_vault(name).await;
            change(&server, &vault, "create", set).await;
            // The newest come first, and only the clock says which those are.
            server.clock.advance(std::time::Duration::from_secs(1));
        }
        let mut other = vault_body("other");
        other["vault"]["enterprise_project_id"] = json!("ep");
        other["vault"]["billing"]["object_type"] = json!("disk");
        server
            .post("/v3/{project_id}/vaults", other)
            .await
            .expect(200);

        for (body, names) in searches() {
            assert_eq!(
                found(&server, Who::Admin, body.clone()).await.unwrap(),
                names,
                "{body}"
            );
        }
        let refused = [
            (json!({"limit": "0"}), "9900 400"),
            (json!({"limit": 5}), "9900 400"),
            (json!({"offset": "-1"}), "9900 400"),
            (
                json!({"matches": [{"key": "name", "value": ""}]}),
                "9900 400",
            ),
        ];
        for (body, refusal) in refused {
            assert_eq!(
                found(&server, Who::Admin, body.clone()).await.unwrap_err(),
                refusal,
                "{body}"
            );
        }
        // It is a search, though a POST; what the installation knows about enterprise projects is not everybody's.
        assert_eq!(
            found(&server, Who::Reader, json!({"tags": team(&["blue"])}))
                .await
                .unwrap(),
            ["blue"]
        );
        let private = found(&server, Who::Reader, json!({"sys_tags": enterprise("ep")})).await;
        assert_eq!(private.unwrap_err(), "APIGW.0302 403");
    })
    .await;
}

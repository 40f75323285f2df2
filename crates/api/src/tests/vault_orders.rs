//! Orders as tenants place them and an operator decides them. No money moves, and nothing says that it did.

use serde_json::{Value, json};

use super::server::{TestServer, on_each_server, vault_body};

const CHANGE: &str = "/v3/{project_id}/orders/change";
const CHARGE: &str = "/v3/{project_id}/vaults/change-charge-mode";

async fn vault(server: &TestServer, id: &str) -> Value {
    let answer = server.get(&format!("/v3/{{project_id}}/vaults/{id}")).await;
    answer.expect(200)["vault"].clone()
}

async fn decide(server: &TestServer, order: &Value, decision: &str) {
    let order = order["orderId"].as_str().unwrap();
    let path = format!("/strongroom/v1/orders/{order}/{decision}");
    server.post(&path, Value::Null).await.expect(200);
}

async fn ask(server: &TestServer, order: &Value, vault: &str, size: u64) -> Result<Value, String> {
    let order = order["orderId"].as_str().unwrap();
    let body = json!({"resourceId": vault, "productInfo": {"productId": "p", "resourceSize": size,
        "resourceSizeMeasureId": 17, "resourceSpecCode": "vault.backup.server.normal"}});
    let answer = server
        .put(&format!("/v3/{{project_id}}/orders/{order}"), body)
        .await;
    if answer.status == 200 {
        Ok(answer.json())
    } else {
        Err(answer.refusal())
    }
}

fn resize(vault: &str, size: u64) -> Value {
    json!({"resource_id": vault, "product_info": {"product_id": "p", "resource_size": size,
        "resource_size_measure_id": 17, "resource_spec_code": "vault.backup.server.normal"}})
}

fn charge(vaults: &[&str]) -> Value {
    json!({"vault_ids": vaults, "charging_mode": "pre_paid", "period_type": "year", "period_num": 1,
        "is_auto_pay": true, "is_auto_renew": false})
}

#[tokio::test]
async fn a_vault_is_ordered_under_its_own_path() {
    on_each_server(|server| async move {
        let mut body = vault_body("v");
        body["vault"]["billing"]["period_type"] = json!("month");
        body["vault"]["billing"]["period_num"] = json!(2);
        let placed = server
            .post("/v3/{project_id}/vaults/order", body.clone())
            .await
            .expect(200);
        assert_eq!(
            (&placed["retCode"], &placed["error_code"]),
            (&json!(0), &json!("0"))
        );
        let id = placed["orders"][0]["resourceId"].as_str().unwrap();
        let shown = server.get(&format!("/v3/{{project_id}}/vaults/{id}")).await;
        assert_eq!(shown.refusal(), "6105 404");
        assert_eq!(
            ask(&server, &placed["orders"][0], id, 200)
                .await
                .unwrap_err(),
            "6123 400"
        );
        decide(&server, &placed["orders"][0], "approve").await;
        assert_eq!(
            vault(&server, id).await["billing"]["charging_mode"],
            "pre_paid"
        );
        let done = ask(&server, &placed["orders"][0], id, 200).await.unwrap();
        assert_eq!(
            (&done["retCode"], &done["retMsg"]),
            (&json!("0"), &json!("success"))
        );

        for (field, value) in [
            ("charging_mode", json!("post_paid")),
            ("period_num", json!(10)),
            ("period_type", Value::Null),
        ] {
            let mut body = body.clone();
            body["vault"]["billing"][field] = value;
            let refused = server.post("/v3/{project_id}/vaults/order", body).await;
            assert_eq!(refused.refusal(), "9900 400", "{field}");
        }
    })
    .await;
}

#[tokio::test]
async fn vaults_become_prepaid_for_a_term() {
    on_each_server(|server| async move {
        let (a, b) = (server.add_vault("a").await, server.add_vault("b").await);
        let taken = server.post(CHARGE, charge(&[&a, &b])).await.expect(200);
        assert_eq!(
            (&taken["retCode"], &taken["retMsg"]),
            (&json!(0), &json!("success"))
        );
        for id in [&a, &b] {
            let vault = vault(&server, id).await;
            assert_eq!(vault["billing"]["charging_mode"], "pre_paid");
            assert_eq!(vault["billing"]["order_id"], taken["orderId"]);
            let deleted = server
                .delete(&format!("/v3/{{project_id}}/vaults/{id}"))
                .await;
            assert_eq!(deleted.refusal(), "6111 400");
        }
        assert_eq!(
            server.post(CHARGE, charge(&[&a])).await.refusal(),
            "6110 400"
        );

        // All of them or none.
        let c = server.add_vault("c").await;
        assert_eq!(
            server.post(CHARGE, charge(&[&c, &a])).await.refusal(),
            "6110 400"
        );
        assert_eq!(
            vault(&server, &c).await["billing"]["charging_mode"],
            "post_paid"
        );
        let grow = json!({"vault": {"auto_expand": true}});
        server
            .put(&format!("/v3/{{project_id}}/vaults/{c}"), grow)
            .await
            .expect(200);
        assert_eq!(
            server.post(CHARGE, charge(&[&c])).await.refusal(),
            "6110 400"
        );
        let unknown = "11111111-2222-4333-8444-555555555555";
        assert_eq!(
            server.post(CHARGE, charge(&[unknown])).await.refusal(),
            "6105 404"
        );
        for (field, value) in [
            ("charging_mode", json!("post_paid")),
            ("vault_ids", json!([])),
            ("period_num", json!(0)),
        ] {
            let mut body = charge(&[&c]);
            body[field] = value;
            assert_eq!(
                server.post(CHARGE, body).await.refusal(),
                "9900 400",
                "{field}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_size_is_ordered_and_waits_for_an_operator() {
    on_each_server(|server| async move {
        let id = server.add_vault("v").await;
        assert_eq!(
            server.post(CHANGE, resize(&id, 300)).await.refusal(),
            "6110 400"
        );
        server.post(CHARGE, charge(&[&id])).await.expect(200);

        let first = server.post(CHANGE, resize(&id, 300)).await.expect(200);
        assert_eq!(vault(&server, &id).await["billing"]["size"], 200);
        assert_eq!(
            server.post(CHANGE, resize(&id, 400)).await.refusal(),
            "6123 400"
        );
        assert_eq!(
            ask(&server, &first, &id, 300).await.unwrap_err(),
            "6123 400"
        );
        decide(&server, &first, "reject").await;
        assert_eq!(
            ask(&server, &first, &id, 300).await.unwrap_err(),
            "6107 400"
        );

        // The other spelling, which pays itself.
        let body = json!({"resourceId": id, "isAutoPay": true, "productInfo": {"productId": "p",
            "resourceSize": 400, "resourceSpecCode": "vault.backup.server.normal"}});
        let second = server.post(CHANGE, body).await.expect(200);
        assert_eq!(vault(&server, &id).await["billing"]["size"], 400);
        ask(&server, &second, &id, 400).await.unwrap();
        assert_eq!(
            ask(&server, &second, &id, 500).await.unwrap_err(),
            "9900 400"
        );
        for nowhere in ["11111111-2222-4333-8444-555555555555", "NOT-A-UUID"] {
            let unknown = json!({ "orderId": nowhere });
            assert_eq!(
                ask(&server, &unknown, &id, 400).await.unwrap_err(),
                "6109 400",
                "{nowhere}"
            );
        }

        let mut wrong = resize(&id, 500);
        wrong["product_info"]["resource_spec_code"] = json!("vault.backup.volume.normal");
        assert_eq!(server.post(CHANGE, wrong).await.refusal(), "9900 400");
        let mut wrong = resize(&id, 500);
        wrong["product_info"]["resource_size_measure_id"] = json!(10);
        assert_eq!(server.post(CHANGE, wrong).await.refusal(), "9900 400");
        let orders = server.get("/strongroom/v1/orders").await.expect(200);
        let mut kinds: Vec<_> = orders["orders"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["kind"].clone())
            .collect();
        kinds.sort_by_key(ToString::to_string);
        assert_eq!(kinds, ["charge_mode", "resize", "resize"]);
    })
    .await;
}

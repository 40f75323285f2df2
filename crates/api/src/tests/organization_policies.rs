use serde_json::{Value, json};
use strongroom_service::organization_policies::deploy;

use super::server::{TestServer, on_each_server};

fn pushed() -> Value {
    json!({"policy": {
        "name": "for-all", "description": "by law", "operation_type": "backup", "effective_scope": "all",
        "policy_name": "nightly", "policy_enabled": true,
        "policy_operation_definition": {"max_backups": 7},
        "policy_trigger": {"properties": {"pattern": ["FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00"]}}
    }})
}

/// Does what a worker would do with the next job, a deployment.
async fn run_deployment(server: &TestServer) {
    let app = &server.app;
    let mut tx = app.db.begin().await.unwrap();
    let minute = std::time::Duration::from_mins(1);
    let job = tx
        .claim_job("test", app.now(), minute)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    let id = job.subject_id.parse().unwrap();
    deploy(app, &job.lease("test"), &id).await.unwrap();
}

#[tokio::test]
async fn a_policy_is_pushed_shown_changed_and_taken_back() {
    on_each_server(async |server| {
        let path = "/v3/{project_id}/organization-policies";
        let created = server.post(path, pushed()).await.expect(200)["policy"].clone();
        assert_eq!(created["status"], "syncing");
        assert_eq!(created["domain_name"], "default");
        assert_eq!(created["policy_operation_definition"]["max_backups"], 7);
        let pattern = &pushed()["policy"]["policy_trigger"]["properties"]["pattern"];
        assert_eq!(&created["policy_trigger"]["properties"]["pattern"], pattern);
        let one = format!("{path}/{}", created["id"].as_str().unwrap());
        let details = async || {
            server
                .get(&format!("{one}/policy-detail"))
                .await
                .expect(200)
        };
        assert_eq!(details().await["policies"][0]["policy_id"], "");

        run_deployment(&server).await;
        let detail = details().await;
        assert_eq!(
            (&detail["count"], &detail["policies"][0]["status"]),
            (&json!(1), &json!("available"))
        );
        let copy = detail["policies"][0]["policy_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let copy = format!("/v3/{{project_id}}/policies/{copy}");
        let shown = server.get(&copy).await.expect(200);
        assert_eq!(shown["policy"]["policy_type"], "organization_policy_v1");
        let refused = server.delete(&copy).await;
        assert_eq!(refused.refusal(), "APIGW.0302 403");
        assert!(refused.text.contains("organization"), "{}", refused.text);

        let listed = server
            .get(&format!("{path}?operation_type=backup&limit=1"))
            .await
            .expect(200);
        assert_eq!((&listed["count"], &listed["limit"]), (&json!(1), &json!(1)));
        let others = server
            .get(&format!("{path}?operation_type=replication"))
            .await
            .expect(200);
        assert_eq!(others["policies"], json!([]));
        assert_eq!(
            server.get(path).await.refusal(),
            "9900 400",
            "operation_type is required"
        );

        let body = json!({"policy": {"policy_enabled": false}});
        let changed = server.put(&one, body).await.expect(200);
        assert_eq!(
            (
                &changed["policy"]["status"],
                &changed["policy"]["policy_enabled"]
            ),
            (&json!("updating"), &json!(false))
        );
        server.delete(&one).await.expect(204);
        assert_eq!(server.get(&one).await.refusal(), "6000 404");
        assert_eq!(
            server.get(&format!("{path}/a-name")).await.refusal(),
            "6000 404"
        );
        run_deployment(&server).await;
        assert_eq!(server.get(&copy).await.refusal(), "6000 404");
    })
    .await;
}

use serde_json::{Value, json};

use super::golden::backed_up;
use super::server::{TestServer, on_each_server};

async fn metadata(server: &TestServer) -> Value {
    let backups = server.get("/v3/{project_id}/backups").await.expect(200);
    let id = backups["backups"][0]["id"].as_str().unwrap();
    let path = format!("/v3/{{project_id}}/backups/{id}/metadata");
    let answer = server.get(&path).await.expect(200);
    assert_eq!(answer["backup_id"], id);
    answer
}

/// Of a member that is JSON by itself.
fn parsed(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn metadata_is_json_inside_texts() {
    on_each_server(async |server| {
        let (_, resource) = backed_up(&server).await;
        let answer = metadata(&server).await;
        let of_server = parsed(&answer["server"]);
        assert_eq!(of_server["id"], resource.as_str());
        assert_eq!(
            (&of_server["name"], &of_server["status"]),
            (&json!("web"), &json!("SHUTOFF"))
        );
        let volume = parsed(&answer["volumes"][0]);
        assert_eq!(
            (&volume["size"], &volume["bootable"]),
            (&json!(40), &json!("true"))
        );
        assert_eq!(volume["attachments"][0]["device"], "/dev/vda");
        assert_eq!(parsed(&answer["backups"])["status"], "available");
        assert_eq!(answer["flavor"], "{}");
        assert_eq!(answer["ports"], json!([]));
        let all = answer.to_string();
        assert!(
            !all.contains("/disks/"),
            "places on the host are nobody's business: {all}"
        );
    })
    .await;
}

#[tokio::test]
async fn agents_are_asked_and_their_absence_has_a_reason() {
    on_each_server(async |server| {
        let mut ids = Vec::new();
        for (name, socket) in [
            ("with", json!("/run/answers.sock")),
            ("silent", json!("/run/silent.sock")),
            ("without", Value::Null),
        ] {
            let path = format!("/disks/{name}.raw");
            server.disks.put(&path, 1);
            let body = json!({"name": name, "disks": [path], "guest_agent": socket});
            let added = server
                .post("/strongroom/v1/{project_id}/servers", body)
                .await;
            let added = added.expect(201);
            ids.push(added["server"]["id"].clone());
        }
        ids.push(json!("11111111-2222-4333-8444-555555555555"));
        let asked: Vec<_> = ids
            .iter()
            .map(|id| json!({"resource_id": id, "resource_type": "OS::Nova::Server"}))
            .collect();
        let body = json!({"agent_status": asked});
        let answer = server.post("/v3/{project_id}/agent/check", body).await;
        let answer = answer.expect(200);
        let seen = |n: usize| {
            let status = &answer["agent_status"][n];
            assert_eq!(status["resource_id"], ids[n]);
            (
                status["installed"].as_bool().unwrap(),
                status["version"].as_str().unwrap().to_owned(),
                status["message"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(seen(0), (true, "8.2.2".to_owned(), String::new()));
        assert!(seen(1).2.contains("cannot be connected to"));
        assert!(seen(2).2.starts_with("No guest agent is configured"));
        assert_eq!(seen(3).2, "The server does not exist.");
        assert!(!(seen(1).0 || seen(2).0 || seen(3).0));
    })
    .await;
}

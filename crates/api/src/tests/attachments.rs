//! Attached backups as clients see them.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom_service::attachments;

use super::golden::backed_up;
use super::server::{ATTACH_TLS, TestServer, on_each_server};

const ROOT: &str = "/strongroom/v1/{project_id}";

async fn only_backup(server: &TestServer) -> String {
    let listed = server.get("/v3/{project_id}/backups").await.expect(200);
    listed["backups"][0]["id"].as_str().unwrap().to_owned()
}

async fn attach(server: &TestServer, backup: &str, attachment: Value) -> Value {
    let path = format!("{ROOT}/backups/{backup}/attachments");
    let body = json!({ "attachment": attachment });
    server.post(&path, body).await.expect(202)["attachment"].clone()
}

#[tokio::test]
async fn a_backup_is_attached_shown_and_detached() {
    on_each_server(async |server| {
        backed_up(&server).await;
        let backup = only_backup(&server).await;
        let attached = attach(&server, &backup, json!({})).await;
        assert_eq!(attached["status"], "attaching");
        assert_eq!(attached["read_only"], false);
        assert_eq!(attached["transport"], "unix");
        assert_eq!(attached["project_id"], server.project.as_str());
        let disk = &attached["disks"][0];
        assert_eq!(disk["bootable"], true);
        let socket = disk["socket"].as_str().unwrap();
        assert!(socket.starts_with('/') && socket.ends_with("/0.sock"));
        assert_eq!(disk["uri"], format!("nbd+unix:///?socket={socket}"));
        let shown = server
            .get(&format!("/v3/{{project_id}}/backups/{backup}"))
            .await;
        let child = shown.expect(200)["backup"]["children"][0].clone();
        assert_eq!(disk["backup_id"], child["id"]);
        assert_eq!(disk["resource_id"], child["resource_id"]);

        // So that it is known which is the newer one.
        server.clock.advance(Duration::from_secs(1));
        let only = attach(
            &server,
            child["id"].as_str().unwrap(),
            json!({"read_only": true}),
        )
        .await;
        assert_eq!(only["read_only"], true);
        let id = attached["id"].as_str().unwrap().to_owned();
        let path = format!("{ROOT}/attachments/{id}");
        let failed =
            attachments::report(&server.app, &id.parse().unwrap(), Err("it is full")).await;
        failed.unwrap();
        let shown = server.get(&path).await.expect(200);
        assert_eq!(shown["attachment"]["status"], "error");
        assert_eq!(shown["attachment"]["reason"], "it is full");

        let all = server
            .get(&format!("{ROOT}/attachments?limit=1"))
            .await
            .expect(200);
        assert_eq!(
            (&all["count"], &all["attachments"][0]["id"]),
            (&json!(2), &only["id"])
        );
        let marker = only["id"].as_str().unwrap();
        let next = server
            .get(&format!("{ROOT}/attachments?marker={marker}"))
            .await;
        assert_eq!(next.expect(200)["attachments"][0]["id"], id);
        let of_backup = server
            .get(&format!("{ROOT}/attachments?backup_id={backup}"))
            .await;
        assert_eq!(of_backup.expect(200)["count"], 1);

        let deleted = server
            .delete(&format!("/v3/{{project_id}}/backups/{backup}"))
            .await;
        assert_eq!(deleted.refusal(), "6216 400");
        server.delete(&path).await.expect(204);
        let going = server.get(&path).await.expect(200);
        assert_eq!(going["attachment"]["status"], "detaching");
        attachments::is_gone(&server.app, &id.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(server.get(&path).await.refusal(), "Strongroom.1023 404");
    })
    .await;
}

#[tokio::test]
async fn disks_that_go_over_tls_have_an_address_and_no_socket() {
    on_each_server(async |server| {
        backed_up(&server).await;
        let backup = only_backup(&server).await;
        let attached = attach(&server, &backup, json!({"transport": "tls"})).await;
        assert_eq!(attached["transport"], "tls");
        let (id, disk) = (attached["id"].as_str().unwrap(), &attached["disks"][0]);
        assert_eq!(disk["socket"], "");
        assert_eq!(disk["uri"], format!("nbds://{ATTACH_TLS}/{id}-0"));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_attached_is_refused() {
    on_each_server(async |server| {
        backed_up(&server).await;
        let backup = only_backup(&server).await;
        let unknown = "11111111-2222-4333-8444-555555555555";
        let cases = [
            (unknown, json!({"attachment": {}}), "6200 404"),
            ("NOT-A-UUID", json!({"attachment": {}}), "6200 404"),
            (&backup, json!({}), "9900 400"),
            (
                &backup,
                json!({"attachment": {"read_only": "yes"}}),
                "9900 400",
            ),
            (
                &backup,
                json!({"attachment": {"transport": "tcp"}}),
                "9900 400",
            ),
        ];
        for (backup, body, refusal) in cases {
            let path = format!("{ROOT}/backups/{backup}/attachments");
            assert_eq!(server.post(&path, body).await.refusal(), refusal);
        }
        server
            .delete(&format!("/v3/{{project_id}}/backups/{backup}"))
            .await
            .expect(204);
        let path = format!("{ROOT}/backups/{backup}/attachments");
        let refused = server.post(&path, json!({"attachment": {}})).await;
        assert_eq!(refused.refusal(), "2005 400");
        let none = server.get(&format!("{ROOT}/attachments")).await.expect(200);
        assert_eq!(none["count"], 0);
        for id in [unknown, "NOT-A-UUID"] {
            let path = format!("{ROOT}/attachments/{id}");
            assert_eq!(server.delete(&path).await.refusal(), "Strongroom.1023 404");
        }
    })
    .await;
}

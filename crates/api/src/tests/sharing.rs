//! Sharing as its clients see it: Terraform's two resources, and the words of the refusals.

use serde_json::{Value, json};

use super::golden::{assert_shape, backed_up};
use super::server::{TestServer, on_each_server, vault_body};

/// Another project; the administrator acts in it, too.
async fn other_project(server: &TestServer) -> String {
    let body = json!({"name": "receiver"});
    let created = server.post("/strongroom/v1/projects", body).await;
    let id = created.expect(201)["project"]["id"].clone();
    id.as_str().unwrap().to_owned()
}

async fn only_backup(server: &TestServer) -> String {
    let listed = server.get("/v3/{project_id}/backups").await.expect(200);
    listed["backups"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_backup_is_shared_accepted_and_withdrawn() {
    on_each_server(async |server| {
        backed_up(&server).await;
        let backup = only_backup(&server).await;
        let receiver = other_project(&server).await;
        let members = format!("/v3/{{project_id}}/backups/{backup}/members");
        let added = server.post(&members, json!({"members": [receiver]})).await;
        let added = added.expect(200);
        assert_shape(&added, include_str!("golden/members_added.json"));
        let again = server.post(&members, json!({"members": [receiver]})).await;
        assert_eq!(again.refusal(), "6703 400");

        let shared = format!("/v3/{receiver}/backups?own_type=shared&member_status=pending");
        let pending = server.get(&shared).await.expect(200);
        assert_eq!(pending["backups"][0]["id"], backup.as_str());
        assert_eq!(pending["backups"][0]["vault_id"], Value::Null);
        let private = server.get(&format!("/v3/{receiver}/backups")).await;
        assert_eq!(private.expect(200)["count"], 0);

        let vaults = format!("/v3/{receiver}/vaults");
        let vault = server.post(&vaults, vault_body("taken")).await.expect(200);
        let vault = vault["vault"]["id"].clone();
        let own = format!("/v3/{receiver}/backups/{backup}/members/{receiver}");
        let body = json!({"status": "accepted", "vault_id": vault});
        let accepted = server.put(&own, body).await.expect(200);
        assert_shape(&accepted, include_str!("golden/member_accepted.json"));
        let shown = server
            .get(&format!("/v3/{receiver}/backups/{backup}"))
            .await;
        let shown = shown.expect(200);
        assert_eq!(shown["backup"]["vault_id"], vault);
        assert_eq!(shown["backup"]["project_id"], server.project.as_str());
        assert_eq!(shown["backup"]["children"][0]["vault_id"], vault);

        let listed = server
            .get(&format!("{members}?limit=1&status=accepted"))
            .await;
        let listed = listed.expect(200);
        assert_eq!(listed["count"], 1);
        let marker = listed["members"][0]["id"].as_str().unwrap();
        let past = server
            .get(&format!("{members}?limit=1&marker={marker}"))
            .await;
        assert_eq!(past.expect(200)["members"], json!([]));
        let sorted = server
            .get(&format!("{members}?sort=updated_at:asc,status"))
            .await;
        assert_eq!(sorted.expect(200)["count"], 1);
        let of_image = server.get(&format!("{members}?image_id=x")).await;
        assert_eq!(of_image.expect(200)["count"], 0);

        let removed = server.delete(&format!("{members}/{receiver}")).await;
        removed.expect(204);
        let gone = server
            .get(&format!("/v3/{receiver}/backups/{backup}"))
            .await;
        assert_eq!(gone.refusal(), "6200 404");
        let none = server.get(&members).await.expect(200);
        assert_eq!(none, json!({"members": [], "count": 0}));
    })
    .await;
}

#[tokio::test]
async fn refusals_of_sharing_have_their_codes() {
    on_each_server(async |server| {
        backed_up(&server).await;
        let backup = only_backup(&server).await;
        let receiver = other_project(&server).await;
        let shown = server
            .get(&format!("/v3/{{project_id}}/backups/{backup}"))
            .await;
        let child = shown.expect(200)["backup"]["children"][0]["id"].clone();
        let members = format!("/v3/{{project_id}}/backups/{backup}/members");
        let of_child = format!(
            "/v3/{{project_id}}/backups/{}/members",
            child.as_str().unwrap()
        );
        let nobody = "0".repeat(32);
        for (path, body, expected) in [
            (&members, json!({"members": [nobody]}), "6704 400"),
            (&members, json!({"members": ["a name"]}), "6704 400"),
            (&members, json!({"members": []}), "6704 400"),
            (&members, json!({"domains": [nobody]}), "9900 400"),
            (&members, json!({"members": vec![&nobody; 11]}), "6701 400"),
            (&of_child, json!({"members": [receiver]}), "6700 400"),
        ] {
            let answer = server.post(path, body.clone()).await;
            assert_eq!(answer.refusal(), expected, "{body}");
        }
        server
            .post(&members, json!({"members": [receiver]}))
            .await
            .expect(200);
        let theirs = format!("/v3/{receiver}/backups/{backup}");
        let own = format!("{theirs}/members/{receiver}");
        let vault = server.add_vault("owners").await;
        for (path, body, expected) in [
            (&own, json!({"status": "pending"}), "6706 400"),
            (&own, json!({"status": "accepted"}), "6706 400"),
            (&own, json!({"status": "taken"}), "9900 400"),
            (
                &own,
                json!({"status": "accepted", "vault_id": vault}),
                "6105 404",
            ),
            (
                &format!("{members}/{receiver}"),
                json!({"status": "rejected"}),
                "6708 400",
            ),
            (
                &format!("{members}/{nobody}"),
                json!({"status": "rejected"}),
                "6705 404",
            ),
            (
                &format!("{members}/a-name"),
                json!({"status": "rejected"}),
                "6705 404",
            ),
        ] {
            let answer = server.put(path, body.clone()).await;
            assert_eq!(answer.refusal(), expected, "{path} {body}");
        }
        assert_eq!(server.delete(&theirs).await.refusal(), "6707 400");
        let onward = json!({"members": [nobody]});
        let onward = server.post(&format!("{theirs}/members"), onward).await;
        assert_eq!(onward.refusal(), "6714 400");
        let volume = json!({"restore": {"server_id": "11111111-2222-4333-8444-555555555555"}});
        let restore = server.post(&format!("{theirs}/restore"), volume).await;
        assert_eq!(restore.refusal(), "2005 400");
    })
    .await;
}

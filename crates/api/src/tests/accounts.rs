//! Accounts, features, and the migration that has nothing to do.

use serde_json::{Value, json};

use super::golden::backed_up;
use super::server::{Who, on_each_server};

#[tokio::test]
async fn projects_and_their_accounts_are_shown_to_their_members() {
    on_each_server(async |server| {
        let body = json!({"name": "other"});
        let other = server
            .post("/strongroom/v1/projects", body)
            .await
            .expect(201);
        let other = other["project"]["id"].as_str().unwrap().to_owned();
        let ask = async |who: Who, path: &str| server.call(who, "GET", path, &Value::Null).await;

        let all = ask(Who::Admin, "/v3/region-projects").await.expect(200);
        assert_eq!(all["projects"].as_array().unwrap().len(), 2);
        assert_eq!(all["projects"][0]["is_domain"], false);
        let own = ask(Who::Reader, "/v3/region-projects").await.expect(200);
        assert_eq!(own["projects"].as_array().unwrap().len(), 1);
        assert_eq!(own["projects"][0]["id"], server.project.as_str());

        let listed = ask(Who::Reader, "/v3/domain/default/projects")
            .await
            .expect(200);
        let expected = json!({"projects": [
            {"project_id": server.project, "project_name": "region-1"}]});
        assert_eq!(listed, expected);
        let elsewhere = ask(Who::Admin, "/v3/domain/nobody/projects")
            .await
            .expect(200);
        assert_eq!(elsewhere, json!({"projects": []}));

        let own = format!("/v3/domain/{}", server.project);
        let shown = ask(Who::Reader, &own).await.expect(200);
        assert_eq!(shown["domain_name"], "default");
        assert_eq!(shown["project_name"], "region-1");
        let theirs = format!("/v3/domain/{other}");
        assert_eq!(ask(Who::Reader, &theirs).await.refusal(), "APIGW.0302 403");
        ask(Who::Admin, &theirs).await.expect(200);
        let unknown = format!("/v3/domain/{}", "0".repeat(32));
        assert_eq!(ask(Who::Admin, &unknown).await.refusal(), "APIGW.0302 403");
        let name = ask(Who::Admin, "/v3/domain/a-name").await;
        assert_eq!(name.refusal(), "9900 400");
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_an_offered_backup_is_shown_to_whom_it_is_offered() {
    on_each_server(async |server| {
        // The reader's project is offered a backup of another one.
        let body = json!({"name": "owner"});
        let owner = server
            .post("/strongroom/v1/projects", body)
            .await
            .expect(201);
        let owner = owner["project"]["id"].as_str().unwrap().to_owned();
        let path = format!("/v3/domain/{owner}");
        let ask = async || server.call(Who::Reader, "GET", &path, &Value::Null).await;
        assert_eq!(ask().await.refusal(), "APIGW.0302 403");
        let there = server.in_project(&owner);
        backed_up(&there).await;
        let backups = there.get("/v3/{project_id}/backups").await.expect(200);
        let id = backups["backups"][0]["id"].as_str().unwrap();
        let members = format!("/v3/{{project_id}}/backups/{id}/members");
        let body = json!({"members": [server.project]});
        there.post(&members, body).await.expect(200);
        assert_eq!(ask().await.expect(200)["project_name"], "owner");
    })
    .await;
}

#[tokio::test]
async fn features_are_what_is_configured() {
    on_each_server(async |server| {
        let all = server
            .get("/v3/{project_id}/cbr-features")
            .await
            .expect(200);
        assert_eq!(all["replication.enable"], true);
        assert_eq!(all["replication.source_region"], "region-1");
        assert_eq!(all["replication.destination_regions"], json!(["region-2"]));
        let part = server
            .get("/v3/{project_id}/cbr-features?limit=1&offset=1")
            .await;
        assert_eq!(part.expect(200), json!({"features.bccrack_enable": false}));
        let one = "/v3/{project_id}/cbr-features/features.backup_double_az";
        let one = server.get(one).await.expect(200);
        assert_eq!(one, json!({"features.backup_double_az": false}));
        let unknown = server.get("/v3/{project_id}/cbr-features/nothing").await;
        assert_eq!(unknown.refusal(), "9900 400");
    })
    .await;
}

#[tokio::test]
async fn there_is_nothing_to_migrate() {
    on_each_server(async |server| {
        let body = json!({"all_regions": true, "reservation": 0.2});
        let begun = server.post("/v3/migrates", body).await.expect(200);
        assert_eq!(begun, json!({"region-1": "success"}));
        let status = server
            .get("/v3/migrates?all_regions=true")
            .await
            .expect(200);
        assert_eq!(status, json!({"status": "success", "project_status": []}));
        let much = server.post("/v3/migrates", json!({"reservation": 2})).await;
        assert_eq!(much.refusal(), "9900 400");
        let body = json!({"reservation": 0});
        let reader = server
            .call(Who::Reader, "POST", "/v3/migrates", &body)
            .await;
        assert_eq!(reader.refusal(), "APIGW.0302 403");
    })
    .await;
}

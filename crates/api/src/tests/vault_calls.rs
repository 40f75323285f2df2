//! Calls about all vaults of a project, or about the resources of one.

use serde_json::json;

use super::server::on_each_server;

#[tokio::test]
async fn the_words_below_vaults_are_no_names_of_vaults() {
    on_each_server(|server| async move {
        let summary = server.get("/v3/{project_id}/vaults/summary").await;
        assert_eq!(summary.expect(200), json!({"size": 0, "used_size": 0}));
        server.add_vault("a").await;
        server.add_vault("b").await;
        let summary = server.get("/v3/{project_id}/vaults/summary").await;
        assert_eq!(summary.expect(200), json!({"size": 400, "used_size": 0}));
        for path in ["summary", "batch-update"] {
            let path = format!("/v3/{{project_id}}/vaults/{path}");
            assert_eq!(server.delete(&path).await.refusal(), "APIGW.0101 405");
        }
    })
    .await;
}

#[tokio::test]
async fn the_notices_of_all_vaults_change_at_once() {
    on_each_server(|server| async move {
        let mut vaults = vec![server.add_vault("a").await, server.add_vault("b").await];
        let gone = server.add_vault("gone").await;
        let path = |id: &str| format!("/v3/{{project_id}}/vaults/{id}");
        server.delete(&path(&gone)).await;

        let body = json!({"vault": {"smn_notify": false, "threshold": 70}});
        let updated = server.put(&path("batch-update"), body).await.expect(200);
        vaults.sort();
        assert_eq!(updated, json!({"updated_vaults_id": vaults}));
        let body = json!({"vault": {"threshold": 60}});
        server.put(&path("batch-update"), body).await.expect(200);
        for id in &vaults {
            let vault = server.get(&path(id)).await.expect(200)["vault"].clone();
            assert_eq!(
                (&vault["smn_notify"], &vault["threshold"]),
                (&json!(false), &json!(60))
            );
        }
        for body in [json!({"vault": {"threshold": 0}}), json!({})] {
            let refused = server.put(&path("batch-update"), body).await;
            assert_eq!(refused.refusal(), "9900 400");
        }
    })
    .await;
}

#[tokio::test]
async fn a_resource_is_left_out_of_automatic_backups_and_taken_in_again() {
    on_each_server(|server| async move {
        let (resource, other) = (
            server.add_server("web").await,
            server.add_server("db").await,
        );
        let vault = server.add_vault("v").await;
        let path = format!("/v3/{{project_id}}/vaults/{vault}");
        let add = json!({"resources": [{"id": resource, "type": "OS::Nova::Server"}]});
        server
            .post(&format!("{path}/addresources"), add)
            .await
            .expect(200);
        for (action, auto_protect) in [("suspend", false), ("suspend", false), ("unsuspend", true)]
        {
            let body = json!({"action": action, "resource_ids": [resource]});
            let set = server.put(&format!("{path}/set-resources"), body).await;
            assert_eq!(set.expect(200), json!({"set_resource_ids": [resource]}));
            let shown = server.get(&path).await.expect(200);
            assert_eq!(shown["vault"]["resources"][0]["auto_protect"], auto_protect);
        }
        let body = json!({"action": "suspend", "resource_ids": [resource, other]});
        let refused = server.put(&format!("{path}/set-resources"), body).await;
        assert_eq!(refused.refusal(), "6135 400");
        let shown = server.get(&path).await.expect(200);
        assert_eq!(shown["vault"]["resources"][0]["auto_protect"], true);

        let usage = server
            .get("/v3/{project_id}/storage_usage")
            .await
            .expect(200);
        let expected = json!({"resource_count": 1, "storage_usage": [{
            "resource_id": resource, "resource_name": "web", "resource_type": "OS::Nova::Server",
            "backup_count": 0, "backup_size": 0, "backup_size_multiaz": 0}]});
        assert_eq!(usage, expected);
        for (filter, count) in [
            ("resource_type=OS::Nova::Server", 1),
            ("resource_type=OS::Cinder::Volume", 0),
            ("offset=1", 1),
        ] {
            let usage = server
                .get(&format!("/v3/{{project_id}}/storage_usage?{filter}"))
                .await
                .expect(200);
            assert_eq!(usage["resource_count"], count, "{filter}");
        }

        let ids = json!({"resource_ids": [resource]});
        server
            .post(&format!("{path}/removeresources"), ids)
            .await
            .expect(200);
        let body = json!({"action": "suspend", "resource_ids": [resource]});
        let refused = server.put(&format!("{path}/set-resources"), body).await;
        assert_eq!(refused.refusal(), "6134 400");
    })
    .await;
}

#[tokio::test]
async fn a_move_answers_at_once_and_shows_as_a_task() {
    on_each_server(|server| async move {
        let resource = server.add_server("web").await;
        let (from, to) = (server.add_vault("from").await, server.add_vault("to").await);
        let path = |vault: &str, call: &str| format!("/v3/{{project_id}}/vaults/{vault}/{call}");
        let add = json!({"resources": [{"id": resource, "type": "OS::Nova::Server"}]});
        server
            .post(&path(&from, "addresources"), add)
            .await
            .expect(200);

        let body = json!({"destination_vault_id": to, "resource_ids": [resource]});
        let moved = server
            .post(&path(&from, "migrateresources"), body.clone())
            .await;
        assert_eq!(moved.expect(200), json!({"migrated_resources": [resource]}));
        let shown = server
            .get(&format!("/v3/{{project_id}}/vaults/{from}"))
            .await
            .expect(200);
        assert_eq!(
            shown["vault"]["resources"][0]["protect_status"],
            "migrating"
        );
        let tasks = server
            .get("/v3/{project_id}/operation-logs")
            .await
            .expect(200);
        let task = &tasks["operation_logs"][0];
        assert_eq!(task["operation_type"], "migrate_resource");
        let destination = json!({"destination_vault_id": to, "destination_vault_name": "to"});
        assert_eq!(task["extra_info"]["migrate_resource"], destination);
        let again = server.post(&path(&from, "migrateresources"), body).await;
        assert_eq!(again.refusal(), "6203 400");
    })
    .await;
}

#[tokio::test]
async fn new_ends_are_told_as_a_task_that_is_over() {
    on_each_server(|server| async move {
        let to = server.add_vault("to").await;
        let path = |vault: &str, call: &str| format!("/v3/{{project_id}}/vaults/{vault}/{call}");
        let body = json!({"expect_expiration_date": "2026-12-31", "time_zone": "UTC+08:00"});
        let ends = server
            .put(&path(&to, "update-backup-expiration-time"), body)
            .await
            .expect(200);
        assert_eq!(
            (&ends["affected_backups_count"], &ends["new_expiration_day"]),
            (&json!(0), &json!("2026-12-31"))
        );
        let task = ends["operation_log_id"].as_str().unwrap();
        let task = server
            .get(&format!("/v3/{{project_id}}/operation-logs/{task}"))
            .await
            .expect(200);
        let task = &task["operation_log"];
        assert_eq!(
            (&task["operation_type"], &task["status"]),
            (&json!("update_expiration_time"), &json!("success"))
        );
        assert_eq!(
            task["extra_info"]["update_expiration_time"]["expiration_day"],
            "2026-12-31"
        );
        for (day, zone) in [
            ("2026-12-32", "UTC+08:00"),
            ("2026-12-31", "Asia/Shanghai"),
            ("2025-12-31", "UTC+00:00"),
            ("20261231", "UTC+00:00"),
        ] {
            let body = json!({"expect_expiration_date": day, "time_zone": zone});
            let refused = server
                .put(&path(&to, "update-backup-expiration-time"), body)
                .await;
            assert_eq!(refused.refusal(), "9900 400", "{day} {zone}");
        }
        let listed = server
            .get("/v3/{project_id}/backups?existed_quantity_based_retention_backups=true")
            .await;
        assert_eq!(listed.expect(200)["count"], 0);
    })
    .await;
}

#[tokio::test]
async fn servers_of_the_inventory_have_tags() {
    on_each_server(|server| async move {
        server.disks.put("/disks/web.raw", 40);
        let body = json!({"name": "web", "disks": ["/disks/web.raw"], "tags": [{"key": "env", "value": "prod"}]});
        let added = server.post("/strongroom/v1/{project_id}/servers", body).await.expect(201);
        let id = added["server"]["id"].as_str().unwrap();
        let path = format!("/strongroom/v1/{{project_id}}/inventory/{id}/tags");
        let shown = server.get(&path).await.expect(200);
        assert_eq!(shown, json!({"tags": [{"key": "env", "value": "prod"}]}));
        let body = json!({"tags": [{"key": "team", "value": ""}]});
        assert_eq!(server.put(&path, body.clone()).await.expect(200), body);
        let unknown = "/strongroom/v1/{project_id}/inventory/11111111-2222-4333-8444-555555555555/tags";
        assert_eq!(server.get(unknown).await.refusal(), "6302 404");
    })
    .await;
}

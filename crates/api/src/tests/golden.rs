//! Our answers against sample answers of the same shape: the same keys, the same kinds of values, null where
//! the sample has null. The samples in `golden/` follow what the public service was recorded to answer.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom_service::progress::{
    BackupOutcome, DiskOutcome, DiskSaved, VaultUsage, finish_backup, start_backup,
};
use strongroom_types::{GIB, MIB};

use super::server::{TestServer, on_each_server, vault_body};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("golden/", $name, ".json"))
    };
}
pub(crate) use golden;

#[track_caller]
pub(crate) fn assert_shape(answer: &Value, sample: &str) {
    let sample: Value = serde_json::from_str(sample).unwrap();
    let mut differences = Vec::new();
    compare("", answer, &sample, &mut differences);
    assert!(differences.is_empty(), "{differences:#?}\n{answer:#}");
}

fn compare(at: &str, answer: &Value, sample: &Value, differences: &mut Vec<String>) {
    match (answer, sample) {
        (Value::Object(answer), Value::Object(sample)) => {
            for (name, value) in answer {
                match sample.get(name) {
                    Some(sample) => compare(&format!("{at}.{name}"), value, sample, differences),
                    None => differences.push(format!("{at}.{name} is not in the sample")),
                }
            }
            let missing = sample.keys().filter(|name| !answer.contains_key(*name));
            differences.extend(missing.map(|name| format!("{at}.{name} is missing")));
        }
        (Value::Array(answer), Value::Array(sample)) => {
            if answer.len() != sample.len() {
                differences.push(format!("{at} has {} items", answer.len()));
            }
            for (answer, sample) in answer.iter().zip(sample) {
                compare(&format!("{at}[]"), answer, sample, differences);
            }
        }
        _ if kind(answer) == kind(sample) => {}
        _ => differences.push(format!("{at} is {answer}, the sample has {sample}")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        // A time has its own form; everything else that is text is text.
        Value::String(text) if is_time(text) => "time",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn is_time(text: &str) -> bool {
    let form: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    form == "0000-00-00T00:00:00.000000"
}

/// Does what a worker would do with the next job, a backup, without any data.
pub(super) async fn run_backup(server: &TestServer) {
    let app = &server.app;
    let mut tx = app.db.begin().await.unwrap();
    let lease = Duration::from_mins(1);
    let job = tx
        .claim_job("test", app.now(), lease)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    let lease = job.lease("test");
    let backup_id = job.subject_id.parse().unwrap();
    let work = start_backup(app, &lease, &backup_id).await.unwrap();
    let saved = |number: usize| DiskSaved {
        point_id: format!("point-{number}"),
        size_bytes: 40 * GIB,
        stored_bytes: 3 * MIB,
        reading: None,
    };
    let disks = work
        .disks
        .iter()
        .enumerate()
        .map(|(number, disk)| DiskOutcome {
            backup_id: disk.backup.id.clone(),
            result: Ok(saved(number)),
        });
    let outcome = BackupOutcome {
        disks: disks.collect(),
        protected_at: app.now(),
        quiesce: None,
        machine: None,
    };
    let usage = VaultUsage {
        points: (0..work.disks.len())
            .map(|number| format!("point-{number}"))
            .collect(),
        vault_bytes: 3 * MIB,
        resource_bytes: 3 * MIB,
    };
    finish_backup(app, &lease, &backup_id, outcome, usage)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_four_steps_of_the_guide() {
    on_each_server(|server| async move {
        let resource = server.add_server("web").await;

        let created = server.post("/v3/{project_id}/vaults", vault_body("my_vault")).await.expect(200);
        assert_shape(&created, golden!("vault_created"));
        assert_eq!(created["vault"]["billing"]["spec_code"], "vault.backup.server.normal");
        assert_eq!(created["vault"]["created_at"], "2026-01-01T00:00:00.000000");
        let vault = created["vault"]["id"].as_str().unwrap();

        let body = json!({"resources": [{"id": resource, "type": "OS::Nova::Server", "name": "server-4690-0002"}]});
        let path = format!("/v3/{{project_id}}/vaults/{vault}/addresources");
        let added = server.post(&path, body).await.expect(200);
        assert_shape(&added, golden!("resources_added"));
        assert_eq!(added["add_resource_ids"][0], resource);

        let body = json!({"checkpoint": {
            "parameters": {
                "auto_trigger": false, "description": "backupauto", "incremental": true,
                "name": "backup_auto", "resources": [resource]
            },
            "vault_id": vault
        }});
        let started = server.post("/v3/{project_id}/checkpoints", body).await.expect(200);
        assert_shape(&started, golden!("checkpoint_created"));
        assert_eq!(started["checkpoint"]["status"], "protecting");
        assert_eq!(started["checkpoint"]["vault"]["resources"][0]["resource_size"], "40");

        run_backup(&server).await;
        let checkpoint = started["checkpoint"]["id"].as_str().unwrap();
        let path = format!("/v3/{{project_id}}/checkpoints/{checkpoint}");
        let shown = server.get(&path).await.expect(200);
        assert_shape(&shown, golden!("checkpoint_shown"));
        assert_eq!(shown["checkpoint"]["status"], "available");
        assert_eq!(shown["checkpoint"]["vault"]["resources"][0]["backup_size"], "3");
    })
    .await;
}

/// A vault with one backed-up server; the ids of the vault and the server.
pub(super) async fn backed_up(server: &TestServer) -> (String, String) {
    let resource = server.add_server("web").await;
    let vault = server.add_vault("my_vault").await;
    let path = format!("/v3/{{project_id}}/vaults/{vault}/addresources");
    let body = json!({"resources": [{"id": resource, "type": "OS::Nova::Server"}]});
    server.post(&path, body).await.expect(200);
    let body = json!({"checkpoint": {"vault_id": vault}});
    server
        .post("/v3/{project_id}/checkpoints", body)
        .await
        .expect(200);
    run_backup(server).await;
    (vault, resource)
}

#[tokio::test]
async fn lists_and_single_objects() {
    on_each_server(|server| async move {
        let (vault, _) = backed_up(&server).await;
        let vaults = server
            .get("/v3/{project_id}/vaults?limit=100")
            .await
            .expect(200);
        assert_shape(&vaults, golden!("vault_list"));
        assert_eq!(vaults["vaults"][0]["billing"]["used"], 3);
        assert_eq!(vaults["limit"], 100);

        let path = format!("/v3/{{project_id}}/backups?vault_id={vault}&show_replication=true");
        let backups = server.get(&path).await.expect(200);
        assert_shape(&backups, golden!("backup_list"));
        let backup = backups["backups"][0]["id"].as_str().unwrap();
        let path = format!("/v3/{{project_id}}/backups/{backup}");
        assert_shape(
            &server.get(&path).await.expect(200),
            golden!("backup_shown"),
        );
        let renamed = server
            .put(&path, json!({"backup": {"name": "weekly"}}))
            .await
            .expect(200);
        assert_shape(&renamed, golden!("backup_shown"));
        assert_eq!(renamed["backup"]["name"], "weekly");

        let tasks = server
            .get("/v3/{project_id}/operation-logs")
            .await
            .expect(200);
        assert_shape(&tasks, golden!("task_list"));
        for destination in ["destination_region=other", "destination_project_id=other"] {
            let path = format!("/v3/{{project_id}}/operation-logs?{destination}");
            let elsewhere = server.get(&path).await.expect(200);
            assert_eq!(elsewhere["count"], 0, "{destination}");
        }
        let task = tasks["operation_logs"][0]["id"].as_str().unwrap();
        let path = format!("/v3/{{project_id}}/operation-logs/{task}");
        assert_shape(&server.get(&path).await.expect(200), golden!("task_shown"));

        let path = "/v3/{project_id}/protectables/server/instances";
        assert_shape(
            &server.get(path).await.expect(200),
            golden!("protectable_list"),
        );
        let path = "/strongroom/v1/{project_id}/volumes";
        assert_shape(&server.get(path).await.expect(200), golden!("volume_list"));
        let path = "/strongroom/v1/{project_id}/servers";
        assert_shape(&server.get(path).await.expect(200), golden!("server_list"));
    })
    .await;
}

#[tokio::test]
async fn restores_and_deletions_are_answered_at_once() {
    on_each_server(|server| async move {
        let (vault, resource) = backed_up(&server).await;
        let backups = server.get("/v3/{project_id}/backups").await.expect(200);
        let backup = format!(
            "/v3/{{project_id}}/backups/{}",
            backups["backups"][0]["id"].as_str().unwrap()
        );
        let body = json!({"restore": {"server_id": resource, "power_on": false}});
        let restored = server
            .post(&format!("{backup}/restore"), body)
            .await
            .expect(202);
        assert_shape(&restored, golden!("restored"));
        let again = server.delete(&backup).await;
        assert!(
            ["6201 400", "6216 400"].contains(&again.refusal().as_str()),
            "{}",
            again.text
        );

        let empty = server.add_vault("empty").await;
        let gone = server
            .delete(&format!("/v3/{{project_id}}/vaults/{empty}"))
            .await;
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
        let busy = server
            .delete(&format!("/v3/{{project_id}}/vaults/{vault}"))
            .await;
        assert_eq!(busy.refusal(), "6203 400");
    })
    .await;
}

#[tokio::test]
async fn pre_paid_vaults_are_ordered() {
    on_each_server(|server| async move {
        let resource = server.add_server("web").await;
        let mut body = vault_body("term");
        let billing = json!({"charging_mode": "pre_paid", "period_type": "month", "period_num": 1,
            "is_auto_renew": false, "is_auto_pay": false});
        for (name, value) in billing.as_object().unwrap() {
            body["vault"]["billing"][name] = value.clone();
        }
        body["vault"]["resources"] = json!([{"id": resource, "type": "OS::Nova::Server"}]);
        let ordered = server
            .post("/v3/{project_id}/vaults", body)
            .await
            .expect(200);
        assert_shape(&ordered, golden!("ordered"));
        let vault = ordered["orders"][0]["resourceId"].as_str().unwrap();
        let vault_path = format!("/v3/{{project_id}}/vaults/{vault}");
        assert_eq!(server.get(&vault_path).await.refusal(), "6105 404");

        let orders = server
            .get("/strongroom/v1/orders?status=waiting")
            .await
            .expect(200);
        assert_shape(&orders, golden!("order_list"));
        let order = orders["orders"][0]["id"].as_str().unwrap();
        let approve = format!("/strongroom/v1/orders/{order}/approve");
        assert_eq!(
            server.post(&approve, Value::Null).await.expect(200)["order"]["status"],
            "completed"
        );
        let vault = server.get(&vault_path).await.expect(200);
        assert_eq!(vault["vault"]["resources"][0]["id"], resource);
        assert_eq!(vault["vault"]["billing"]["order_id"], order);
        assert_eq!(
            server.post(&approve, Value::Null).await.refusal(),
            "Strongroom.1002 409"
        );
        assert_eq!(server.delete(&vault_path).await.refusal(), "6111 400");
    })
    .await;
}

#[tokio::test]
async fn lists_are_paged_by_offset_and_by_marker() {
    on_each_server(|server| async move {
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(server.add_vault(&format!("v{number}")).await);
        }
        let by_offset = pages(&server, |_, offset| format!("offset={offset}")).await;
        let by_marker = pages(&server, |last, _| {
            last.map(|id| format!("marker={id}")).unwrap_or_default()
        })
        .await;
        assert_eq!(by_offset, by_marker);
        let mut all = by_offset;
        all.sort();
        ids.sort();
        assert_eq!(all, ids);
        let past = server
            .get("/v3/{project_id}/vaults?offset=5")
            .await
            .expect(200);
        assert_eq!((&past["vaults"], &past["count"]), (&json!([]), &json!(5)));
        let found = server
            .get("/v3/{project_id}/vaults?name=v3")
            .await
            .expect(200);
        assert_eq!(found["count"], 1);
    })
    .await;
}

/// Reads the vaults two at a time until a page is empty.
async fn pages(
    server: &TestServer,
    next: impl Fn(Option<&String>, usize) -> String,
) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..10 {
        let part = next(ids.last(), ids.len());
        let page = server
            .get(&format!("/v3/{{project_id}}/vaults?limit=2&{part}"))
            .await
            .expect(200);
        let vaults = page["vaults"].as_array().unwrap();
        if vaults.is_empty() {
            return ids;
        }
        ids.extend(
            vaults
                .iter()
                .map(|vault| vault["id"].as_str().unwrap().to_owned()),
        );
    }
    panic!("the list never ended: {ids:?}");
}

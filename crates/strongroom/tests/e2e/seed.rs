//! The documented example, its bodies verbatim but for the ids, sent with curl and a token, on real disks.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::api::Api;
use crate::disks;
use crate::server::Server;

const GIB: u64 = 1 << 30;

/// Sends one request with curl; answers with status and JSON.
fn curl(api: &Api, server: &Server, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
    let url = format!("{}/v3/{}{path}", server.endpoint, api.project);
    let token = format!("X-Auth-Token: {}", api.token);
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--write-out",
        "\n%{http_code}",
        "--request",
        method,
    ]);
    command.args([
        "--header",
        &token,
        "--header",
        "Content-Type: application/json",
        &url,
    ]);
    if let Some(body) = body {
        command.args(["--data", body]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (
        status.parse().unwrap(),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

/// Every key of the documented sample is there with the same JSON type. A null in the sample stands for a value
/// that may also be there; an empty list or object for any.
fn assert_shape(sample: &Value, answer: &Value, at: &str) {
    match (sample, answer) {
        (Value::Null, _) => {}
        (Value::Object(sample), Value::Object(answer)) => {
            for (key, value) in sample {
                let found = answer
                    .get(key)
                    .unwrap_or_else(|| panic!("{at}.{key} is missing"));
                assert_shape(value, found, &format!("{at}.{key}"));
            }
        }
        (Value::Array(sample), Value::Array(answer)) => {
            if let (Some(sample), answers) = (sample.first(), answer) {
                assert!(!answers.is_empty(), "{at} is empty");
                for answer in answers {
                    assert_shape(sample, answer, at);
                }
            }
        }
        (sample, answer) => {
            let kind = |value: &Value| std::mem::discriminant(value);
            assert_eq!(
                kind(sample),
                kind(answer),
                "{at}: {sample} against {answer}"
            );
        }
    }
}

fn sample(name: &str) -> Value {
    let samples: Value = serde_json::from_str(include_str!("seed.json")).unwrap();
    samples[name].clone()
}

struct Machine {
    id: String,
    qcow2: std::path::PathBuf,
    raw: std::path::PathBuf,
}

/// A server of two disks of 1 GiB each, one qcow2, one raw.
fn machine(server: &Server, folder: &Path) -> Machine {
    let (source, qcow2, raw) = (
        folder.join("source.raw"),
        folder.join("system.qcow2"),
        folder.join("data.raw"),
    );
    disks::ext4(&source, GIB, 300 << 20);
    disks::to_qcow2(&source, &qcow2);
    disks::ext4(&raw, GIB, 200 << 20);
    let answer = server.verb(&[
        "server",
        "add",
        "--name",
        "server-4690-0002",
        "--disk",
        disks::text(&qcow2),
        "--disk",
        disks::text(&raw),
    ]);
    Machine {
        id: answer["server"]["id"].as_str().unwrap().to_owned(),
        qcow2,
        raw,
    }
}

#[tokio::test]
async fn the_documented_example_works_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let api = Api::sign_in(&server).await;
    let machine = machine(&server, folder.path());
    let (flat, raw) = (
        disks::flattened(&machine.qcow2, "qcow2"),
        disks::hash(&machine.raw),
    );

    let body = r#"{ "vault": { "billing": { "cloud_type": "public", "consistent_level": "crash_consistent", "object_type": "server", "protect_type": "backup", "size": 200 }, "name": "my_vault", "resources": [] } }"#;
    let (status, answer) = curl(&api, &server, "POST", "/vaults", Some(body));
    assert_eq!(status, 200, "{answer}");
    assert_shape(&sample("create_vault"), &answer, "create_vault");
    let vault = answer["vault"]["id"].as_str().unwrap().to_owned();

    let body = format!(
        r#"{{ "resources": [{{ "id": "{}", "type": "OS::Nova::Server", "name": "server-4690-0002" }}] }}"#,
        machine.id
    );
    let (status, answer) = curl(
        &api,
        &server,
        "POST",
        &format!("/vaults/{vault}/addresources"),
        Some(&body),
    );
    assert_eq!(
        (status, &answer["add_resource_ids"][0]),
        (200, &Value::from(machine.id.as_str()))
    );
    assert_shape(&sample("add_resources"), &answer, "add_resources");

    let body = format!(
        r#"{{ "checkpoint": {{ "parameters": {{ "auto_trigger": false, "description": "backupauto", "incremental": true, "name": "backup_auto", "resources": ["{}"] }}, "vault_id": "{vault}" }} }}"#,
        machine.id
    );
    let (status, answer) = curl(&api, &server, "POST", "/checkpoints", Some(&body));
    assert_eq!(
        (status, &answer["checkpoint"]["status"]),
        (200, &Value::from("protecting"))
    );
    assert_shape(&sample("create_checkpoint"), &answer, "create_checkpoint");
    let checkpoint = answer["checkpoint"]["id"].as_str().unwrap().to_owned();

    assert_eq!(api.wait_for_checkpoint(&checkpoint).await, "available");
    let (status, answer) = curl(
        &api,
        &server,
        "GET",
        &format!("/checkpoints/{checkpoint}"),
        None,
    );
    assert_eq!(status, 200);
    assert_shape(&sample("show_checkpoint"), &answer, "show_checkpoint");
    assert_eq!(
        answer["checkpoint"]["vault"]["resources"][0]["protect_status"],
        "available"
    );

    damage_and_restore(&api, &server, &machine, &checkpoint).await;
    let restored = machine.qcow2.with_extension("restored");
    disks::run("qemu-img", &["check", "-q", disks::text(&machine.qcow2)]);
    disks::run(
        "qemu-img",
        &[
            "convert",
            "-O",
            "raw",
            disks::text(&machine.qcow2),
            disks::text(&restored),
        ],
    );
    assert!(disks::same(&flat, &restored), "the qcow2 disk differs");
    assert_eq!(raw, disks::hash(&machine.raw), "the raw disk differs");
    server.repositories_are_clean();
}

async fn damage_and_restore(api: &Api, server: &Server, machine: &Machine, checkpoint: &str) {
    disks::damage_qcow2(&machine.qcow2);
    disks::damage_raw(&machine.raw);
    let backup = api.only_backup_of(checkpoint).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = format!(
        r#"{{ "restore": {{ "server_id": "{}", "power_on": false }} }}"#,
        machine.id
    );
    let (status, answer) = curl(
        api,
        server,
        "POST",
        &format!("/backups/{backup}/restore"),
        Some(&body),
    );
    assert_eq!(status, 202, "{answer}");
    let task = api.wait_for_task(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(task["status"], "success", "{task}");
}

#[tokio::test]
async fn the_documented_pre_paid_vault_appears_when_its_order_is_approved() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let api = Api::sign_in(&server).await;
    let disk = folder.path().join("disk.raw");
    disks::random(&disk, 1 << 20, 1);
    let id = "97595625-198e-4e4d-879b-9d53f68ba551";
    server.verb(&[
        "server",
        "add",
        "--name",
        "s",
        "--disk",
        disks::text(&disk),
        "--id",
        id,
    ]);
    let body = r#"{ "vault": { "billing": { "cloud_type": "public", "consistent_level": "crash_consistent", "object_type": "server", "protect_type": "backup", "size": 100, "charging_mode": "pre_paid", "period_type": "month", "period_num": 1, "is_auto_renew": false, "is_auto_pay": false }, "description": "vault_description", "name": "vault_name", "resources": [{ "id": "97595625-198e-4e4d-879b-9d53f68ba551", "type": "OS::Nova::Server" }] } }"#;
    let (status, answer) = curl(&api, &server, "POST", "/vaults", Some(body));
    assert_eq!(status, 200, "{answer}");
    let order = &answer["orders"][0];
    let vault = order["resourceId"].as_str().unwrap();
    assert_eq!(
        api.get(&format!("/vaults/{vault}")).await.0,
        404,
        "no vault before the order is approved"
    );
    server.verb(&["order", "approve", order["orderId"].as_str().unwrap()]);
    let (status, answer) = api.get(&format!("/vaults/{vault}")).await;
    assert_eq!(
        (status, &answer["vault"]["resources"][0]["id"]),
        (200, &Value::from(id)),
        "{answer}"
    );
    assert_eq!(answer["vault"]["billing"]["charging_mode"], "pre_paid");
}

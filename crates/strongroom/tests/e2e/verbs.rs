//! The client verbs, run as a person would.

use crate::disks;
use crate::server::{BINARY, Server};

#[tokio::test]
async fn a_disk_is_protected_listed_restored_and_forgotten_with_verbs_alone() {
    for database in strongroom_testkit::test_databases().await {
        eprintln!("on {}", database.kind);
        let folder = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new(BINARY);
        command.env("STRONGROOM__DATABASE__ADDRESS", &database.address);
        let server = Server::start_by(command, &folder.path().join("data"));
        protect_and_forget(&server, folder.path());
    }
}

fn protect_and_forget(server: &Server, folder: &std::path::Path) {
    let disk = folder.join("disk.raw");
    disks::random(&disk, 8 << 20, 3);
    let before = disks::hash(&disk);
    let id = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();

    let volume = id(&server.verb(&[
        "volume",
        "add",
        "--name",
        "data",
        "--path",
        disks::text(&disk),
    ])["volume"]);
    let vault = id(&server.verb(&[
        "vault",
        "create",
        "--name",
        "daily",
        "--object-type",
        "disk",
        "--size",
        "10",
    ])["vault"]);
    server.verb(&["vault", "add", "daily", "data"]);
    let checkpoint = id(&server.verb(&["checkpoint", "create", "daily", "--wait"])["checkpoint"]);
    let backups = server.verb(&["backup", "list", "--checkpoint", &checkpoint]);
    let backup = id(&backups["backups"][0]);
    disks::damage_raw(&disk);
    server.verb(&["backup", "restore", &backup, "--volume", &volume, "--wait"]);
    assert_eq!(disks::hash(&disk), before);

    assert_eq!(
        server.verb(&["backup", "rename", &backup, "kept"])["backup"]["name"],
        "kept"
    );
    assert_eq!(server.verb(&["task", "list"])["count"], 2);
    assert_eq!(
        server.verb(&["vault", "update", &vault, "--size", "20"])["vault"]["billing"]["size"],
        20
    );
    assert_eq!(
        server.verb(&["vault", "list", "--name", "daily"])["count"],
        1
    );
    policies(server);
    organization_policies(server);
    server.verb(&["backup", "delete", &backup, "--wait"]);
    server.verb(&["vault", "delete", &vault, "--wait"]);
    server.verb(&["volume", "remove", &volume]);
    assert_eq!(
        server.verb(&["volume", "list"])["volumes"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

/// Of the vault `daily`.
fn policies(server: &Server) {
    let pattern = "FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00";
    let made = server.verb(&[
        "policy",
        "create",
        "--name",
        "nightly",
        "--pattern",
        pattern,
        "--max-backups",
        "7",
    ]);
    assert_eq!(
        made["policy"]["trigger"]["properties"]["pattern"][0],
        pattern
    );
    server.verb(&["vault", "associate", "daily", "nightly"]);
    let shown = server.verb(&["policy", "show", "nightly"]);
    let vaults = shown["policy"]["associated_vaults"].as_array().unwrap();
    assert_eq!(vaults.len(), 1);
    let updated = server.verb(&[
        "policy",
        "update",
        "nightly",
        "--retention-days",
        "30",
        "--enabled",
        "false",
    ]);
    let definition = &updated["policy"]["operation_definition"];
    assert_eq!(definition["retention_duration_days"], 30);
    assert!(definition["max_backups"].is_null());
    server.verb(&["vault", "dissociate", "daily", "nightly"]);
    assert_eq!(
        server.verb(&["policy", "list"])["policies"][0]["associated_vaults"],
        serde_json::json!([])
    );
    server.verb(&["policy", "delete", "nightly"]);
    assert_eq!(server.verb(&["policy", "list"])["count"], 0);
}

fn organization_policies(server: &Server) {
    let second = server.verb(&["project", "create", "--name", "second"]);
    let second = second["project"]["id"].as_str().unwrap();
    let copies = || server.verb(&["organization-policy", "status", "all-nightly"]);
    let made = server.verb(&[
        "organization-policy",
        "create",
        "--name",
        "all-nightly",
        "--policy-name",
        "nightly",
        "--pattern",
        "FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00",
        "--max-backups",
        "7",
        "--disabled",
        "--wait",
    ]);
    assert_eq!(made["policy"]["status"], "available");
    assert_eq!(copies()["count"], 2);
    let own = server.verb(&["policy", "show", "nightly"]);
    assert_eq!(own["policy"]["policy_type"], "organization_policy_v1");
    assert_eq!(own["policy"]["operation_definition"]["max_backups"], 7);

    server.verb(&[
        "organization-policy",
        "update",
        "all-nightly",
        "--scope",
        second,
        "--retention-days",
        "30",
        "--wait",
    ]);
    let left = copies();
    assert_eq!(left["policies"][0]["project_id"], second);
    assert_eq!(left["count"], 1);
    assert_eq!(server.verb(&["policy", "list"])["count"], 0);
    let shown = server.verb(&["organization-policy", "show", "all-nightly"]);
    let definition = &shown["policy"]["policy_operation_definition"];
    assert_eq!(definition["retention_duration_days"], 30);

    server.verb(&["organization-policy", "delete", "all-nightly", "--wait"]);
    assert_eq!(server.verb(&["organization-policy", "list"])["count"], 0);
}

#[test]
fn users_get_the_rights_of_their_role_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let password = folder.path().join("password");
    std::fs::write(&password, "correct horse battery\n").unwrap();
    let project = server.credentials()["project_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let user = server.verb(&[
        "user",
        "create",
        "--name",
        "eve",
        "--project",
        &project,
        "--role",
        "reader",
        "--password-file",
        disks::text(&password),
    ]);
    let user = user["user"]["id"].as_str().unwrap().to_owned();
    let key = server.verb(&["access-key", "create", &user])["access_key"].clone();

    let mut credentials = server.credentials();
    credentials["access_key"] = key["access_key"].clone();
    credentials["secret_key"] = key["secret_key"].clone();
    let file = folder.path().join("eve.json");
    std::fs::write(&file, credentials.to_string()).unwrap();
    let as_eve = |arguments: &[&str]| {
        let mut command = std::process::Command::new(BINARY);
        let output = command
            .args(arguments)
            .args(["-o", "json", "--credentials", disks::text(&file)])
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(as_eve(&["vault", "list"]).0, Some(0));
    let (code, text) = as_eve(&[
        "vault",
        "create",
        "--name",
        "x",
        "--object-type",
        "disk",
        "--size",
        "10",
    ]);
    assert_eq!(code, Some(1));
    assert!(text.contains("HTTP 403"), "{text}");
    assert!(as_eve(&["volume", "list"]).1.contains("HTTP 403"));
}

#[test]
fn the_demonstration_runs_by_itself() {
    let output = std::process::Command::new(BINARY)
        .arg("demo")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.ends_with("The disks came back byte for byte.\n"),
        "{text}"
    );
}

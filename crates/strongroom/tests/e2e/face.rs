//! What an operator meets: start, stop, files, and one sentence for each thing that is wrong.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

use crate::server::{BINARY, Server};

fn serve(data_dir: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(["serve", "--data-dir"])
        .arg(data_dir)
        .args(["--listen", "127.0.0.1:0"]);
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// The start is refused in one sentence that says this.
fn assert_refused(output: &Output, expected: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(expected), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(BINARY)
        .args(["repo", "init", "repo", "--key-file", "key"])
        .current_dir(folder.path())
        .stdout(writer)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), text.as_ref()), (Some(0), ""));
}

#[test]
fn the_first_start_writes_credentials_that_only_the_owner_reads() {
    let server = Server::start();
    let mode = std::fs::metadata(server.credentials_path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let credentials = server.credentials();
    let mut keys: Vec<&str> = credentials
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    let expected = "access_key domain_id domain_name endpoint password project_id project_name region secret_key user_id user_name";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(
        credentials["endpoint"],
        Value::from(server.endpoint.as_str())
    );
    for file in ["installation.key", "credentials.json"] {
        let mode = std::fs::metadata(server.data_dir().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = Server::start_in(&data_dir);
    let api = crate::api::Api::sign_in(&server).await;
    let vault = api.make_vault("disk", &[]).await;
    let credentials = server.credentials();
    assert!(server.stop().success());
    let server = Server::start_in(&data_dir);
    assert_eq!(
        server.credentials()["secret_key"],
        credentials["secret_key"]
    );
    let (status, answer) = api.at(&server).get(&format!("/vaults/{vault}")).await;
    assert_eq!(
        status, 200,
        "the token and the vault are still good: {answer}"
    );
}

#[tokio::test]
async fn health_metrics_and_the_openapi_document_need_no_credentials() {
    let server = Server::start();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", server.endpoint))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/healthz").await.0, 200);
    let (status, document) = get("/openapi.json").await;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(status, 200);
    assert!(document["paths"].as_object().unwrap().len() > 15);
    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("# TYPE"), "{metrics}");
}

#[test]
fn a_data_directory_serves_one_process() {
    let server = Server::start();
    assert_refused(
        &serve(server.data_dir(), &[], &[]),
        "is in use by another process (pid ",
    );
}

#[test]
fn a_port_serves_one_process() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let address = server.endpoint.strip_prefix("http://").unwrap();
    let mut command = Command::new(BINARY);
    let output = command
        .args(["serve", "--listen", address, "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert_refused(&output, "another process listens on 127.0.0.1:");
}

#[test]
fn a_newer_data_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("VERSION"), "2\n").unwrap();
    assert_refused(
        &serve(folder.path(), &[], &[]),
        "was written by a newer strongroom",
    );
}

#[test]
fn an_installation_that_lost_its_database_or_its_key_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = Server::start_in(&data_dir);
    server.stop();
    let project = server.credentials()["project_id"].clone();
    for lost in ["strongroom.db", "installation.key"] {
        let (file, aside) = (data_dir.join(lost), data_dir.join("aside"));
        std::fs::rename(&file, &aside).unwrap();
        assert_refused(&serve(&data_dir, &[], &[]), &format!("{lost} is gone"));
        std::fs::rename(&aside, &file).unwrap();
    }
    let server = Server::start_in(&data_dir);
    assert_eq!(server.credentials()["project_id"], project);
}

#[test]
fn what_the_server_makes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    // Made by somebody who lets others in.
    let data_dir = folder.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    std::fs::set_permissions(&data_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _server = Server::start_in(&data_dir);
    for entry in std::fs::read_dir(&data_dir).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.path());
    }
}

#[test]
fn wrong_settings_are_named_wherever_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let file = folder.path().join("config.toml");
    let with_file = |content: &str| {
        std::fs::write(&file, content).unwrap();
        serve(&data_dir, &["--config", file.to_str().unwrap()], &[])
    };
    assert_refused(&with_file("colour = 1\n"), "colour");
    assert_refused(&with_file("[worker]\nthreads = 1\n"), "threads");
    assert_refused(
        &with_file("[worker]\njobs_at_once = 0\n"),
        "`worker.jobs_at_once` must be between",
    );
    assert_refused(
        &with_file("[worker]\ncollect_mib_per_second = 0\n"),
        "`worker.collect_mib_per_second` must be at least 1",
    );
    assert_refused(&with_file("region = 5\n"), "`region`");
    assert_refused(&with_file("= 1\n"), "configuration is wrong");
    assert_refused(
        &serve(&data_dir, &[], &[("STRONGROOM__COLOUR", "red")]),
        "colour",
    );
    assert_refused(
        &serve(
            &data_dir,
            &[],
            &[("STRONGROOM__DATABASE__ADDRESS", "mysql:x")],
        ),
        "mysql:x",
    );
    assert_refused(
        &serve(&data_dir, &["--config", "/does/not/exist"], &[]),
        "/does/not/exist does not exist",
    );
    assert_refused(
        &serve(std::path::Path::new("/proc/nothing"), &[], &[]),
        "cannot be made",
    );
}

#[test]
fn flags_outrank_the_environment_which_outranks_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "region = \"from-file\"\nlisten = \"127.0.0.1:1\"\n").unwrap();
    let start = |name: &str, environment: &[(&str, &str)]| {
        let mut command = Command::new(BINARY);
        command.envs(environment.iter().copied());
        // The fixture's own flag `--listen` is what keeps the server off port 1.
        Server::start_with(
            command,
            &folder.path().join(name),
            &["--config", file.to_str().unwrap()],
        )
    };
    assert_eq!(start("a", &[]).credentials()["region"], "from-file");
    let server = start("b", &[("STRONGROOM__REGION", "from-environment")]);
    assert_eq!(server.credentials()["region"], "from-environment");
}

#[test]
fn usage_errors_exit_with_2_and_client_errors_with_1() {
    let code = |arguments: &[&str]| {
        Command::new(BINARY)
            .args(arguments)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(code(&["backup", "fly"]), Some(2));
    assert_eq!(
        code(&["vault", "list", "--credentials", "/does/not/exist"]),
        Some(1)
    );
}

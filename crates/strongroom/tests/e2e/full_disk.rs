//! A storage that runs full during a backup: a clear failure, nothing acknowledged is lost, and room heals it.

use std::path::Path;
use std::process::Command;

use crate::api::Api;
use crate::disks;
use crate::server::{BINARY, Server};

/// A command that runs the server with a file system of `size` mounted at `folder`, seen by it alone.
fn in_small_file_system(folder: &Path, size: &str) -> Command {
    let mut command = shell_in_small_file_system(folder, size, "exec \"$@\"");
    command.arg(BINARY);
    command
}

/// A command that runs `script` there; what is appended are its arguments.
fn shell_in_small_file_system(folder: &Path, size: &str, script: &str) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    // Where the root is no mount point (a chroot), unshare cannot make it private by itself.
    let mount = format!(
        "mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size={size} tmpfs '{}' && {script}",
        folder.display()
    );
    command.args(["--mount", "--propagation", "unchanged"]);
    command.args(["sh", "-c", &mount, "sh"]);
    command
}

/// With room for one config and none for its copy.
#[test]
fn the_only_key_of_a_repository_is_kept_although_its_making_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let repository = path("repository");
    std::fs::create_dir(&repository).unwrap();
    std::fs::create_dir(path("copy")).unwrap();
    let script = "{ \"$1\" repo init \"$2\" --key-file \"$3\"; cp \"$2\"/config \"$4\"; }";
    let output = shell_in_small_file_system(&repository, "4k", script)
        .arg(BINARY)
        .args([&repository, &path("key"), &path("copy")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("keep"), "{said}");
    let listed = Command::new(BINARY)
        .args(["repo", "list"])
        .arg(path("copy"))
        .arg("--key-file")
        .arg(path("key"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "{said}");
}

#[tokio::test]
async fn a_full_storage_fails_the_backup_and_spares_the_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("installation");
    std::fs::create_dir(&data_dir).unwrap();
    let server = Server::start_by(in_small_file_system(&data_dir, "48m"), &data_dir);
    // The credentials lie inside the small file system, which only the server sees.
    let credentials = disks::run(
        "cat",
        &[&format!(
            "/proc/{}/root{}",
            server.pid(),
            data_dir.join("credentials.json").display()
        )],
    );
    std::fs::write(data_dir.join("credentials.json"), credentials).unwrap();
    let api = Api::sign_in(&server).await;
    let volume = |name: &str, size: usize, seed: u64| {
        let path = folder.path().join(name);
        disks::random(&path, size, seed);
        let answer = server.verb(&[
            "volume",
            "add",
            "--name",
            name,
            "--path",
            disks::text(&path),
        ]);
        (answer["volume"]["id"].as_str().unwrap().to_owned(), path)
    };
    let (small, small_file) = volume("small", 4 << 20, 1);
    let (large, _) = volume("large", 96 << 20, 2);
    let vault = api.make_vault("disk", &[&small]).await;
    let backup = api.back_up(&vault).await;
    let full = api.make_vault("disk", &[&large]).await;

    let checkpoint = api.start_checkpoint(&full).await;
    assert_eq!(api.wait_for_checkpoint(&checkpoint).await, "error");
    assert_eq!(api.only_backup_of(&checkpoint).await["status"], "error");
    let (_, logs) = api.get("/operation-logs?status=failed").await;
    let message = logs["operation_logs"][0]["error_info"]["message"]
        .as_str()
        .unwrap();
    assert!(message.contains("full"), "{logs}");

    let before = disks::hash(&small_file);
    disks::damage_raw(&small_file);
    let body = serde_json::json!({ "restore": { "volume_id": small } });
    let (status, answer) = api.post(&format!("/backups/{backup}/restore"), body).await;
    assert_eq!(status, 202, "{answer}");
    let task = api.wait_for_task(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(task["status"], "success", "{task}");
    assert_eq!(disks::hash(&small_file), before);
}

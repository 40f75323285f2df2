//! The disks of a backup as files, read by whatever reads files.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::api::Api;
use crate::disks::{self, flattened, run, text};
use crate::live::until;
use crate::server::{BINARY, Server};

/// A running `strongroom backup mount`.
struct Mount {
    process: Child,
    /// What it said when the files were there.
    told: Value,
    _output: BufReader<ChildStdout>,
}

impl Mount {
    fn start(server: &Server, backup: &str, folder: &Path) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["backup", "mount", backup]).arg(folder);
        command
            .args(["-o", "json", "--credentials"])
            .arg(server.credentials_path());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Self {
            process,
            told: serde_json::from_str(&line).unwrap(),
            _output: output,
        }
    }

    fn terminate(mut self) -> ExitStatus {
        signal(self.process.id(), Signal::SIGTERM);
        self.process.wait().unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            signal(self.process.id(), Signal::SIGTERM);
            self.process.wait().unwrap();
        }
    }
}

fn signal(process: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(process).unwrap()), signal).unwrap();
}

/// A server with two disks, and what they hold.
async fn back_up(server: &Server, api: &Api, folder: &Path) -> (String, [Vec<u8>; 2]) {
    let others = folder.join("others");
    fs::create_dir(&others).unwrap();
    let (system, data) = (folder.join("disk.qcow2"), others.join("disk.raw"));
    let raw = folder.join("raw");
    disks::random(&raw, (5 << 20) + 512, 1);
    disks::to_qcow2(&raw, &system);
    disks::random(&data, 20 << 20, 2);
    let added = server.add_server("web", &[&system, &data]);
    let id = added["id"].as_str().unwrap();
    let vault = api.make_vault("server", &[id]).await;
    let bytes = [flattened(&system, "qcow2"), data].map(|disk| fs::read(disk).unwrap());
    (api.back_up(&vault).await, bytes)
}

fn attached(server: &Server) -> Value {
    server.verb(&["backup", "attachments"])["count"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disks_of_a_backup_are_files_until_they_are_unmounted() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let server = Server::start_in(&data_dir);
    let api = Api::sign_in(&server).await;
    let (backup, disks) = back_up(&server, &api, folder.path()).await;
    let look = folder.path().join("look");
    fs::create_dir(&look).unwrap();

    let mount = Mount::start(&server, &backup, &look);
    let files = mount.told["files"].as_array().unwrap();
    let files: Vec<_> = files
        .iter()
        .map(|file| file["file"].as_str().unwrap())
        .collect();
    let mut listed: Vec<_> = fs::read_dir(&look)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    listed.sort();
    let mut named: Vec<_> = files.iter().map(Path::new).collect();
    named.sort();
    assert_eq!(listed, named);
    let opened = File::open(files[0]).unwrap();
    assert_eq!(opened.metadata().unwrap().len(), disks[0].len() as u64);
    assert!(fs::read(files[0]).unwrap() == disks[0]);
    let mut end = [0; 1000];
    assert_eq!(
        opened
            .read_at(&mut end, disks[0].len() as u64 - 10)
            .unwrap(),
        10
    );
    assert!(File::options().write(true).open(files[0]).is_err());
    assert!(fs::write(look.join("new"), "").is_err() && fs::remove_file(files[1]).is_err());
    assert_eq!(attached(&server), 1);
    drop(opened);

    // What was not read yet comes from the next service.
    let address = server.endpoint.strip_prefix("http://").unwrap().to_owned();
    server.kill();
    let file = files[1].to_owned();
    let reading = tokio::task::spawn_blocking(move || fs::read(file).unwrap());
    let server = Server::start_at(Command::new(BINARY), &address, &data_dir, &[]);
    assert!(reading.await.unwrap() == disks[1]);

    // Even if somebody has a file open.
    let kept = File::open(files[0]).unwrap();
    assert!(mount.terminate().success());
    assert_eq!(fs::read_dir(&look).unwrap().count(), 0);
    assert_eq!(attached(&server), 0);
    drop(kept);

    let mut mount = Mount::start(&server, &backup, &look);
    assert!(fs::read(mount.told["files"][0]["file"].as_str().unwrap()).unwrap() == disks[0]);
    run("fusermount3", &["-u", text(&look)]);
    assert!(mount.process.wait().unwrap().success());
    assert_eq!(attached(&server), 0);
    assert_eq!(
        api.at(&server).delete(&format!("/backups/{backup}")).await,
        (204, json!(""))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_mount_whose_service_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(&folder.path().join("data"));
    let api = Api::sign_in(&server).await;
    let (backup, _) = back_up(&server, &api, folder.path()).await;
    let look = folder.path().join("look");
    fs::create_dir(&look).unwrap();
    let mut mount = Mount::start(&server, &backup, &look);
    signal(server.pid(), Signal::SIGSTOP);
    signal(mount.process.id(), Signal::SIGINT);
    let is_empty = || fs::read_dir(&look).is_ok_and(|mut entries| entries.next().is_none());
    until("it is unmounted", is_empty).await;
    signal(mount.process.id(), Signal::SIGINT);
    let ended = tokio::task::spawn_blocking(move || mount.process.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(1));
    signal(server.pid(), Signal::SIGCONT);
}

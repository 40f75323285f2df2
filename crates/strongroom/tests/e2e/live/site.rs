//! A server that runs, and one that is off, onto whose disks its backups are restored.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_testkit::{QemuMachine, check_guest_disks};

use crate::api::Api;
use crate::clients::walk;
use crate::disks::text;
use crate::server::Server;

const PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 2400;
/// Images that are restored to.
const TARGETS: [&str; 2] = ["restored0.raw", "restored1.raw"];

/// The server `web` that runs, and another one that is off, onto whose disks backups are restored.
pub(super) struct Site {
    pub(super) api: Api,
    folder: PathBuf,
    pub(super) web: String,
    pub(super) web_disks: Vec<String>,
    copy: String,
    copy_disks: Vec<String>,
}

impl Site {
    /// `machine` says how it is asked, in the words of `server add`, and `disks` which files in the folder it has.
    pub(super) fn new(
        server: &Server,
        api: Api,
        folder: &Path,
        machine: &[&str],
        disks: [&str; 2],
    ) -> Self {
        let place = |name: &str| text(&folder.join(name)).to_owned();
        let disks = disks.map(place);
        let mut web = vec!["server", "add", "--name", "web"];
        web.extend(machine);
        let (web, web_disks) = add(server, web, &disks);
        let targets = TARGETS.map(place);
        for target in &targets {
            make_image(Path::new(target));
        }
        let (copy, copy_disks) = add(server, vec!["server", "add", "--name", "copy"], &targets);
        Self {
            api,
            folder: folder.to_owned(),
            web,
            web_disks,
            copy,
            copy_disks,
        }
    }

    /// The server's state as the API shows it, and whether it can be protected.
    pub(super) async fn state(&self) -> (String, bool) {
        let path = format!("/protectables/server/instances/{}", self.web);
        let (_, answer) = self.api.get(&path).await;
        let server = &answer["instance"];
        let status = server["status"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        let protectable = server["protectable"]["result"] == true;
        (status.to_owned(), protectable)
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.api.try_call(Method::PUT, path, Some(body)).await;
        answer.unwrap()
    }

    /// As the official SDK has it done.
    pub(super) async fn back_up(&self, server: &Server, vault: &str) -> Value {
        let arguments = ["--vault", vault, "--server", &self.web];
        let said = walk(server, "sdk_backup.py", &arguments);
        let id = said.trim_end().lines().rev().nth(1);
        self.backup(id.unwrap()).await
    }

    /// How much was read of all disks for the backup, as its task says.
    pub(super) async fn read_for(&self, backup: &Value) -> u64 {
        let (_, answer) = self.api.get("/operation-logs?operation_type=backup").await;
        let tasks = answer["operation_logs"].as_array().unwrap();
        let tasks = tasks.iter().map(|task| &task["extra_info"]["backup"]);
        let mut of_backup = tasks.filter(|task| task["backup_id"] == backup["id"]);
        let disks = of_backup.next().unwrap()["disks"].as_array().unwrap();
        for disk in disks {
            assert_eq!(disk.get("whole_because"), None, "{disk}");
        }
        disks
            .iter()
            .map(|disk| disk["read_bytes"].as_u64().unwrap())
            .sum()
    }

    pub(super) async fn backup(&self, id: &str) -> Value {
        let (_, answer) = self.api.get(&format!("/backups/{id}")).await;
        answer["backup"].clone()
    }

    pub(super) fn restore_of(&self, backup: &Value, server: &str, disks: &[String]) -> Value {
        let children = backup["children"].as_array().unwrap();
        let child_of = |volume: &String| {
            let child = children
                .iter()
                .find(|child| child["resource_id"] == *volume);
            child.unwrap()["id"].clone()
        };
        let mappings = self.web_disks.iter().zip(disks);
        let mappings: Vec<_> = mappings
            .map(|(from, to)| json!({"backup_id": child_of(from), "volume_id": to}))
            .collect();
        json!({"restore": {"server_id": server, "power_on": false, "mappings": mappings}})
    }

    /// Restores the backup to new images and checks the file systems, which may need a repair that ends so, and each file. Returns the
    /// highest number of a file.
    pub(super) async fn check(&self, backup: &Value, repair: &[i32]) -> u32 {
        for disk in TARGETS {
            make_image(&self.folder.join(disk));
        }
        let body = self.restore_of(backup, &self.copy, &self.copy_disks);
        let path = format!("/backups/{}/restore", backup["id"].as_str().unwrap());
        let (status, answer) = self.api.post(&path, body).await;
        assert_eq!(status, 202, "{answer}");
        let task = self.api.wait_for_task(answer["job_id"].as_str().unwrap());
        assert_eq!(task.await["status"], "success");
        let images = TARGETS.map(|disk| self.folder.join(disk));
        check_guest_disks(&self.folder, &images, repair)
    }

    pub(super) async fn wait_until_written(&self, files: u32) {
        wait_until_written(&self.folder, files).await;
    }
}

fn make_image(place: &Path) {
    let file = fs::File::create(place).unwrap();
    file.set_len(QemuMachine::LINUX_DISK_SIZE).unwrap();
}

/// A guest whose console is a file of this folder has made so many files durable, in steps of twenty.
pub(crate) async fn wait_until_written(folder: &Path, files: u32) {
    let console = folder.join("console");
    let words = format!("GUEST wrote {files}\r");
    let said = || fs::read_to_string(&console).unwrap_or_default();
    until(&words, || said().contains(&words)).await;
}

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..ATTEMPTS {
        if is_so() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("it did not come to this: {what}");
}

/// The server's id, and those of its disks.
fn add<'a>(server: &Server, mut words: Vec<&'a str>, disks: &'a [String]) -> (String, Vec<String>) {
    words.extend(disks.iter().flat_map(|disk| ["--disk", disk.as_str()]));
    let answer = server.verb(&words);
    let id = |thing: &Value| thing["id"].as_str().unwrap().to_owned();
    let server = &answer["server"];
    let volumes = server["volumes"].as_array();
    let volumes = volumes.unwrap_or_else(|| panic!("{answer}"));
    (id(server), volumes.iter().map(id).collect())
}

/// Whether it was asked for, and whether it was so.
pub(super) fn consistency(backup: &Value) -> (&str, &str) {
    let said = &backup["extend_info"]["app_consistency"];
    let word = |key: &str| said[key].as_str().unwrap();
    (word("app_consistency"), word("app_consistency_status"))
}

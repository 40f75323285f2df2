//! Copies between two installations on this host, both ways, through kills of either.

use std::collections::HashSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, refusal};
use crate::disks;
use crate::server::{BINARY, Server, free_port};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";
const STRETCH: usize = 16 << 20;
const BLOCK: usize = 64 << 10;
const KILLS: u64 = 20;

/// One installation of the pair.
pub(crate) struct Site {
    region: &'static str,
    pub(crate) folder: PathBuf,
    port: u16,
    server: Option<Server>,
    api: Option<Api>,
}

impl Site {
    fn new(folder: &Path, region: &'static str) -> Self {
        let folder = folder.join(region);
        std::fs::create_dir(&folder).unwrap();
        Self {
            region,
            folder,
            port: free_port(),
            server: None,
            api: None,
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    async fn start(&mut self) {
        let (address, data_dir) = (format!("127.0.0.1:{}", self.port), self.folder.join("data"));
        let config = self.config();
        let flags = ["--config", disks::text(&config)];
        let server = Server::start_at(Command::new(BINARY), &address, &data_dir, &flags);
        self.api = Some(match self.api.take() {
            Some(api) => api.at(&server),
            None => Api::sign_in(&server).await,
        });
        self.server = Some(server);
    }

    fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    pub(crate) fn api(&self) -> &Api {
        self.api.as_ref().unwrap()
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn write_config(&self, peer: Option<&Site>) {
        let region = format!("region = \"{}\"\n", self.region);
        let peer = peer.map(|peer| self.peer_section(peer)).unwrap_or_default();
        std::fs::write(self.config(), region + &peer).unwrap();
    }

    fn peer_section(&self, peer: &Site) -> String {
        let token = self.folder.join("token");
        write_private(&token, TOKEN);
        format!(
            "[[peers]]\nregion = \"{}\"\nendpoint = \"http://127.0.0.1:{}\"\ntoken_file = \"{}\"\n\
             [[peers.projects]]\nhere = \"{}\"\nthere = \"{}\"\n",
            peer.region,
            peer.port,
            token.display(),
            self.api().project,
            peer.api().project
        )
    }

    /// Starts once more, with what the other one writes as a storage unit.
    pub(crate) async fn restart_with_unit(&mut self, name: &str, writer: &Site) {
        let project = &writer.api().project;
        let data_dir = writer.server().data_dir();
        let mut text = std::fs::read_to_string(self.config()).unwrap();
        let unit = format!(
            "[[storage_units]]\nname = \"{name}\"\nproject = \"{}\"\nplace = \"{}\"\nkey_file = \"{}\"\n",
            self.api().project,
            data_dir.join("repositories").join(project).display(),
            data_dir
                .join("keys")
                .join(format!("{project}.key"))
                .display()
        );
        text += &unit;
        std::fs::write(self.config(), text).unwrap();
        self.kill();
        self.start().await;
    }

    /// A server with these disks in a vault: the vault's id.
    async fn protect(&self, disks: &[&Path]) -> String {
        let mut arguments = vec!["server", "add", "--name", "web"];
        for disk in disks {
            arguments.extend(["--disk", disks::text(disk)]);
        }
        let added = self.server().verb(&arguments);
        let id = added["server"]["id"].as_str().unwrap();
        self.api().make_vault("server", &[id]).await
    }

    async fn replication_vault(&self) -> String {
        let billing = json!({ "consistent_level": "crash_consistent", "object_type": "server", "protect_type": "replication", "size": 100 });
        let body = json!({ "vault": { "name": "copies", "billing": billing, "resources": [] } });
        let (status, answer) = self.api().post("/vaults", body).await;
        assert_eq!(status, 200, "{answer}");
        answer["vault"]["id"].as_str().unwrap().to_owned()
    }

    /// Writes the disk of this replica that is the system disk, or the other one, onto a new volume; what is there then.
    async fn restored(&self, replica: &str, is_system: bool, size: usize) -> blake3::Hash {
        let (_, answer) = self.api().get(&format!("/backups/{replica}")).await;
        let children = answer["backup"]["children"].as_array().unwrap().clone();
        let child = children
            .iter()
            .find(|child| child["extend_info"]["bootable"] == json!(is_system))
            .unwrap_or_else(|| panic!("{answer}"));
        let file = self.folder.join(format!("target-{replica}-{is_system}"));
        std::fs::write(&file, vec![0x5a; size]).unwrap();
        let arguments = [
            "volume",
            "add",
            "--name",
            "target",
            "--path",
            disks::text(&file),
        ];
        let volume = self.server().verb(&arguments);
        let body = json!({ "restore": { "volume_id": volume["volume"]["id"] } });
        let path = format!("/backups/{}/restore", child["id"].as_str().unwrap());
        let (status, answer) = self.api().post(&path, body).await;
        assert_eq!(status, 202, "{answer}");
        let task = self
            .api()
            .wait_for_task(answer["job_id"].as_str().unwrap())
            .await;
        assert_eq!(task["status"], "success", "{task}");
        disks::hash(&file)
    }

    /// Waits until a backup's copy has ended; its record.
    async fn wait_for_copy(&self, backup: &str) -> Value {
        let path = format!("/backups/{backup}");
        self.api()
            .wait_for(&path, |status, answer| {
                assert_eq!(status, 200, "{answer}");
                let record = answer["backup"]["replication_records"]
                    .as_array()?
                    .last()?
                    .clone();
                let ended = ["success", "fail", "skip"]
                    .iter()
                    .any(|word| record["status"] == *word);
                ended.then_some(record)
            })
            .await
    }

    /// Bytes of blocks that this site has received and kept, over all its processes.
    fn received(&self) -> usize {
        let log = self.server().log();
        let lines = log
            .lines()
            .filter(|line| line.contains("a stretch was received"));
        let bytes = lines.map(|line| {
            let plain: String = strip_colours(line);
            let value = plain.split("bytes=").nth(1).unwrap().to_owned();
            let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().unwrap()
        });
        bytes.sum()
    }
}

fn strip_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().take_while(|c| *c != 'm').for_each(drop);
        } else {
            plain.push(c);
        }
    }
    plain
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Two installations that know each other.
pub(crate) async fn pair(folder: &Path) -> (Site, Site) {
    let (mut here, mut there) = (Site::new(folder, "here"), Site::new(folder, "there"));
    for site in [&mut here, &mut there] {
        site.write_config(None);
        site.start().await;
        site.kill();
    }
    here.write_config(Some(&there));
    there.write_config(Some(&here));
    here.start().await;
    there.start().await;
    (here, there)
}

fn destination(of: &Site, vault: &str) -> Value {
    json!({ "destination_region": of.region, "destination_project_id": of.api().project, "destination_vault_id": vault })
}

async fn copy(from: &Site, backup: &str, to: &Site, vault: &str) -> (u16, Value) {
    let body = json!({ "replicate": destination(to, vault) });
    from.api()
        .post(&format!("/backups/{backup}/replicate"), body)
        .await
}

/// What has to be sent of a disk whose destination has the other version: the blocks that the same stretch has not.
fn lacking(before: &[u8], now: &[u8]) -> usize {
    let mut bytes = 0;
    for (number, stretch) in now.chunks(STRETCH).enumerate() {
        let begin = (number * STRETCH).min(before.len());
        let end = (begin + STRETCH).min(before.len());
        let mut known: HashSet<&[u8]> = before[begin..end].chunks(BLOCK).collect();
        for block in stretch.chunks(BLOCK) {
            let is_zero = block.iter().all(|byte| *byte == 0);
            if !is_zero && known.insert(block) {
                bytes += block.len();
            }
        }
    }
    bytes
}

/// Both sides have a task that tells the copy.
async fn both_tell_it(from: &Site, to: &Site, backup: &str, replica: &str) {
    for site in [from, to] {
        let (_, tasks) = site
            .api()
            .get("/operation-logs?operation_type=replication")
            .await;
        let task = &tasks["operation_logs"][0];
        assert_eq!(task["status"], "success", "{task}");
        let told = &task["extra_info"]["replication"];
        assert_eq!(
            (&told["source_backup_id"], &told["destination_backup_id"]),
            (&json!(backup), &json!(replica))
        );
    }
}

/// Changes a disk, copies its server's new backup, and counts what was sent.
async fn only_changes_go(
    from: &Site,
    to: &Site,
    vault: &str,
    copies: &str,
    system: &Path,
    seed: u64,
) {
    let before = (std::fs::read(system).unwrap(), to.received());
    disks::change(system, seed);
    let backup = from.api().back_up(vault).await;
    let body = json!({ "replicate": { "vault_id": vault, "destination_region": to.region, "destination_project_id": to.api().project, "destination_vault_id": copies } });
    let (status, answer) = from
        .api()
        .post("/checkpoints/replicate", body.clone())
        .await;
    assert_eq!(
        (status, &answer["replication"]["backups"][0]["backup_id"]),
        (200, &json!(backup)),
        "{answer}"
    );
    let record = from.wait_for_copy(&backup).await;
    assert_eq!(record["status"], "success", "{record}");
    assert_eq!(
        to.received() - before.1,
        lacking(&before.0, &std::fs::read(system).unwrap())
    );
    let replica = record["destination_backup_id"].as_str().unwrap();
    assert_eq!(
        to.restored(replica, true, (18 << 20) + 4096).await,
        disks::hash(system)
    );
    let none = from.api().post("/checkpoints/replicate", body).await;
    assert_eq!(refusal(&none), (400, "BackupService.0001"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_go_both_ways_and_come_back_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = pair(folder.path()).await;
    for (from, to, seed) in [(&here, &there, 1), (&there, &here, 2)] {
        let (system, data) = (from.folder.join("system.raw"), from.folder.join("data.raw"));
        disks::random(&system, (18 << 20) + 4096, seed);
        disks::random(&data, 3 << 20, seed + 10);
        let vault = from.protect(&[&system, &data]).await;
        let copies = to.replication_vault().await;
        let backup = from.api().back_up(&vault).await;

        let project = &to.api().project;
        let verb = [
            "backup",
            "replicate",
            &backup,
            "--region",
            to.region,
            "--project",
            project,
            "--vault",
            &copies,
        ];
        let answer = from.server().verb(&verb);
        assert_eq!(answer["replication"]["source_region"], from.region);
        assert_eq!(
            refusal(&copy(from, &backup, to, &copies).await),
            (400, "BackupService.1009")
        );
        let record = from.wait_for_copy(&backup).await;
        assert_eq!(
            (&record["status"], &record["extra_info"]["progress"]),
            (&json!("success"), &json!(100)),
            "{record}"
        );
        let replica = record["destination_backup_id"].as_str().unwrap();
        let (_, shown) = to.api().get(&format!("/backups/{replica}")).await;
        let shown = &shown["backup"];
        assert_eq!(
            (&shown["image_type"], &shown["status"]),
            (&json!("replication"), &json!("available")),
            "{shown}"
        );
        assert_eq!(shown["vault_id"], json!(copies));
        assert_eq!(
            to.restored(replica, true, (18 << 20) + 4096).await,
            disks::hash(&system)
        );
        assert_eq!(
            to.restored(replica, false, 3 << 20).await,
            disks::hash(&data)
        );
        assert_eq!(
            refusal(&copy(to, replica, from, &vault).await),
            (400, "BackupService.1002")
        );

        both_tell_it(from, to, &backup, replica).await;
        only_changes_go(from, to, &vault, &copies, &system, seed).await;
    }
    here.server().repositories_are_clean();
    there.server().repositories_are_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tenant_may_not_copy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = pair(folder.path()).await;
    let disk = here.folder.join("disk.raw");
    disks::random(&disk, 1 << 20, 3);
    let vault = here.protect(&[&disk]).await;
    let backup = here.api().back_up(&vault).await;
    let copies = there.replication_vault().await;
    let plain = there.api().make_vault("server", &[]).await;

    let (_, capabilities) = here.api().get("/replication-capabilities").await;
    assert_eq!(
        capabilities,
        json!({ "regions": [{ "name": "here", "replication_destinations": ["there"] }] })
    );
    let listed = here.server().verb(&["peer", "list"]);
    assert_eq!(listed, json!({ "peers": [{ "region": "there" }] }));
    for spelling in ["object_type", "objcet_type"] {
        let path = format!(
            "/vaults/external?region_id=there&external_project_id={}&protect_type=replication&{spelling}=server",
            there.api().project
        );
        let (_, listed) = here.api().get(&path).await;
        assert_eq!(
            (&listed["count"], &listed["vaults"][0]["id"]),
            (&json!(1), &json!(copies)),
            "{listed}"
        );
    }
    let path = format!(
        "/vaults/external?region_id=elsewhere&external_project_id={}",
        there.api().project
    );
    assert_eq!(
        refusal(&here.api().get(&path).await),
        (400, "BackupService.1005")
    );
    let path = format!(
        "/vaults/external?region_id=there&external_project_id={}",
        here.api().project
    );
    assert_eq!(here.api().get(&path).await.1["count"], 0);

    assert_eq!(
        refusal(&copy(&here, &backup, &there, &plain).await),
        (400, "BackupService.6119")
    );
    assert_eq!(
        refusal(&copy(&here, &backup, &there, &vault).await),
        (400, "BackupService.6120")
    );
    let elsewhere = json!({ "replicate": { "destination_region": "elsewhere", "destination_project_id": there.api().project, "destination_vault_id": copies } });
    let answer = here
        .api()
        .post(&format!("/backups/{backup}/replicate"), elsewhere)
        .await;
    assert_eq!(refusal(&answer), (400, "BackupService.1005"));
    let foreign = json!({ "replicate": { "destination_region": "there", "destination_project_id": here.api().project, "destination_vault_id": copies } });
    let answer = here
        .api()
        .post(&format!("/backups/{backup}/replicate"), foreign)
        .await;
    assert_eq!(refusal(&answer), (400, "BackupService.1011"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_a_region_without_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let (_here, there) = pair(folder.path()).await;
    let http = reqwest::Client::new();
    let url = format!(
        "{}/strongroom/v1/replication/vaults?project_id={}",
        there.server().endpoint,
        there.api().project
    );
    for (region, token, status) in [
        ("here", TOKEN, 200),
        ("here", "guess", 401),
        ("elsewhere", TOKEN, 401),
    ] {
        let request = http
            .get(&url)
            .header("x-strongroom-peer", region)
            .header("x-strongroom-peer-token", token);
        assert_eq!(
            request.send().await.unwrap().status().as_u16(),
            status,
            "{region}"
        );
    }
    assert_eq!(http.get(&url).send().await.unwrap().status().as_u16(), 401);
}

/// The moment of the n-th kill: spread over the time that a copy takes, the same every run.
fn moment(n: u64) -> Duration {
    Duration::from_millis(20 + (n * 7919) % 900)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_and_send_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (mut here, mut there) = pair(folder.path()).await;
    let disk = here.folder.join("disk.raw");
    disks::random(&disk, 40 << 20, 4);
    let vault = here.protect(&[&disk]).await;
    let copies = there.replication_vault().await;
    let (mut promised, mut needed, mut last) = (Vec::new(), 0, Vec::new());
    for n in 0..3 {
        let content = if n == 0 {
            disks::hash(&disk)
        } else {
            disks::change(&disk, n)
        };
        promised.push((here.api().back_up(&vault).await, content));
        let now = std::fs::read(&disk).unwrap();
        needed += lacking(&last, &now);
        last = now;
    }
    let body = json!({ "replicate": { "vault_id": vault, "destination_region": there.region, "destination_project_id": there.api().project, "destination_vault_id": copies } });
    let (status, answer) = here.api().post("/checkpoints/replicate", body).await;
    assert_eq!(status, 200, "{answer}");
    for n in 0..KILLS {
        tokio::time::sleep(moment(n)).await;
        let site = if n % 2 == 0 { &mut there } else { &mut here };
        site.kill();
        site.start().await;
    }
    for (backup, content) in &promised {
        let record = here.wait_for_copy(backup).await;
        assert_eq!(record["status"], "success", "{record}");
        let replica = record["destination_backup_id"].as_str().unwrap();
        assert_eq!(there.restored(replica, true, 40 << 20).await, *content);
    }
    let received = there.received();
    assert!(
        received <= needed,
        "{received} bytes were kept of {needed} that were needed"
    );
    let cut_off = usize::try_from(KILLS).unwrap() * STRETCH;
    assert!(received + cut_off >= needed, "{received} of {needed}");
    let (_, listed) = there.api().get("/backups?image_type=replication").await;
    assert_eq!(listed["count"], 3, "every copy is there once: {listed}");
    there.server().repositories_are_clean();
}

//! What is there before a page begins: disks and secrets that it names, and the other installations that it speaks of.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use strongroom_testkit::QemuMachine;
use strongroom_types::{Clock, SystemClock};

use super::blocks::Block;
use super::hook::Hook;
use super::stage::Stage;
use crate::disks;
use crate::server::{BINARY, Server, free_port};

const DISK_BYTES: usize = 6 << 20;
/// Words of the configuration on pages: projects here and there.
const HERE: &str = "0123456789abcdef0123456789abcdef";
const THERE: &str = "fedcba9876543210fedcba9876543210";

/// A vault `daily` with the disk `data`, backed up once.
const A_BACKUP: &str = "
strongroom volume add --name data --path /images/data.raw
strongroom vault create --name daily --object-type disk --size 100
strongroom vault add daily data
strongroom checkpoint create daily --wait
strongroom backup list
";

pub(crate) async fn page(page: &str) -> Stage {
    let mut stage = Stage::new();
    stage.disk("/images/data.raw", DISK_BYTES);
    no_start_comes_due(&mut stage);
    match page {
        "vaults.md" => vaults(&stage),
        "policies.md" => {
            let begin = A_BACKUP.split("strongroom checkpoint").next();
            stage.shell(page, begin.unwrap()).await;
        }
        "live-servers.md" | "libvirt.md" => stage.disk("/images/web.qcow2", DISK_BYTES),
        "new-servers.md" => {
            stage.shell(page, &of_server(A_BACKUP)).await;
        }
        "proofs.md" => {
            let disk = stage.names.fill("/images/web.raw");
            assert!(QemuMachine::bootable_disk(Path::new(&disk)));
        }
        "locking.md" => locking(&mut stage).await,
        "sharing.md" => sharing(&mut stage).await,
        "replication.md" => replication(&mut stage).await,
        "../README.md" => {
            stage.disk("/srv/data.img", DISK_BYTES);
            stage.stop();
        }
        "recovery.md" => {
            stage.shell(page, A_BACKUP).await;
            stage.stop();
        }
        "instant-recovery.md" => {
            stage.shell(page, A_BACKUP).await;
            let project = stage.api().await.project;
            stage.names.word("PROJECT", &project);
            let disk = stage.answer["backups"][0]["resource_id"].clone();
            stage.names.word("DISK", disk.as_str().unwrap());
            let port = free_port();
            for (shown, here) in [
                ("0.0.0.0:10809", format!("127.0.0.1:{port}")),
                (
                    "nbds://backup.example:10809",
                    format!("nbds://localhost:{port}"),
                ),
                ("server.port=10809", format!("server.port={port}")),
                ("backup.example", "localhost".to_owned()),
            ] {
                stage.names.text(shown, &here);
            }
        }
        "operations.md" => operations(&mut stage).await,
        "identity.md" => stage.secret("/etc/strongroom/eve.password", "correct horse battery\n"),
        _ => {}
    }
    stage
}

/// Moves the hour of policies to half a day from now, so that what they begin is not counted with what the page does.
fn no_start_comes_due(stage: &mut Stage) {
    let now = SystemClock.now().to_blank();
    let hour: u32 = now[11..13].parse().unwrap();
    let far = format!("BYHOUR={};", (hour + 12) % 24);
    for shown in ["BYHOUR=2;", "BYHOUR=02;"] {
        stage.names.text(shown, &far);
    }
}

fn vaults(stage: &Stage) {
    let file = |name: &str| stage.folder.path().join("images").join(name);
    disks::random(&file("web.raw"), DISK_BYTES, 1);
    disks::to_qcow2(&file("web.raw"), &file("web.qcow2"));
}

/// An automatic backup of `data` that has thirty days before it.
async fn locking(stage: &mut Stage) {
    let begin = A_BACKUP.split("strongroom checkpoint").next().unwrap();
    let policy = "
strongroom vault create --name other --object-type disk --size 100
strongroom policy create --name nightly --pattern 'FREQ=DAILY;INTERVAL=1;BYHOUR=02;BYMINUTE=30' --retention-days 30
strongroom vault associate daily nightly
strongroom vault show daily
";
    stage
        .shell("locking.md", &(begin.to_owned() + policy))
        .await;
    let automatic = "POST /v3/{project_id}/checkpoints\n\n\
        {\"checkpoint\": {\"vault_id\": \"{vault_id}\", \"parameters\": {\"auto_trigger\": true}}}";
    stage.request("locking.md", automatic).await;
    assert!(!stage.was_refused, "{}", stage.answer);
}

/// A second project, whose disk is VOLUME.
async fn sharing(stage: &mut Stage) {
    stage.disk("/images/copy.raw", DISK_BYTES);
    stage.shell("sharing.md", A_BACKUP).await;
    stage
        .shell("sharing.md", "strongroom project create --name receiver")
        .await;
    let receiver = stage.names.fill("PROJECT");
    stage.names.word("RECEIVER", &receiver);
    let owner = stage.api().await.project;
    stage.credentials_for("owner.json", &owner);
    stage.credentials_for("receiver.json", &receiver);
    let volume =
        "strongroom --credentials receiver.json volume add --name copy --path /images/copy.raw";
    stage.shell("sharing.md", volume).await;
}

/// The same of a server `web` with that disk.
fn of_server(commands: &str) -> String {
    let commands = commands.replace(
        "volume add --name data --path",
        "server add --name web --disk",
    );
    let commands = commands.replace("object-type disk", "object-type server");
    commands.replace("daily data", "daily web")
}

/// Another region, in which the page begins once it has configured this one.
async fn replication(stage: &mut Stage) {
    stage.shell("replication.md", &of_server(A_BACKUP)).await;
    let token = "0123456789abcdef0123456789abcdef0123456789abcdef";
    stage.secret("/etc/strongroom/west.token", token);
    let data_dir = stage.folder.path().join("west");
    let mut west = Server::start_in(&data_dir);
    west.stop();
    let there = west.credentials()["project_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let here = stage.api().await.project;
    let config = stage.folder.path().join("west.toml");
    let token = stage.names.fill("/etc/strongroom/west.token");
    let text = format!(
        "region = \"west\"\n[[peers]]\nregion = \"east\"\nendpoint = \"https://east.example\"\ntoken_file = \"{token}\"\n\
         [[peers.projects]]\nhere = \"{there}\"\nthere = \"{here}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let flags = ["--config", disks::text(&config)];
    let west = Server::start_with(Command::new(BINARY), &data_dir, &flags);
    stage.names.word(HERE, &here);
    stage.names.word(THERE, &there);
    stage
        .names
        .text("https://backup.west.example", &west.endpoint);
    for (name, file) in [
        ("east.json", stage.data_dir().join("credentials.json")),
        ("west.json", west.credentials_path()),
    ] {
        std::os::unix::fs::symlink(file, stage.folder.path().join(name)).unwrap();
    }
    stage.others.push(west);
}

/// What another installation has written, the secrets of notices, and somebody who is told.
async fn operations(stage: &mut Stage) {
    let writer = Server::start_in(&stage.folder.path().join("mnt/site-b"));
    let disk = stage.names.fill("/images/data.raw");
    let vault = ["vault", "create", "--object-type", "disk", "--size", "10"];
    writer.verb(&["volume", "add", "--name", "data", "--path", &disk]);
    writer.verb(&[&vault[..], &["--name", "daily"]].concat());
    writer.verb(&["vault", "add", "daily", "data"]);
    writer.verb(&["checkpoint", "create", "daily", "--wait"]);
    let there = writer.credentials()["project_id"].clone();
    let there = there.as_str().unwrap();
    let key = writer.data_dir().join("keys").join(format!("{there}.key"));
    let key = std::fs::read_to_string(key).unwrap();
    stage.secret("/etc/strongroom/site-b.key", &key);
    stage.secret("/etc/strongroom/webhook.secret", "0123456789abcdef");
    stage.secret("/etc/strongroom/mail.password", "hush");
    let here = stage.api().await.project;
    stage.names.word(HERE, &here);
    stage.names.word(THERE, there);
    let hook = Hook::listen().await;
    stage
        .names
        .text("https://hooks.example.org/strongroom", &hook.url);
    // Nothing leaves this host.
    stage.names.text("mail.example.org", "127.0.0.1");
    stage.hook = Some(hook);
}

/// What has to happen before one block, which the page tells in words.
pub(crate) async fn block(stage: &mut Stage, block: &Block) {
    if !block.first_line().starts_with("{\"event\":") {
        return;
    }
    stage.disk("/images/full.raw", 16 << 20);
    let vault = "POST /v3/{project_id}/vaults\n\n{\"vault\": {\"name\": \"web\", \"smn_notify\": true, \"resources\": [], \
        \"billing\": {\"consistent_level\": \"crash_consistent\", \"object_type\": \"disk\", \"protect_type\": \"backup\", \"size\": 10}}}";
    stage.request(&block.place, vault).await;
    assert!(!stage.was_refused, "{}", stage.answer);
    let fill = "
strongroom volume add --name full --path /images/full.raw
strongroom vault add web full
strongroom checkpoint create web --wait
strongroom vault update web --size 1 --threshold 1
";
    stage.shell(&block.place, fill).await;
    let mut told = stage.hook.as_mut().unwrap().next().await;
    // The page's vault is larger than any that a test fills.
    let shown: Value = serde_json::from_str(&block.text).unwrap();
    for (name, shown) in shown.as_object().unwrap() {
        let same = told[name].to_string().len() == shown.to_string().len();
        if shown.is_u64() && told[name].is_u64() || name == "created_at" && same {
            told[name] = shown.clone();
        }
    }
    stage.answer = told;
}

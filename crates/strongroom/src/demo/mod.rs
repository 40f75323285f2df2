//! `strongroom demo`: the documented example, step by step, against a throw-away server, on real disks.

mod disks;
mod server;

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::client::{Connection, wait_for_checkpoint};
use crate::credentials::Credentials;
use crate::output::{human_bytes, print_line};

use disks::Disk;
use server::Server;

/// Runs in a temporary folder that is gone afterwards, whatever happens.
pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("a temporary folder cannot be made")?;
    title("Two disks with files of this machine on them");
    let disks = disks::make(folder.path())?;
    for disk in &disks {
        print_line(&format!(
            "  {} ({}, {})",
            disk.path.display(),
            disk.format,
            human_bytes(disk.size_bytes)
        ));
    }
    title("A throw-away server");
    let server = Server::start(folder.path()).await?;
    print_line(&format!("  ready at {}", server.endpoint));
    let walked = walk(&server.credentials, &disks, folder.path()).await;
    let stopped = server.stop().await;
    walked?;
    stopped?;
    print_line("\nThe disks came back byte for byte.");
    Ok(())
}

async fn walk(credentials: &Path, disks: &[Disk], folder: &Path) -> anyhow::Result<()> {
    let calls = Calls {
        connection: Connection::new(Credentials::read(credentials)?),
    };
    let before = disks::fingerprints(disks)?;
    title("The machine is told to the inventory");
    let paths: Vec<&str> = disks.iter().filter_map(|disk| disk.path.to_str()).collect();
    let root = format!("//strongroom/v1/{}/servers", calls.connection.project_id());
    let server = calls
        .post(&root, json!({ "name": "demo-server", "disks": paths }))
        .await?;
    let server_id = id(&server, "/server/id")?;
    title("1. Create a vault");
    let billing = json!({ "cloud_type": "public", "consistent_level": "crash_consistent", "object_type": "server", "protect_type": "backup", "size": 200 });
    let vault = calls
        .post(
            "/vaults",
            json!({ "vault": { "billing": billing, "name": "my_vault", "resources": [] } }),
        )
        .await?;
    let vault_id = id(&vault, "/vault/id")?;
    title("2. Associate the server with it");
    let resource = json!({ "id": server_id, "type": "OS::Nova::Server", "name": "demo-server" });
    calls
        .post(
            &format!("/vaults/{vault_id}/addresources"),
            json!({ "resources": [resource] }),
        )
        .await?;
    title("3. Create a restore point");
    let backup_id = calls.back_up(&vault_id, &server_id).await?;
    title("Again, with nothing changed in between");
    calls.back_up(&vault_id, &server_id).await?;
    calls.get(&format!("/vaults/{vault_id}")).await?;
    title("Both disks are damaged on purpose");
    disks::damage(disks)?;
    ensure!(disks::fingerprints(disks)? != before, "the damage shows");
    title("4. Restore");
    let path = format!("/backups/{backup_id}/restore");
    let job = calls
        .post(
            &path,
            json!({ "restore": { "server_id": server_id, "power_on": false } }),
        )
        .await?;
    calls.wait_for_task(&id(&job, "/job_id")?).await?;
    ensure!(
        disks::fingerprints(disks)? == before,
        "the restored disks differ from the originals in {}",
        folder.display()
    );
    Ok(())
}

fn title(text: &str) {
    print_line(&format!("\n# {text}"));
}

fn id(answer: &Value, pointer: &str) -> anyhow::Result<String> {
    let id = answer.pointer(pointer).and_then(Value::as_str);
    Ok(id
        .with_context(|| format!("the answer has no {pointer}"))?
        .to_owned())
}

/// Calls that show themselves.
struct Calls {
    connection: Connection,
}

impl Calls {
    fn show(&self, method: &str, path: &str, rest: &str) {
        print_line(&format!(
            "{method} {}{rest}",
            self.connection.full_path(path)
        ));
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.show("GET", path, "");
        let answer = self.connection.get(path).await?;
        print_line(&format!("  -> {answer}"));
        Ok(answer)
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.show("POST", path, &format!("\n  {body}"));
        let answer = self.connection.post(path, &body).await?;
        print_line(&format!("  -> {answer}"));
        Ok(answer)
    }

    /// Makes a restore point and returns the id of the server's backup once it is available.
    async fn back_up(&self, vault_id: &str, server_id: &str) -> anyhow::Result<String> {
        let parameters = json!({ "auto_trigger": false, "description": "backupauto", "incremental": true, "name": "backup_auto", "resources": [server_id] });
        let body = json!({ "checkpoint": { "parameters": parameters, "vault_id": vault_id } });
        let checkpoint_id = id(&self.post("/checkpoints", body).await?, "/checkpoint/id")?;
        self.show(
            "GET",
            &format!("/checkpoints/{checkpoint_id}"),
            " (until available)",
        );
        let answer = wait_for_checkpoint(&self.connection, &checkpoint_id).await?;
        print_line(&format!("  -> {answer}"));
        let backups = self
            .get(&format!("/backups?checkpoint_id={checkpoint_id}"))
            .await?;
        id(&backups, "/backups/0/id")
    }

    async fn wait_for_task(&self, task: &str) -> anyhow::Result<()> {
        self.show(
            "GET",
            &format!("/operation-logs/{task}"),
            " (until it ends)",
        );
        let answer = crate::client::wait_for_task(&self.connection, task).await?;
        print_line(&format!("  -> {answer}"));
        Ok(())
    }
}

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::attachments::Attach;
use super::backup_machines::{self, RestoreNew};
use super::connection::encode;
use super::export::Export;
use super::mount::Mount;
use super::wait::{wait_for_task, wait_until_gone};
use super::{Column, Context, attachments, export, mount, proofs, query, sharing};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List backups, newest first.
    List(List),
    /// Show one backup and the backups of its disks.
    Show { backup: String },
    /// Rename a backup.
    Rename { backup: String, name: String },
    /// Delete a backup.
    Delete {
        backup: String,
        /// Return when it is gone.
        #[arg(long)]
        wait: bool,
    },
    /// Share a backup with other projects, which have to accept it.
    Share(Share),
    /// Stop sharing a backup with projects.
    Unshare(Share),
    /// List the projects that a backup is shared with.
    Members { backup: String },
    /// Accept a backup that another project shares, into a vault of this one.
    Accept {
        backup: String,
        #[arg(long, value_name = "ID")]
        vault: String,
    },
    /// Turn down a backup that another project shares.
    Reject { backup: String },
    /// Write a backup back onto disks, overwriting what differs.
    Restore(Restore),
    /// Make a new server of a server's backup, with images and a machine of its own.
    RestoreNew(RestoreNew),
    /// Show what the machine of a backup was made of, or print what starts one like it.
    Machine(backup_machines::Show),
    /// Copy a server's backup to another region.
    Replicate(Replicate),
    /// Run a machine from a backup, apart from everything, to see whether it boots.
    Prove {
        backup: String,
        /// Return when there is a verdict; fail when it does not boot.
        #[arg(long)]
        wait: bool,
    },
    /// List the proofs of a backup, newest first.
    Proofs { backup: String },
    /// Show one proof, and what its machine said.
    Proof(proofs::Show),
    /// Serve a backup as disks that machines run from at once.
    Attach(Attach),
    /// Copy a disk out of a backup, to an image of its own.
    Export(Export),
    /// Show the disks of a backup as files, until the folder is unmounted.
    Mount(Mount),
    /// List attached backups, newest first.
    Attachments,
    /// Serve a backup no more, and throw away what was written over it.
    Detach {
        /// The attachment's id.
        attachment: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Replicate {
    backup: String,
    #[command(flatten)]
    destination: Destination,
    /// What the copy is called; as the backup when absent.
    #[arg(long)]
    name: Option<String>,
}

/// Where copies go.
#[derive(Debug, Args)]
pub(crate) struct Destination {
    /// One of `peer list`.
    #[arg(long)]
    region: String,
    /// The project there.
    #[arg(long, value_name = "ID")]
    project: String,
    /// A replication vault there.
    #[arg(long, value_name = "ID")]
    vault: String,
}

impl Destination {
    pub(super) fn body(&self) -> Value {
        json!({
            "destination_region": self.region,
            "destination_project_id": self.project,
            "destination_vault_id": self.vault,
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long, value_name = "ID")]
    vault: Option<String>,
    #[arg(long, value_name = "ID")]
    checkpoint: Option<String>,
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    #[arg(long)]
    status: Option<String>,
    /// Those that other projects share with this one, instead of its own.
    #[arg(long)]
    shared: bool,
    #[arg(long)]
    limit: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Share {
    backup: String,
    /// The id of a receiving project; may be repeated.
    #[arg(long = "project", value_name = "ID", required = true)]
    projects: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    backup: String,
    /// The server to restore a server's backup to.
    #[arg(long, value_name = "ID", conflicts_with = "volume")]
    server: Option<String>,
    /// The disk to restore a disk's backup to.
    #[arg(long, value_name = "ID")]
    volume: Option<String>,
    /// Which disk's backup goes to which disk of the server.
    #[arg(long = "map", value_name = "BACKUP=VOLUME")]
    mappings: Vec<String>,
    /// Leave the server off; without this, it is started where the service knows how.
    #[arg(long)]
    stay_off: bool,
    /// Return when the data is back; fail when it failed.
    #[arg(long)]
    wait: bool,
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("status", "/status"),
    ("resource", "/resource_name"),
    ("size GB", "/resource_size"),
    ("created (UTC)", "/created_at"),
    ("expires (UTC)", "/expired_at"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    let connection = &context.connection;
    match verb {
        Verb::List(list) => {
            let answer = connection.get(&format!("/backups{}", list.query())).await?;
            context.print(&answer, "/backups", COLUMNS)
        }
        Verb::Show { backup } => show(context, &backup).await,
        Verb::Rename { backup, name } => {
            let answer = connection
                .put(&path(&backup), &json!({ "backup": { "name": name } }))
                .await?;
            context.print(&answer, "/backup", COLUMNS)
        }
        Verb::Delete { backup, wait } => {
            let answer = connection.delete(&path(&backup)).await?;
            if wait {
                wait_until_gone(connection, &path(&backup)).await?;
            }
            context.say(
                &format!(
                    "backup {backup} {}",
                    if wait { "deleted" } else { "is being deleted" }
                ),
                &answer,
            )
        }
        Verb::Share(share) => sharing::share(context, &share.backup, &share.projects).await,
        Verb::Unshare(share) => sharing::unshare(context, &share.backup, &share.projects).await,
        Verb::Members { backup } => sharing::members(context, &backup).await,
        Verb::Accept { backup, vault } => sharing::accept(context, &backup, &vault).await,
        Verb::Reject { backup } => sharing::reject(context, &backup).await,
        Verb::RestoreNew(new) => backup_machines::restore_new(context, &new).await,
        Verb::Machine(show) => backup_machines::show(context, &show).await,
        Verb::Replicate(wish) => replicate(context, &wish).await,
        Verb::Prove { backup, wait } => proofs::prove(context, &backup, wait).await,
        Verb::Proofs { backup } => proofs::list(context, &backup).await,
        Verb::Proof(show) => proofs::show(context, &show).await,
        Verb::Attach(attach) => attachments::attach(context, attach).await,
        Verb::Export(export) => export::run(context, &export).await,
        Verb::Mount(wish) => mount::run(context, &wish).await,
        Verb::Attachments => attachments::list(context).await,
        Verb::Detach { attachment } => attachments::detach(context, &attachment).await,
        Verb::Restore(restore) => {
            let answer = connection
                .post(
                    &format!("{}/restore", path(&restore.backup)),
                    &restore.body()?,
                )
                .await?;
            let job = answer["job_id"]
                .as_str()
                .context("the answer has no job id")?;
            if !restore.wait {
                return context.say(&format!("task {job} restores it"), &answer);
            }
            let done = wait_for_task(connection, job).await?;
            context.say(&format!("backup {} restored", restore.backup), &done)
        }
    }
}

async fn show(context: &Context, backup: &str) -> anyhow::Result<()> {
    let connection = &context.connection;
    let answer = connection.get(&path(backup)).await?;
    context.print(&answer, "/backup", COLUMNS)?;
    if context.format == crate::output::Format::Table {
        context.print(&answer, "/backup/children", COLUMNS)?;
        let is_own = answer["backup"]["project_id"] == connection.project_id();
        if is_own {
            proofs::print_newest(context, backup).await?;
        }
    }
    Ok(())
}

async fn replicate(context: &Context, replicate: &Replicate) -> anyhow::Result<()> {
    let mut body = replicate.destination.body();
    if let Some(name) = &replicate.name {
        body["name"] = name.as_str().into();
    }
    let path = format!("{}/replicate", path(&replicate.backup));
    let answer = context
        .connection
        .post(&path, &json!({ "replicate": body }))
        .await?;
    let region = &replicate.destination.region;
    context.say(&format!("the backup is on its way to {region}"), &answer)
}

pub(super) fn path(backup: &str) -> String {
    format!("/backups/{}", encode(backup))
}

impl List {
    fn query(self) -> String {
        query(&[
            ("vault_id", self.vault),
            ("checkpoint_id", self.checkpoint),
            ("resource_id", self.resource),
            ("status", self.status),
            ("own_type", self.shared.then(|| "shared".to_owned())),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ])
    }
}

impl Restore {
    fn body(&self) -> anyhow::Result<Value> {
        let mut restore = json!({});
        if let Some(server) = &self.server {
            restore["server_id"] = server.as_str().into();
        }
        if self.stay_off {
            restore["power_on"] = false.into();
        }
        if let Some(volume) = &self.volume {
            restore["volume_id"] = volume.as_str().into();
        }
        let mappings = self
            .mappings
            .iter()
            .map(|mapping| match mapping.split_once('=') {
                Some((backup, volume)) => Ok(json!({ "backup_id": backup, "volume_id": volume })),
                None => anyhow::bail!("a mapping is written BACKUP=VOLUME, not `{mapping}`"),
            });
        let mappings = mappings.collect::<anyhow::Result<Vec<_>>>()?;
        if !mappings.is_empty() {
            restore["mappings"] = mappings.into();
        }
        Ok(json!({ "restore": restore }))
    }
}

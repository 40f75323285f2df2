//! What the machine of a backup was made of, and servers that are made of backups.

use std::path::{Path, absolute};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use strongroom_types::{IdSource as _, MachineRecord, NewMachine, NewMachineDisk, VolumeFormat};
use strongroom_worker::definitions;

use super::connection::encode;
use super::wait::wait_for_task;
use super::{Column, Context};
use crate::output::{Format, print_line};

#[derive(Debug, Args)]
pub(crate) struct Show {
    backup: String,
    /// Print what starts a machine like it, instead of what it was.
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<Kind>,
    /// Where a copy of a disk of the backup lies, a file in qcow2, or with another ending a raw one; may be repeated. Disks
    /// that are not named are left out.
    #[arg(long = "disk", value_name = "RESOURCE=PATH", requires = "kind")]
    disks: Vec<String>,
    /// What the machine is called; as it was when absent.
    #[arg(long, requires = "kind")]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A script of the shell that becomes QEMU.
    Qemu,
    /// XML for `virsh define`.
    Libvirt,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreNew {
    /// A server's.
    backup: String,
    /// What the new server is called.
    #[arg(long)]
    name: String,
    /// Have this host's libvirt know the machine.
    #[arg(long)]
    define: bool,
    /// Which libvirt.
    #[arg(
        long,
        value_name = "URI",
        requires = "define",
        default_value = "qemu:///system"
    )]
    libvirt_uri: String,
    /// Return when the machine can be started; fail when it cannot.
    #[arg(long)]
    wait: bool,
}

const COLUMNS: &[Column] = &[
    ("source", "/source"),
    ("name", "/name"),
    ("machine", "/machine_type"),
    ("firmware", "/firmware"),
    ("CPUs", "/cpus"),
    ("memory MiB", "/memory_mib"),
];

const DISK_COLUMNS: &[Column] = &[
    ("disk", "/resource_id"),
    ("bus", "/bus"),
    ("device", "/device"),
    ("boot", "/boot_index"),
    ("serial", "/serial"),
];

const CARD_COLUMNS: &[Column] = &[("network card", "/model"), ("address", "/mac")];

pub(super) async fn show(context: &Context, show: &Show) -> anyhow::Result<()> {
    let path = format!("{}/machine", path(context, &show.backup));
    let answer = context.connection.get(&path).await?;
    let Some(kind) = show.kind else {
        context.print(&answer, "/machine", COLUMNS)?;
        if context.format == Format::Table {
            context.print(&answer, "/machine/disks", DISK_COLUMNS)?;
            context.print(&answer, "/machine/network_cards", CARD_COLUMNS)?;
        }
        return Ok(());
    };
    let record: MachineRecord = serde_json::from_value(answer["machine"].clone())
        .context("the machine is described in a way that this program does not know")?;
    let new = show.new_machine(&record)?;
    let text = match kind {
        Kind::Qemu => definitions::command_file(&record, &new),
        Kind::Libvirt => definitions::domain(&record, &new)?,
    };
    print_line(text.trim_end());
    Ok(())
}

impl Show {
    fn new_machine(&self, record: &MachineRecord) -> anyhow::Result<NewMachine> {
        if self.disks.is_empty() {
            let ids = record.disks.iter().map(|disk| disk.resource_id.as_str());
            let ids: Vec<_> = ids.collect();
            bail!(
                "say with --disk RESOURCE=PATH where the machine's disks lie: {}",
                ids.join(", ")
            );
        }
        let disks = self.disks.iter().map(|disk| new_disk(record, disk));
        let name = self.name.clone().or_else(|| record.name.clone());
        Ok(NewMachine {
            name: name.unwrap_or_else(|| "restored".to_owned()),
            uuid: strongroom_types::SystemIds.uuid(),
            monitor: None,
            disks: disks.collect::<anyhow::Result<_>>()?,
        })
    }
}

fn new_disk(record: &MachineRecord, given: &str) -> anyhow::Result<NewMachineDisk> {
    let Some((resource, path)) = given.split_once('=') else {
        bail!("a disk is written RESOURCE=PATH, not `{given}`");
    };
    let recorded = record
        .disks
        .iter()
        .find(|disk| disk.resource_id.as_str() == resource);
    let recorded = recorded.with_context(|| format!("the machine had no disk {resource}"))?;
    let path = absolute(path).with_context(|| format!("`{path}` is no path"))?;
    let is_qcow2 = Path::new(&path)
        .extension()
        .is_some_and(|ending| ending == "qcow2");
    let text = path.to_str().context("the path is not UTF-8")?;
    Ok(NewMachineDisk {
        resource_id: recorded.resource_id.clone(),
        path: text.to_owned(),
        format: if is_qcow2 {
            VolumeFormat::Qcow2
        } else {
            VolumeFormat::Raw
        },
    })
}

pub(super) async fn restore_new(context: &Context, new: &RestoreNew) -> anyhow::Result<()> {
    let mut server = json!({ "name": new.name });
    if new.define {
        server["libvirt_uri"] = new.libvirt_uri.as_str().into();
    }
    let connection = &context.connection;
    let path = format!("{}/servers", path(context, &new.backup));
    let answer = connection.post(&path, &json!({ "server": server })).await?;
    let word = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
    let id = word("/server/id").context("the answer has no server")?;
    let folder = word("/folder").context("the answer has no folder")?;
    let job = word("/job_id").context("the answer has no job id")?;
    if !new.wait {
        let sentence = format!("task {job} makes the server {id} of it, in {folder}");
        return context.say(&sentence, &answer);
    }
    wait_for_task(connection, job).await?;
    context.say(&format!("server {id} restored in {folder}"), &answer)
}

fn path(context: &Context, backup: &str) -> String {
    let project = context.connection.project_id();
    format!("//strongroom/v1/{project}/backups/{}", encode(backup))
}

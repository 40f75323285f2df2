//! Backups that are served as disks.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::connection::encode;
use super::wait::{wait_until, wait_until_gone};
use super::{Column, Context};

#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// A server's backup, whose disks are attached together, or a disk's.
    backup: String,
    /// Refuse writes, instead of keeping them beside the backup until it is detached.
    #[arg(long)]
    read_only: bool,
    /// Serve to other hosts, over TLS, which the service's `worker.attach_tls` says; otherwise to its own.
    #[arg(long)]
    tls: bool,
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("backup", "/backup_id"),
    ("status", "/status"),
    ("reason", "/reason"),
    ("disks", "/disks"),
    ("read-only", "/read_only"),
    ("transport", "/transport"),
    ("created (UTC)", "/created_at"),
];

const DISK_COLUMNS: &[Column] = &[
    ("disk", "/resource_name"),
    ("bootable", "/bootable"),
    ("bytes", "/size_bytes"),
    ("uri", "/uri"),
];

/// Returns when all disks can be connected to.
pub(super) async fn attach(context: &Context, attach: Attach) -> anyhow::Result<()> {
    let transport = if attach.tls { "tls" } else { "unix" };
    let new = json!({ "read_only": attach.read_only, "transport": transport });
    let id = ask(context, &attach.backup, &new).await?;
    let answer = ready(context, &id).await?;
    context.print(&answer, "/attachment", COLUMNS)?;
    if context.format == crate::output::Format::Table {
        context.print(&answer, "/attachment/disks", DISK_COLUMNS)?;
    }
    Ok(())
}

/// The id of an attachment that begins.
pub(super) async fn ask(context: &Context, backup: &str, new: &Value) -> anyhow::Result<String> {
    let of_backup = format!("{}/backups/{}", root(context), encode(backup));
    let body = json!({ "attachment": new });
    let path = format!("{of_backup}/attachments");
    let begun = context.connection.post(&path, &body).await?;
    let id = begun.pointer("/attachment/id").and_then(Value::as_str);
    Ok(id.context("the answer has no attachment")?.to_owned())
}

/// The attachment as it is once all its disks can be connected to.
pub(super) async fn ready(context: &Context, id: &str) -> anyhow::Result<Value> {
    let connection = &context.connection;
    let path = path(context, id);
    let is_decided = |answer: &Value| answer["attachment"]["status"] != "attaching";
    wait_until(connection, &path, is_decided).await?;
    let answer = connection.get(&path).await?;
    let attachment = &answer["attachment"];
    if attachment["status"] != "attached" {
        bail!(
            "attachment {id} is in {}: {}",
            attachment["status"].as_str().unwrap_or_default(),
            attachment["reason"].as_str().unwrap_or_default()
        );
    }
    Ok(answer)
}

pub(super) async fn list(context: &Context) -> anyhow::Result<()> {
    let path = format!("{}/attachments", root(context));
    let answer = context.connection.get(&path).await?;
    context.print(&answer, "/attachments", COLUMNS)
}

/// Returns when nothing of it is left.
pub(super) async fn detach(context: &Context, id: &str) -> anyhow::Result<()> {
    let answer = end(context, id).await?;
    context.say(&format!("attachment {id} detached"), &answer)
}

/// What was answered when nothing of it was left.
pub(super) async fn end(context: &Context, id: &str) -> anyhow::Result<Value> {
    let path = path(context, id);
    let answer = context.connection.delete(&path).await?;
    wait_until_gone(&context.connection, &path).await?;
    Ok(answer)
}

pub(super) fn root(context: &Context) -> String {
    format!("//strongroom/v1/{}", context.connection.project_id())
}

fn path(context: &Context, id: &str) -> String {
    format!("{}/attachments/{}", root(context), encode(id))
}

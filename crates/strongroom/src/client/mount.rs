//! A backup whose disks are files of a folder, for as long as the command runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use serde_json::{Value, json};
use strongroom_nbd::Target;
use tokio::task::block_in_place;

use super::{Context, attachments};
use crate::mounted::{Disk, Mounted, Patience, file_names};
use crate::output::remark;
use crate::signals::Signals;

#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// A server's backup, or a disk's.
    backup: String,
    /// An empty folder of the service's host.
    folder: PathBuf,
}

/// Returns when the folder was unmounted, by whomever, and the backup is attached no more.
pub(super) async fn run(context: &Context, mount: &Mount) -> anyhow::Result<()> {
    let folder = &mount.folder;
    let mut entries = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    ensure!(
        entries.next().is_none(),
        "{} is not empty",
        folder.display()
    );
    let mut signals = Signals::handle()?;
    let id = attachments::ask(context, &mount.backup, &json!({ "read_only": true })).await?;
    let shown = show(context, &id, folder, &mut signals).await;
    // Also when nothing was shown: nobody else knows of it. Another signal ends the waiting.
    let ended = tokio::select! {
        ended = attachments::end(context, &id) => ended,
        () = signals.wait() => Err(anyhow!("stopped before it was detached")),
    };
    let ended = ended.with_context(|| format!("the backup is still attached, as {id}"));
    shown.and(ended.map(drop))
}

async fn show(
    context: &Context,
    id: &str,
    folder: &Path,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let answer = tokio::select! {
        answer = attachments::ready(context, id) => answer?,
        () = signals.wait() => return Ok(()),
    };
    let patience = Arc::<Patience>::default();
    let disks = block_in_place(|| open(&answer["attachment"], &patience))?;
    let files = disks
        .iter()
        .map(|disk| json!({"file": folder.join(&disk.file_name), "size_bytes": disk.size_bytes}));
    let files: Vec<_> = files.collect();
    let names: Vec<_> = disks
        .iter()
        .map(|disk| disk.file_name.display().to_string())
        .collect();
    let mut mounted = block_in_place(|| Mounted::mount(folder, disks, patience))?;
    let sentence = format!("{} in {}", names.join(", "), folder.display());
    context.say(&sentence, &json!({"attachment_id": id, "files": files}))?;
    tokio::select! {
        ended = mounted.ended() => return ended,
        () = signals.wait() => {}
    }
    block_in_place(|| unmount(mounted, folder))
}

/// Connects to the disks of an attachment, which are served on this host.
fn open(attachment: &Value, patience: &Arc<Patience>) -> anyhow::Result<Vec<Disk>> {
    let disks = attachment["disks"]
        .as_array()
        .context("the answer has no disks")?;
    let text = |disk: &'_ Value, field: &str| disk[field].as_str().unwrap_or_default().to_owned();
    let named: Vec<_> = disks
        .iter()
        .map(|disk| text(disk, "resource_name"))
        .collect();
    let names = file_names(named.iter().map(String::as_str));
    let opened = disks.iter().zip(names).map(|(disk, name)| {
        let target = Target::unix(text(disk, "socket"), "");
        Disk::open(OsString::from(name), target, Arc::clone(patience))
    });
    let opened: Result<Vec<_>, _> = opened.collect();
    opened.context("the disks cannot be reached from here: the service's host and its user can")
}

/// A folder that is in use goes all the same: whoever reads there gets errors.
fn unmount(mounted: Mounted, folder: &Path) -> anyhow::Result<()> {
    let Err(error) = mounted.unmount() else {
        return Ok(());
    };
    remark(&format!("{} is in use: {error}", folder.display()));
    let mut fusermount = Command::new("fusermount3");
    let status = fusermount.args(["-u", "-z", "--"]).arg(folder).status();
    ensure!(
        status.context("fusermount3 is missing")?.success(),
        "{} cannot be unmounted",
        folder.display()
    );
    Ok(())
}

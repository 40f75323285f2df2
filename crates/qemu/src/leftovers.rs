//! What a backup has put into a QEMU, found by its names and removed: at the backup's end, after a failed step, and after a
//! service that was killed. Each part is idempotent, and stops at nothing that is missing.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::block::{self, Job};
use crate::machine;
use crate::names::{self, PREFIX, Role};
use crate::{Agent, Error, Qmp, Result};

/// QEMU waits for requests in flight before an export or a job goes.
const FAREWELL_MAX: Duration = Duration::from_secs(30);
/// An event tells earlier; this is for those that went to an earlier connection.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Gives the machine back as if no backup had begun: it runs if it was we who stopped it, the guest's file systems go on,
/// and no export, job, node, or file of ours is left. An agent is given where the guest may have been frozen by us.
/// Bitmaps stay; [`crate::settle`] is for them.
pub async fn leftovers(qmp: &mut Qmp, agent: Option<&mut Agent>, folder: &Path) -> Result<()> {
    resume(qmp).await?;
    let thawed = match agent {
        Some(agent) => agent.thaw_if_frozen().await.map(drop),
        None => Ok(()),
    };
    clear(qmp, folder).await?;
    thawed
}

/// All but the guest's file systems.
pub(crate) async fn clear(qmp: &mut Qmp, folder: &Path) -> Result<()> {
    resume(qmp).await?;
    remove_exports(qmp).await?;
    remove_nodes(qmp, &[Role::Access]).await?;
    end_jobs(qmp).await?;
    continue_after_full_scratch(qmp).await?;
    give_back_devices(qmp).await?;
    remove_nodes(qmp, &[Role::Filter, Role::Overlay, Role::Scratch]).await?;
    stop_server(qmp).await?;
    clear_folder(folder).await
}

/// Lets the machine go on if it was we who stopped it.
pub(crate) async fn resume(qmp: &mut Qmp) -> Result<()> {
    if !has_node(qmp, &names::marker(Role::Stopped)).await? {
        return Ok(());
    }
    if machine::status(qmp).await?.as_deref() == Some("paused") {
        qmp.command("cont", json!({})).await?;
    }
    remove_node(qmp, &names::marker(Role::Stopped)).await
}

/// Leaves a note in QEMU itself of what we are about to do to it: a node that nothing uses.
pub(crate) async fn add_marker(qmp: &mut Qmp, role: Role) -> Result<()> {
    let node = json!({"driver": "null-co", "node-name": names::marker(role), "size": 0});
    qmp.command("blockdev-add", node).await
}

pub(crate) async fn remove_node(qmp: &mut Qmp, node: &str) -> Result<()> {
    qmp.command("blockdev-del", json!({"node-name": node}))
        .await
}

/// Puts another node under a device.
pub(crate) async fn set_drive(qmp: &mut Qmp, device: &str, node: &str) -> Result<()> {
    let arguments = json!({"path": device, "property": "drive", "value": node});
    qmp.command("qom-set", arguments).await
}

/// Waits until the job has nothing more to do.
pub(crate) async fn concluded_job(qmp: &mut Qmp, id: &str) -> Result<Job> {
    let concluded = tokio::time::timeout(FAREWELL_MAX, async {
        loop {
            let jobs = block::jobs(qmp).await?;
            let Some(job) = jobs.into_iter().find(|job| job.id == id) else {
                return Err(Error::strange(format!("the job {id} vanished")));
            };
            if job.status == "concluded" {
                return Ok(job);
            }
            qmp.any_event(LOOK_AGAIN).await?;
        }
    });
    concluded.await.map_err(|_| too_slow("a job's end"))?
}

/// Removes files and sockets of ours, which is all there is to do when QEMU itself is gone.
pub async fn clear_folder(folder: &Path) -> Result<()> {
    let failed = |source| Error::scratch(folder, source);
    let mut entries = match tokio::fs::read_dir(folder).await {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        let path = entry.path();
        let removed = tokio::fs::remove_file(&path).await;
        removed.map_err(|source| Error::scratch(&path, source))?;
    }
    Ok(())
}

async fn remove_exports(qmp: &mut Qmp) -> Result<()> {
    let exports = block::exports(qmp).await?;
    let ids = exports.iter().map(|export| &export.id);
    for id in ids.filter(|id| names::is_of_a_point(id)) {
        let arguments = json!({"id": id, "mode": "hard"});
        match qmp.command("block-export-del", arguments).await {
            // On its way out since an earlier request.
            Err(error) if error.is_refusal() => {}
            other => other?,
        }
        let gone = tokio::time::timeout(FAREWELL_MAX, async {
            loop {
                let left = block::exports(qmp).await?;
                if left.iter().all(|export| export.id != *id) {
                    return Ok(());
                }
                qmp.any_event(LOOK_AGAIN).await?;
            }
        });
        gone.await.map_err(|_| too_slow("an export's end"))??;
    }
    Ok(())
}

/// Cancelling is how a copying job without a target of its own ends.
async fn end_jobs(qmp: &mut Qmp) -> Result<()> {
    let ended = tokio::time::timeout(FAREWELL_MAX, async {
        loop {
            let jobs = block::jobs(qmp).await?;
            let ours: Vec<&Job> = jobs
                .iter()
                .filter(|job| names::is_of_a_point(&job.id))
                .collect();
            if ours.is_empty() {
                return Ok(());
            }
            for job in ours {
                let is_over = job.status == "concluded";
                let command = if is_over { "job-dismiss" } else { "job-cancel" };
                match qmp.command(command, json!({"id": job.id})).await {
                    // It went on to another state meanwhile: the next look tells.
                    Err(error) if error.is_refusal() => {}
                    other => other?,
                }
            }
            qmp.any_event(LOOK_AGAIN).await?;
        }
    });
    ended.await.map_err(|_| too_slow("a job's end"))?
}

/// A full scratch file makes the guest's writes fail, and QEMU pauses the machine. Without the job they succeed.
async fn continue_after_full_scratch(qmp: &mut Qmp) -> Result<()> {
    let nodes = block::nodes(qmp).await?;
    let had_overlays = nodes
        .iter()
        .any(|node| Role::of(node.name()) == Some(Role::Overlay));
    if had_overlays && machine::status(qmp).await?.as_deref() == Some("io-error") {
        qmp.command("cont", json!({})).await?;
    }
    Ok(())
}

/// Takes the filters out from under the devices.
async fn give_back_devices(qmp: &mut Qmp) -> Result<()> {
    let devices = block::devices(qmp).await?;
    let files = block::files(qmp).await?;
    for device in &devices {
        let Some(filter) = device.inserted.as_ref().map(block::Node::name) else {
            continue;
        };
        if Role::of(filter) != Some(Role::Filter) {
            continue;
        }
        let path = machine::device_path(device);
        let path = path.ok_or_else(|| Error::strange(format!("{filter} is under no device")))?;
        let disk = files.below(filter);
        let disk = disk.ok_or_else(|| Error::strange(format!("{filter} filters nothing")))?;
        set_drive(qmp, &path, disk).await?;
    }
    Ok(())
}

/// Removes the nodes of these roles, one role after the other: what lies on others goes before them.
async fn remove_nodes(qmp: &mut Qmp, roles: &[Role]) -> Result<()> {
    let nodes = block::nodes(qmp).await?;
    for role in roles {
        let of_role = nodes
            .iter()
            .filter(|node| Role::of(node.name()) == Some(*role));
        for node in of_role {
            remove_node(qmp, node.name()).await?;
        }
    }
    Ok(())
}

/// Stops the server if it is ours, unless somebody put an export of theirs on it.
async fn stop_server(qmp: &mut Qmp) -> Result<()> {
    let marker = names::marker(Role::Server);
    if !has_node(qmp, &marker).await? {
        return Ok(());
    }
    let exports = block::exports(qmp).await?;
    if exports.iter().any(|export| export.kind == "nbd") {
        return Ok(());
    }
    match qmp.command("nbd-server-stop", json!({})).await {
        // It had not been started yet.
        Err(error) if error.is_refusal() => {}
        other => other?,
    }
    remove_node(qmp, &marker).await
}

async fn has_node(qmp: &mut Qmp, name: &str) -> Result<bool> {
    let nodes = block::nodes(qmp).await?;
    Ok(nodes.iter().any(|node| node.name() == name))
}

fn too_slow(what: &str) -> Error {
    Error::Silent {
        what: what.to_owned(),
        limit: FAREWELL_MAX,
    }
}

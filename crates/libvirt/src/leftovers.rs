//! What a backup has put into a domain, found and removed: at the backup's end, after a failure, and after a service that was
//! killed. Each part is idempotent, and stops at nothing that is missing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roxmltree::Document;

use crate::domain::{self, State, child};
use crate::request::PREFIX;
use crate::{Error, Result, Virsh};

/// QEMU waits for requests in flight before a job goes.
const FAREWELL_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Gives the domain back as if no backup had begun: the guest's file systems go on if it was we who asked them to stand still, and no job,
/// no file of ours is left. Checkpoints stay; [`crate::settle`] is for them.
pub async fn leftovers(virsh: &Virsh, folder: &Path) -> Result<()> {
    let (mut state, has_job) = look(virsh, folder).await?;
    if state == State::Off {
        return clear_folder(folder).await;
    }
    let thawed = thaw_if_frozen(virsh, folder).await;
    if has_job {
        state = end_job(virsh, folder).await?;
    }
    // Without the job, the writes succeed that found scratch files full. Files are there still if whoever ended the job was killed.
    if state == State::PausedByError && !files(folder).await?.is_empty() {
        virsh.run("resume", &[]).await?;
    }
    // The note of a guest that could not be told to go on stays for the next time.
    thawed?;
    clear_folder(folder).await
}

/// Removes files and sockets of ours, which is all there is to do when the machine itself is off.
pub async fn clear_folder(folder: &Path) -> Result<()> {
    for path in files(folder).await? {
        let removed = tokio::fs::remove_file(&path).await;
        removed.map_err(Error::scratch(&path))?;
    }
    Ok(())
}

/// Ours.
async fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut entries = match tokio::fs::read_dir(folder).await {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other.map_err(Error::scratch(folder))?,
    };
    while let Some(entry) = entries.next_entry().await.map_err(Error::scratch(folder))? {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A note that it is we who asked the guest to stand still.
pub(crate) fn note_of_freeze(folder: &Path) -> PathBuf {
    folder.join(format!("{PREFIX}frozen"))
}

async fn thaw_if_frozen(virsh: &Virsh, folder: &Path) -> Result<()> {
    let note = note_of_freeze(folder);
    if !tokio::fs::try_exists(&note)
        .await
        .map_err(Error::scratch(&note))?
    {
        return Ok(());
    }
    virsh.run("domfsthaw", &[]).await?;
    tracing::warn!("a guest may have stood still, and goes on");
    let removed = tokio::fs::remove_file(&note).await;
    removed.map_err(Error::scratch(&note))
}

/// Ends the job, which is ours: that is how a backup that is read by NBD ends in any case. Answers the domain's state then.
async fn end_job(virsh: &Virsh, folder: &Path) -> Result<State> {
    match virsh.run("domjobabort", &[]).await {
        // It ended meanwhile.
        Err(error) if error.is_refusal() => {}
        other => drop(other?),
    }
    let gone = tokio::time::timeout(FAREWELL_MAX, async {
        loop {
            match look(virsh, folder).await? {
                (state, false) => return Ok(state),
                (_, true) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    });
    gone.await.map_err(|_| Error::Silent {
        command: "a job's end".to_owned(),
        limit: FAREWELL_MAX,
    })?
}

/// The domain's state, and whether its backup job, if it has one, serves at a socket in our folder.
pub(crate) async fn look(virsh: &Virsh, folder: &Path) -> Result<(State, bool)> {
    let questions: [&[&str]; 2] = [domain::STATE, &["backup-dumpxml"]];
    let mut answers = virsh.run_each(&questions).await?;
    let state = domain::state(&answers.take()?);
    let is_ours = match answers.take() {
        Err(Error::Refused { message, .. }) if has_none(&message) => false,
        xml => is_ours(&xml?, folder)?,
    };
    Ok((state, is_ours))
}

/// Whether the reason why no job is described is that there is none.
fn has_none(message: &str) -> bool {
    ["no domain backup job present", "domain is not running"]
        .into_iter()
        .any(|reason| message.contains(reason))
}

fn is_ours(xml: &str, folder: &Path) -> Result<bool> {
    let document = Document::parse(xml).map_err(|wrong| Error::strange(wrong.to_string()))?;
    let server = child(document.root_element(), "server");
    let socket = server.and_then(|server| server.attribute("socket"));
    Ok(socket.is_some_and(|socket| Path::new(socket).starts_with(folder)))
}

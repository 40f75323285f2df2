//! Programs that end with this process, whatever ends it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::ProveError;

/// What the program complained; of much the last counts.
const COMPLAINTS: &str = "complaints";
const COMPLAINTS_BYTES_MAX: usize = 1000;
/// For what a program does when it is told to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A child of a thread that lives as long as it does: the kernel kills the child when its parent's thread ends, and
/// with it whenever this process does. Dropped, it is killed.
pub(super) struct Process {
    child: Arc<Mutex<Child>>,
    /// Its last words, once it has ended.
    pub(super) ended: oneshot::Receiver<String>,
}

impl Process {
    /// Starts it in a folder, where its complaints are kept.
    pub(super) async fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        folder: &Path,
    ) -> Result<Self, ProveError> {
        let complaints = folder.join(COMPLAINTS);
        let mut command = Command::new(find(Path::new("setpriv"))?);
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&complaints)?);
        let (tell_start, started) = oneshot::channel();
        let (tell_end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("prove-process".to_owned())
            .spawn(move || {
                let mut child = match command.spawn() {
                    Ok(child) => child,
                    // Who waits for the start has gone, or learns of it.
                    Err(error) => return drop(tell_start.send(Err(error))),
                };
                let output = child.stdout.take();
                let child = Arc::new(Mutex::new(child));
                if tell_start.send(Ok(Arc::clone(&child))).is_err() {
                    end(&child);
                }
                // It says nothing there; that this ends is what is waited for.
                let said = output.map(|mut output| io::copy(&mut output, &mut io::sink()));
                let status = lock(&child).wait();
                tracing::debug!(?said, ?status, "a program of a proof has ended");
                drop(tell_end.send(last_words(&complaints)));
            })?;
        let child = started.await.map_err(io::Error::other)??;
        Ok(Self { child, ended })
    }

    /// Tells it to end, and waits for that as long as is bearable.
    pub(super) async fn terminate(mut self) {
        let pid = lock(&self.child).id();
        // It is no other's: whoever has not been waited for keeps its id.
        let told = match (i32::try_from(pid), lock(&self.child).try_wait()) {
            (Ok(pid), Ok(None)) => kill(Pid::from_raw(pid), Signal::SIGTERM),
            _ => return,
        };
        let ended = tokio::time::timeout(PATIENCE, &mut self.ended).await;
        tracing::debug!(?told, ?ended, "a program of a proof was told to end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&self.child);
    }
}

/// The program, by its path or from `PATH`.
pub(super) fn find(program: &Path) -> Result<PathBuf, ProveError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = match program.components().count() {
        1 => std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .collect(),
        _ => vec![program.to_owned()],
    };
    places.retain(|place| place.is_file());
    let found = places.into_iter().next();
    found.ok_or_else(|| ProveError::NotInstalled(program.to_owned()))
}

fn end(child: &Mutex<Child>) {
    if let Err(error) = lock(child).kill() {
        tracing::warn!(%error, "a program of a proof cannot be killed");
    }
}

fn last_words(complaints: &Path) -> String {
    let said = fs::read(complaints).unwrap_or_default();
    let start = said.len().saturating_sub(COMPLAINTS_BYTES_MAX);
    let said = String::from_utf8_lossy(&said[start..]);
    match said.trim() {
        "" => "it said nothing".to_owned(),
        said => said.to_owned(),
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

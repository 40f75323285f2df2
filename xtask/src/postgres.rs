//! A private PostgreSQL server for one test run: temporary folder, Unix socket, no network, gone afterwards.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

use crate::shell;

/// Short, and open to the postgres user: a socket's path may have 107 bytes, TMPDIR may be private.
const PARENT: &str = "/tmp";
const PREFIX: &str = "strongroom-postgres-";
const LOG: &str = "target/test-postgres.log";
const START_DEADLINE: Duration = Duration::from_mins(1);

/// A running server. Dropping it stops the server and removes its folder.
pub(crate) struct Cluster {
    server: Child,
    folder: PathBuf,
}

impl Cluster {
    /// A server for tests, which forgets in a power cut what it acknowledged, and is fast.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(&[
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
        ])
    }

    /// A server as it would be used.
    pub(crate) fn start_durable() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Initialises and starts a server, and waits until it answers.
    fn start_with(settings: &[&str]) -> Result<Self> {
        let programs =
            programs().context("no PostgreSQL server is installed: run `cargo xtask setup`")?;
        remove_abandoned();
        let folder = create_folder()?;
        let data = folder.join("data");
        let mut initdb = as_server_user(&programs.join("initdb"));
        initdb.arg("--pgdata").arg(&data);
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        shell::output(&mut initdb)?;

        let log =
            File::create(shell::root().join(LOG)).with_context(|| format!("cannot write {LOG}"))?;
        let mut server = as_server_user(&programs.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&folder);
        let always = [
            "listen_addresses=",
            // In the folder, so that even a killed server leaves nothing elsewhere.
            "dynamic_shared_memory_type=mmap",
            "max_connections=300",
        ];
        for setting in always.iter().chain(settings) {
            server.args(["-c", setting]);
        }
        let server = server
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the server's log")?)
            .stderr(log)
            .spawn()
            .context("cannot start the PostgreSQL server")?;
        let mut cluster = Self { server, folder };
        cluster.wait_until_ready(&programs)?;
        Ok(cluster)
    }

    /// What a client connects to.
    pub(crate) fn address(&self) -> String {
        format!(
            "postgres:///postgres?host={}&user=postgres",
            self.folder.display()
        )
    }

    /// Stops the server and says when that fails; `drop` can only try.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.shut_down()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the server has no event to wait for; the wait has a deadline"
    )]
    fn wait_until_ready(&mut self, programs: &Path) -> Result<()> {
        let started = shell::now();
        while started.elapsed() < START_DEADLINE {
            if let Some(status) = self.server.try_wait().context("cannot watch the server")? {
                bail!("the PostgreSQL server ended with {status}; see {LOG}");
            }
            let mut probe = Command::new(programs.join("pg_isready"));
            if shell::succeeds(probe.arg("--quiet").arg("--host").arg(&self.folder)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        bail!("the PostgreSQL server did not answer within {START_DEADLINE:?}; see {LOG}")
    }

    fn shut_down(&mut self) -> Result<()> {
        let id = i32::try_from(self.server.id()).context("a process id fits its own type")?;
        if self
            .server
            .try_wait()
            .context("cannot watch the server")?
            .is_none()
        {
            // SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
            kill(Pid::from_raw(id), Signal::SIGINT).context("cannot stop the PostgreSQL server")?;
            self.server
                .wait()
                .context("cannot wait for the PostgreSQL server")?;
        }
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            println!("warning: {error:#}");
        }
    }
}

/// The folder of the newest installed server's programs.
pub(crate) fn programs() -> Option<PathBuf> {
    let version_of = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join("bin/postgres").is_file())
        .max_by_key(|folder| version_of(folder))
        .map(|folder| folder.join("bin"));
    debian.or_else(|| Some(shell::find_program("postgres")?.parent()?.to_owned()))
}

/// `program` as a user PostgreSQL accepts (it refuses root), which dies with us: a killed run leaves no server behind.
fn as_server_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command
        .args(["--pdeathsig", "INT"])
        .arg(program)
        .current_dir(PARENT);
    command
}

fn create_folder() -> Result<PathBuf> {
    use std::os::unix::fs::{DirBuilderExt, chown};
    let folder = Path::new(PARENT).join(format!("{PREFIX}{}", std::process::id()));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    if geteuid().is_root() {
        let user = User::from_name("postgres")
            .context("cannot look up the user postgres")?
            .context("there is no user postgres: is the Debian package postgresql installed?")?;
        chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .with_context(|| format!("cannot give {} to postgres", folder.display()))?;
    }
    Ok(folder)
}

/// Removes folders of runs that were killed. What cannot be read or removed is another user's, and stays.
fn remove_abandoned() {
    for entry in fs::read_dir(PARENT).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

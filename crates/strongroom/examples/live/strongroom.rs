//! The service as users run it, told what to do by its own commands.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::domain::Domain;
use crate::tools::{Keeper, bytes_below, run};

const SIZE: &str = "4G";

/// Killed when dropped.
#[derive(Debug)]
struct Server(Child);

#[derive(Debug)]
pub(crate) struct Strongroom {
    program: PathBuf,
    data_dir: PathBuf,
    _server: Server,
    folder: PathBuf,
    disks: &'static [&'static str],
    /// The server and its disks that the next restore writes.
    target: Option<(String, Vec<String>)>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it has ended already, nothing is left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns when it can be asked.
fn start(serve: &mut Command) -> Result<Server> {
    let process = serve.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut server = Server(process.context("cannot start the service")?);
    let mut line = String::new();
    let printed = server.0.stdout.take().context("stdout is piped")?;
    BufReader::new(printed).read_line(&mut line)?;
    ensure!(
        line.starts_with("ready "),
        "the service is not ready: {line:?}"
    );
    Ok(server)
}

impl Strongroom {
    /// `mib_per_second` bounds what is read from machines, all together.
    pub(crate) fn start(
        domain: &Domain,
        program: &Path,
        mib_per_second: Option<u32>,
    ) -> Result<Self> {
        let scratch = domain.shared_folder("scratch")?;
        let mut serve = Command::new(program);
        let data_dir = domain.folder.join("strongroom");
        serve
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data_dir)
            .env("STRONGROOM__LOG__FILTER", "warn")
            .env("STRONGROOM__WORKER__SCRATCH_DIR", scratch);
        if let Some(bound) = mib_per_second {
            serve.env("STRONGROOM__WORKER__LIVE_MIB_PER_SECOND", bound.to_string());
        }
        let strongroom = Self {
            program: program.to_owned(),
            data_dir,
            _server: start(&mut serve)?,
            folder: domain.folder.clone(),
            disks: domain.disks,
            target: None,
        };
        let uri = domain.libvirt.uri();
        let mut asked = vec!["--libvirt", domain.name, "--libvirt-uri", &uri];
        let disks: Vec<String> = domain
            .disks
            .iter()
            .map(|disk| text(&domain.folder.join(disk)))
            .collect::<Result<_>>()?;
        for disk in &disks {
            asked.extend(["--disk", disk]);
        }
        strongroom.verb(&[&["server", "add", "--name", "machine"], &asked[..]].concat())?;
        let vault = "vault create --name live --object-type server --size 100";
        strongroom.verb(&vault.split(' ').collect::<Vec<_>>())?;
        strongroom.verb(&["vault", "add", "live", "machine"])?;
        Ok(strongroom)
    }

    fn verb(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["-o", "json", "--credentials"])
            .arg(self.data_dir.join("credentials.json"));
        serde_json::from_slice(&run(&mut command)?).context("a command prints JSON")
    }
}

impl Keeper for Strongroom {
    fn back_up(&mut self, _full: bool) -> Result<()> {
        self.verb(&["checkpoint", "create", "live", "--wait"])
            .map(drop)
    }

    fn prepare_restore(&mut self) -> Result<PathBuf> {
        let mut asked = vec!["server".to_owned(), "add".to_owned()];
        asked.extend(["--name".to_owned(), "new".to_owned()]);
        for disk in self.disks {
            let image = self.folder.join(format!("new-{disk}"));
            let mut create = Command::new("qemu-img");
            create.args(["create", "-q", "-f", "qcow2"]);
            run(create.arg(&image).arg(SIZE))?;
            asked.extend(["--disk".to_owned(), text(&image)?]);
        }
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let server = self.verb(&asked)?;
        let server = server.get("server").context("a server was added")?;
        let disks = server["volumes"].as_array().context("a server has disks")?;
        let disks = disks.iter().map(|disk| word(disk, "id"));
        self.target = Some((word(server, "id")?, disks.collect::<Result<_>>()?));
        Ok(self.folder.join(format!("new-{}", self.disks[0])))
    }

    fn restore(&mut self) -> Result<()> {
        let (server, disks) = self.target.as_ref().context("restores are prepared")?;
        let listed = self.verb(&["backup", "list", "--limit", "1"])?;
        let backup = listed.pointer("/backups/0").context("there is a backup")?;
        let id = word(backup, "id")?;
        let shown = self.verb(&["backup", "show", &id])?;
        let children = shown.pointer("/backup/children");
        let children = children.and_then(Value::as_array).context("it has disks")?;
        let mut asked: Vec<String> = ["backup", "restore", &id, "--server", server]
            .map(str::to_owned)
            .to_vec();
        for (child, disk) in children.iter().zip(disks) {
            let pair = format!("{}={disk}", word(child, "id")?);
            asked.extend(["--map".to_owned(), pair]);
        }
        asked.extend(["--stay-off", "--wait"].map(str::to_owned));
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        self.verb(&asked).map(drop)
    }

    /// The repository and all else but the database.
    fn kept_bytes(&self) -> Result<u64> {
        bytes_below(&self.data_dir.join("repositories"))
    }
}

fn word(object: &Value, name: &str) -> Result<String> {
    let word = object[name].as_str().map(str::to_owned);
    word.with_context(|| format!("no {name} in {object}"))
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| format!("{} is not UTF-8", path.display()))
}

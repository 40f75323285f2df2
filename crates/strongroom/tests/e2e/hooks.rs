//! The scripts of `docs/hooks`, which guests run at a freeze, beside real databases.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use sqlx::{Connection, PgConnection};
use strongroom_testkit::test_databases;

const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hooks");
const INSERT: &str = "SET lock_wait_timeout = 1; INSERT INTO lab.notes VALUES (1)";

fn hook(script: &str, word: &str) -> Command {
    let mut command = Command::new(Path::new(HOOKS).join(script));
    command.arg(word).stdin(Stdio::null());
    command
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

async fn last_checkpoint(connection: &mut PgConnection) -> String {
    let asked = "SELECT checkpoint_lsn::text FROM pg_control_checkpoint()";
    sqlx::query_scalar(asked)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn postgresql_is_checkpointed() {
    let databases = test_databases().await;
    let Some(database) = databases
        .iter()
        .find(|database| database.address.starts_with("postgres"))
    else {
        return;
    };
    let mut connection = PgConnection::connect(&database.address).await.unwrap();
    let before = last_checkpoint(&mut connection).await;
    sqlx::query("CREATE TABLE notes (id int)")
        .execute(&mut connection)
        .await
        .unwrap();
    succeeds(hook("postgresql.sh", "freeze").env("PGDATABASE", &database.address));
    assert_ne!(last_checkpoint(&mut connection).await, before);
    succeeds(&mut hook("postgresql.sh", "thaw"));
}

/// A server in a folder of its own, killed when dropped.
struct MariaDb {
    process: Child,
    folder: tempfile::TempDir,
}

impl MariaDb {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let data = format!("--datadir={place}/data");
        let user = format!(
            "--user={}",
            nix::unistd::User::from_uid(nix::unistd::getuid())
                .unwrap()
                .unwrap()
                .name
        );
        let defaults = ["--no-defaults", &data, &user];
        let mut install = Command::new("mariadb-install-db");
        succeeds(
            install
                .args(defaults)
                .arg("--auth-root-authentication-method=normal"),
        );
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "/usr/sbin/mariadbd"])
            .args(defaults)
            .arg(format!("--socket={place}/socket"))
            .arg("--skip-networking")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, folder };
        crate::live::site::until("MariaDB answers", || {
            UnixStream::connect(server.file("socket")).is_ok()
        })
        .await;
        server
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn client(&self) -> String {
        format!(
            "mariadb --no-defaults --user=root --socket={}",
            self.file("socket").display()
        )
    }

    fn run(&self, statements: &str) -> Output {
        let client = self.client();
        let mut words = client.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["--execute", statements])
            .output()
            .unwrap()
    }

    fn hook(&self, word: &str) {
        let mut hook = hook("mariadb.sh", word);
        succeeds(
            hook.env("CLIENT", self.client())
                .env("SESSION", self.file("session")),
        );
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn nobody_writes_to_mariadb_from_the_freeze_to_the_thaw() {
    let server = MariaDb::start().await;
    let made = "CREATE DATABASE lab; CREATE TABLE lab.notes (id INT) ENGINE = MyISAM";
    assert!(server.run(made).status.success());
    server.hook("thaw");
    for _ in 0..2 {
        server.hook("freeze");
        let refused = server.run(INSERT);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("Lock wait timeout exceeded"), "{said}");
        server.hook("thaw");
        let inserted = server.run(INSERT);
        assert!(inserted.status.success(), "{inserted:?}");
    }
    let count = server.run("SELECT COUNT(*) FROM lab.notes");
    assert_eq!(
        String::from_utf8_lossy(&count.stdout).lines().last(),
        Some("2")
    );
}

#[test]
fn every_script_is_one() {
    for script in ["postgresql.sh", "mariadb.sh", "mongodb.sh"] {
        let mut check = Command::new("sh");
        succeeds(check.arg("-n").arg(Path::new(HOOKS).join(script)));
        succeeds(&mut hook(script, "other"));
    }
}

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// The base address of a PostgreSQL server for tests, e.g. `postgres:///postgres?host=/run/x&user=postgres`.
const POSTGRES_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";

/// A file system in memory, which every commit need not wait for a disk on.
const IN_MEMORY: &str = "/dev/shm";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty database of one kind, gone with this value (SQLite) or with its server (PostgreSQL).
#[derive(Debug)]
pub struct TestDatabase {
    pub kind: &'static str,
    /// What `Db::open` takes.
    pub address: String,
    _directory: Option<TempDir>,
}

/// One empty database of each kind this machine can run.
///
/// `cargo xtask ci` starts the PostgreSQL server and names it in the environment. Without it, tests say so and
/// run on SQLite alone; where `CI=true` that is a failure, so that nothing is skipped in silence.
pub async fn test_databases() -> Vec<TestDatabase> {
    let mut databases = vec![sqlite()];
    match std::env::var(POSTGRES_VARIABLE).ok() {
        Some(base) => databases.push(postgres(&base).await),
        None => report_missing_postgres(),
    }
    databases
}

#[expect(
    clippy::print_stderr,
    reason = "a test's reader must see what did not run"
)]
fn report_missing_postgres() {
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !in_ci,
        "{POSTGRES_VARIABLE} is not set: run the tests with `cargo xtask test`"
    );
    eprintln!("{POSTGRES_VARIABLE} is not set: SQLite only (`cargo xtask test` runs both)");
}

fn sqlite() -> TestDatabase {
    let directory = tempfile::tempdir_in(IN_MEMORY)
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary folder");
    let address = format!("sqlite:{}", directory.path().join("test.db").display());
    TestDatabase {
        kind: "sqlite",
        address,
        _directory: Some(directory),
    }
}

async fn postgres(base: &str) -> TestDatabase {
    let name = format!(
        "test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let mut connection = PgConnection::connect(base)
        .await
        .expect("the test server answers");
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut connection)
        .await
        .expect("a fresh name");
    connection.close().await.expect("a clean end");
    let address = base.replacen("/postgres?", &format!("/{name}?"), 1);
    TestDatabase {
        kind: "postgres",
        address,
        _directory: None,
    }
}

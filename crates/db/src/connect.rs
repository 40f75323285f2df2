use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgPool, SqlitePool};

use crate::tx::Tx;
use crate::{Error, Result};

const POSTGRES_CONNECTIONS_MAX: u32 = 16;
const SQLITE_READERS_MAX: u32 = 4;
/// How long a caller waits for a connection, and SQLite for a lock, before it hears `Busy`.
const WAIT: Duration = Duration::from_secs(10);

/// A database whose schema is up to date. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
}

#[derive(Debug, Clone)]
enum Pool {
    /// SQLite has one writer; giving it a pool of its own makes waiting for it fair and visible.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

impl Db {
    /// Connects to `sqlite:PATH` (created when absent) or `postgres://…` and brings the schema up to date.
    pub async fn open(address: &str) -> Result<Self> {
        let pool = match address.split_once(':') {
            Some(("sqlite", _)) => open_sqlite(address).await?,
            Some(("postgres" | "postgresql", _)) => open_postgres(address).await?,
            _ => {
                return Err(Error::BadAddress {
                    address: address.to_owned(),
                });
            }
        };
        Ok(Self { pool })
    }

    /// Opens a transaction that may write. On SQLite it takes the write lock at once (BEGIN IMMEDIATE): a
    /// deferred transaction that reads and then writes can fail in a way no busy timeout retries.
    pub async fn begin(&self) -> Result<Tx> {
        let tx = match &self.pool {
            Pool::Sqlite { writer, .. } => Tx::sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres(pool) => begin_postgres(pool).await?,
        };
        Ok(tx.followed())
    }

    /// Opens a transaction that only reads, and does not wait for writers.
    pub async fn read(&self) -> Result<Tx> {
        match &self.pool {
            Pool::Sqlite { readers, .. } => Ok(Tx::sqlite(readers.begin().await?)),
            Pool::Postgres(pool) => begin_postgres(pool).await,
        }
    }

    /// Closes every connection; on SQLite this folds the write-ahead log into the file.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// Begins in a task of its own. A caller that is dropped between the driver's BEGIN and its answer, as when a
/// client hangs up, would leave the connection in the pool with a transaction open that nobody ends.
async fn begin_postgres(pool: &PgPool) -> Result<Tx> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await });
    match begun.await {
        Ok(transaction) => Ok(Tx::postgres(transaction?)),
        Err(stopped) => Err(sqlx::Error::Io(std::io::Error::other(stopped)).into()),
    }
}

async fn open_sqlite(address: &str) -> Result<Pool> {
    let options = SqliteConnectOptions::from_str(address)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What the API has acknowledged survives a power cut; NORMAL would not promise that in WAL mode.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(WAIT);
    let writer = sqlite_pool(1).connect_with(options.clone()).await?;
    sqlx::migrate!("./migrations/sqlite").run(&writer).await?;
    let readers = sqlite_pool(SQLITE_READERS_MAX)
        .connect_with(options)
        .await?;
    Ok(Pool::Sqlite { writer, readers })
}

/// SQLite ends a transaction by itself when its disk is full or fails. The driver does not notice, goes on counting
/// it as open and refuses every later one: such a connection is replaced before anyone gets it.
fn sqlite_pool(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(WAIT)
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
}

async fn open_postgres(address: &str) -> Result<Pool> {
    let options = PgConnectOptions::from_str(address)?.application_name("strongroom");
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(WAIT)
        .connect_with(options)
        .await?;
    sqlx::migrate!("./migrations/postgres").run(&pool).await?;
    Ok(Pool::Postgres(pool))
}

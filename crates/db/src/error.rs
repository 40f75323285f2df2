/// What went wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A uniqueness rule refused the row: somebody else was first.
    #[error("a row of that identity exists already")]
    Conflict(#[source] sqlx::Error),
    /// Try again: the database is locked, restarting or out of connections.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// The disk under the database is full.
    #[error("the database's disk is full")]
    Full(#[source] sqlx::Error),
    /// The schema was written by a newer version of this program.
    #[error("the database was written by a newer version (migration {migration})")]
    NewerVersion { migration: i64 },
    /// The address names no database this program can use.
    #[error("`{address}` is not a database address (sqlite:PATH or postgres://…)")]
    BadAddress { address: String },
    /// The page's marker is not a row of the list, or no longer one.
    #[error("the marker is not a row of the list")]
    UnknownMarker,
    /// Report it: a row, a query or the connection is not what the code believes.
    #[error("the database answered something unexpected")]
    Broken(#[source] sqlx::Error),
    #[error("the database schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

pub type Result<T> = std::result::Result<T, Error>;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => Self::Busy(error),
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Conflict(error)
            }
            // SQLite: 5 busy, 6 locked, 13 full, by the primary code in the low byte.
            // PostgreSQL: 40001 serialization, 40P01 deadlock, 57P0x shutting down, 53100 disk full.
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some("5" | "6" | "261" | "517" | "262" | "40001" | "40P01" | "57P01" | "57P03") => {
                    Self::Busy(error)
                }
                Some("13" | "53100") => Self::Full(error),
                _ => Self::Broken(error),
            },
            _ => Self::Broken(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            // The database knows a migration that this program does not.
            sqlx::migrate::MigrateError::VersionMissing(migration) => {
                Self::NewerVersion { migration }
            }
            other => Self::Migrate(other),
        }
    }
}

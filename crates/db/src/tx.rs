use std::sync::Arc;

use sqlx::{Postgres, Sqlite, Transaction};

use crate::{Result, Trail};

/// One transaction. Dropped without [`Tx::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Tx {
    pub(crate) inner: Inner,
    /// Whose record goes into the database with what this changes.
    trail: Option<Arc<Trail>>,
}

#[derive(Debug)]
pub(crate) enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Runs one expression on whichever connection is open; the compiler checks it once per database.
macro_rules! on {
    ($tx:expr, $connection:ident => $body:expr) => {
        match &mut $tx.inner {
            crate::tx::Inner::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
            crate::tx::Inner::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
        }
    };
}
pub(crate) use on;

impl Tx {
    pub(crate) const fn sqlite(transaction: Transaction<'static, Sqlite>) -> Self {
        Self {
            inner: Inner::Sqlite(transaction),
            trail: None,
        }
    }

    pub(crate) const fn postgres(transaction: Transaction<'static, Postgres>) -> Self {
        Self {
            inner: Inner::Postgres(transaction),
            trail: None,
        }
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::Sqlite(_) => Dialect::Sqlite,
            Inner::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The same transaction, which takes the record of the request that this task serves along.
    pub(crate) fn followed(self) -> Self {
        Self {
            trail: Trail::current(),
            ..self
        }
    }

    pub async fn commit(mut self) -> Result<()> {
        let trail = self.trail.take();
        if let Some(trail) = &trail {
            self.insert_audit(&trail.record()).await?;
        }
        match self.inner {
            Inner::Sqlite(transaction) => transaction.commit().await?,
            Inner::Postgres(transaction) => transaction.commit().await?,
        }
        if let Some(trail) = trail {
            trail.set_written();
        }
        Ok(())
    }
}

//! How late it is for locked vaults: one row.

use strongroom_types::Timestamp;

use crate::tx::on;
use crate::{Result, Tx};

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct TrustedClock {
    pub trusted_at: Timestamp,
    /// How much of a time without any worker is still believed.
    pub credit_micros: i64,
}

impl Tx {
    /// `None` until the first worker has looked at its clock.
    pub async fn find_trusted_clock(&mut self) -> Result<Option<TrustedClock>> {
        const SQL: &str = "SELECT trusted_at, credit_micros FROM trusted_clock WHERE id = 1";
        Ok(on!(self, c => sqlx::query_as::<_, TrustedClock>(SQL).fetch_optional(c).await)?)
    }

    /// Reads the row and takes its lock until the transaction ends.
    pub async fn lock_trusted_clock(&mut self) -> Result<Option<TrustedClock>> {
        const SQL: &str = "UPDATE trusted_clock SET credit_micros = credit_micros WHERE id = 1 RETURNING trusted_at, credit_micros";
        Ok(on!(self, c => sqlx::query_as::<_, TrustedClock>(SQL).fetch_optional(c).await)?)
    }

    /// `Conflict` when another worker was first.
    pub async fn insert_trusted_clock(&mut self, clock: &TrustedClock) -> Result<()> {
        const SQL: &str =
            "INSERT INTO trusted_clock (id, trusted_at, credit_micros) VALUES (1, $1, $2)";
        on!(self, c => sqlx::query(SQL).bind(clock.trusted_at).bind(clock.credit_micros)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Moves the clock; `false` when it stands later already, for it never goes back.
    pub async fn update_trusted_clock(&mut self, clock: &TrustedClock) -> Result<bool> {
        const SQL: &str = "UPDATE trusted_clock SET trusted_at = $1, credit_micros = $2 WHERE id = 1 AND trusted_at <= $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(clock.trusted_at).bind(clock.credit_micros)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}

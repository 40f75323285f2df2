//! Which storage of another installation a hybrid vault shows.

use sqlx::AssertSqlSafe;
use strongroom_types::VaultId;

use crate::tx::on;
use crate::{JsonText, Result, Tx};

/// The name is one of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StorageUnit {
    pub vault_id: VaultId,
    pub name: String,
}

impl Tx {
    /// `Conflict` when another vault has the unit.
    pub async fn insert_storage_unit(&mut self, unit: &StorageUnit) -> Result<()> {
        const SQL: &str = "INSERT INTO storage_unit (vault_id, name) VALUES ($1, $2)";
        on!(self, c => sqlx::query(SQL).bind(&unit.vault_id).bind(&unit.name).execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_storage_unit(&mut self, name: &str) -> Result<Option<StorageUnit>> {
        const SQL: &str = "SELECT * FROM storage_unit WHERE name = $1";
        Ok(
            on!(self, c => sqlx::query_as::<_, StorageUnit>(SQL).bind(name).fetch_optional(c).await)?,
        )
    }

    /// By vault; vaults without a unit are passed over.
    pub async fn storage_units_of_vaults(&mut self, ids: &[VaultId]) -> Result<Vec<StorageUnit>> {
        let sql = format!(
            "SELECT * FROM storage_unit WHERE vault_id IN ({}) ORDER BY vault_id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, StorageUnit>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// `false` when the vault has none.
    pub async fn delete_storage_unit(&mut self, vault: &VaultId) -> Result<bool> {
        const SQL: &str = "DELETE FROM storage_unit WHERE vault_id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(vault).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}

//! What was known about a machine when its backup began.

use strongroom_types::BackupId;

use crate::tx::on;
use crate::{Result, Tx};

impl Tx {
    /// `snapshot` is the service's JSON; it goes with the backup.
    pub async fn insert_backup_metadata(
        &mut self,
        backup: &BackupId,
        snapshot: &str,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO backup_metadata (backup_id, snapshot) VALUES ($1, $2)";
        on!(self, c => sqlx::query(SQL).bind(backup).bind(snapshot).execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_backup_metadata(&mut self, backup: &BackupId) -> Result<Option<String>> {
        const SQL: &str = "SELECT snapshot FROM backup_metadata WHERE backup_id = $1";
        let found = on!(self, c => sqlx::query_as::<_, (String,)>(SQL).bind(backup).fetch_optional(c).await)?;
        Ok(found.map(|(snapshot,)| snapshot))
    }
}

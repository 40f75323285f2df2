//! What the machines of servers' backups were made of.

use strongroom_types::{BackupId, MachineRecord, ProjectId, ResourceId};

use crate::tx::on;
use crate::{JsonText, Result, Tx};

impl Tx {
    pub async fn insert_backup_machine(
        &mut self,
        backup: &BackupId,
        record: &MachineRecord,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO backup_machine (backup_id, record) VALUES ($1, $2)";
        on!(self, c => sqlx::query(SQL).bind(backup).bind(JsonText(record))
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Of a server's backup.
    pub async fn find_backup_machine(
        &mut self,
        backup: &BackupId,
    ) -> Result<Option<MachineRecord>> {
        const SQL: &str = "SELECT record FROM backup_machine WHERE backup_id = $1";
        let found = on!(self, c => sqlx::query_as::<_, (JsonText<MachineRecord>,)>(SQL)
            .bind(backup).fetch_optional(c).await)?;
        Ok(found.map(|(record,)| record.0))
    }

    /// Of the newest backup of a server that has one.
    pub async fn newest_machine_of(
        &mut self,
        project: &ProjectId,
        server: &ResourceId,
    ) -> Result<Option<MachineRecord>> {
        const SQL: &str = "SELECT m.record FROM backup_machine m JOIN backup b ON b.id = m.backup_id \
             WHERE b.project_id = $1 AND b.resource_id = $2 ORDER BY b.created_at DESC, b.id DESC LIMIT 1";
        let found = on!(self, c => sqlx::query_as::<_, (JsonText<MachineRecord>,)>(SQL)
            .bind(project).bind(server).fetch_optional(c).await)?;
        Ok(found.map(|(record,)| record.0))
    }
}

//! What no vault protects, and the tags by which vaults choose among it.

use sqlx::AssertSqlSafe;
use strongroom_types::{ProjectId, ResourceId, ResourceType, VaultId};

use crate::json_text::list_or_null;
use crate::page::stored;
use crate::tx::on;
use crate::{Result, Tag, Tx};

impl Tx {
    /// Replaces the tags of a server or volume.
    pub async fn set_inventory_tags(&mut self, id: &ResourceId, tags: &[Tag]) -> Result<()> {
        const CLEAR: &str = "DELETE FROM inventory_tag WHERE resource_id = $1";
        const SQL: &str = "INSERT INTO inventory_tag (resource_id, key, value) VALUES ($1, $2, $3)";
        on!(self, c => sqlx::query(CLEAR).bind(id).execute(c).await.map(|_| ()))?;
        for tag in tags {
            on!(self, c => sqlx::query(SQL).bind(id).bind(&tag.key).bind(&tag.value)
                .execute(c).await.map(|_| ()))?;
        }
        Ok(())
    }

    /// By key.
    pub async fn inventory_tags_of(&mut self, id: &ResourceId) -> Result<Vec<Tag>> {
        const SQL: &str =
            "SELECT key, value FROM inventory_tag WHERE resource_id = $1 ORDER BY key";
        let found =
            on!(self, c => sqlx::query_as::<_, (String, String)>(SQL).bind(id).fetch_all(c).await)?;
        let tag = |(key, value)| Tag { key, value };
        Ok(found.into_iter().map(tag).collect())
    }

    /// Servers or volumes of a project that no vault protects, neither by themselves nor as a server or a disk of one;
    /// with one of these tags, unless there are none. The oldest first.
    pub async fn unprotected_resources(
        &mut self,
        project: &ProjectId,
        resource_type: ResourceType,
        tags: &[Tag],
        limit: u64,
    ) -> Result<Vec<ResourceId>> {
        let (table, own, other) = match resource_type {
            ResourceType::Server => ("server", "server_id", "volume_id"),
            _ => ("volume", "volume_id", "server_id"),
        };
        let sql = format!(
            "SELECT id FROM {table} WHERE project_id = $1 \
             AND NOT EXISTS (SELECT 1 FROM vault_resource r WHERE r.resource_id = {table}.id) \
             AND NOT EXISTS (SELECT 1 FROM server_volume a JOIN vault_resource r ON r.resource_id = a.{other} WHERE a.{own} = {table}.id) \
             AND (CAST($2 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM inventory_tag t WHERE t.resource_id = {table}.id \
                  AND t.key || '=' || t.value IN ({values}))) ORDER BY created_at, id LIMIT $3",
            values = self.dialect().values_of("$2")
        );
        // No key holds an equals sign.
        let tags: Vec<String> = tags
            .iter()
            .map(|tag| format!("{}={}", tag.key, tag.value))
            .collect();
        let found = on!(self, c => sqlx::query_as::<_, (ResourceId,)>(AssertSqlSafe(sql))
            .bind(project).bind(list_or_null(&tags)).bind(stored(limit)).fetch_all(c).await)?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// Vaults that take in what nobody protects, by id.
    pub async fn auto_bind_vaults(&mut self) -> Result<Vec<VaultId>> {
        const SQL: &str = "SELECT id FROM vault WHERE auto_bind = $1 AND protect_type = 'backup' \
             AND status IN ('available', 'lock') ORDER BY id";
        let found =
            on!(self, c => sqlx::query_as::<_, (VaultId,)>(SQL).bind(true).fetch_all(c).await)?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }
}

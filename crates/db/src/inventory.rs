//! What can be protected: volumes, and the servers they are attached to.

use sqlx::AssertSqlSafe;
use strongroom_types::{ProjectId, ServerId, Timestamp, VolumeFormat, VolumeId};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{JsonText, Listed, Page, Result, Tx};

/// A disk: a file or device on this host.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Volume {
    pub id: VolumeId,
    pub project_id: ProjectId,
    pub name: String,
    /// Absolute; one volume per path in the whole installation.
    pub path: String,
    pub format: VolumeFormat,
    /// As of the last look at the file.
    #[sqlx(try_from = "i64")]
    pub size_bytes: u64,
    pub version: i64,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Server {
    pub id: ServerId,
    pub project_id: ProjectId,
    pub name: String,
    pub qmp_socket: Option<String>,
    pub guest_agent_socket: Option<String>,
    /// With [`libvirt_domain`](Self::libvirt_domain), or not at all.
    pub libvirt_uri: Option<String>,
    pub libvirt_domain: Option<String>,
    pub created_at: Timestamp,
}

/// A volume in its place on a server; position 0 is the system disk.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Attachment {
    pub volume_id: VolumeId,
    pub server_id: ServerId,
    #[sqlx(try_from = "i64")]
    pub position: u64,
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct InventoryFilter {
    /// The whole name.
    pub name: Option<String>,
    pub id: Option<String>,
    /// Volumes attached to this server; for servers, the same as `id`.
    pub server_id: Option<ServerId>,
}

impl Tx {
    /// `Conflict` when the id or the path is taken.
    pub async fn insert_volume(&mut self, volume: &Volume) -> Result<()> {
        const SQL: &str = "INSERT INTO volume (id, project_id, name, path, format, size_bytes, version, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on!(self, c => sqlx::query(SQL)
            .bind(&volume.id).bind(&volume.project_id).bind(&volume.name).bind(&volume.path)
            .bind(volume.format).bind(stored(volume.size_bytes)).bind(volume.version).bind(volume.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// `Conflict` when the id is taken.
    pub async fn insert_server(&mut self, server: &Server) -> Result<()> {
        const SQL: &str = "INSERT INTO server (id, project_id, name, qmp_socket, guest_agent_socket, libvirt_uri, libvirt_domain, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on!(self, c => sqlx::query(SQL)
            .bind(&server.id).bind(&server.project_id).bind(&server.name)
            .bind(&server.qmp_socket).bind(&server.guest_agent_socket)
            .bind(&server.libvirt_uri).bind(&server.libvirt_domain).bind(server.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn insert_attachment(&mut self, attachment: &Attachment) -> Result<()> {
        const SQL: &str =
            "INSERT INTO server_volume (volume_id, server_id, position) VALUES ($1, $2, $3)";
        on!(self, c => sqlx::query(SQL)
            .bind(&attachment.volume_id).bind(&attachment.server_id).bind(stored(attachment.position))
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_volume(&mut self, id: &VolumeId) -> Result<Option<Volume>> {
        const SQL: &str = "SELECT * FROM volume WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Volume>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// The volume of any project that has this path.
    pub async fn find_volume_at(&mut self, path: &str) -> Result<Option<Volume>> {
        const SQL: &str = "SELECT * FROM volume WHERE path = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Volume>(SQL).bind(path).fetch_optional(c).await)?)
    }

    pub async fn find_server(&mut self, id: &ServerId) -> Result<Option<Server>> {
        const SQL: &str = "SELECT * FROM server WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Server>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// By name.
    pub async fn list_volumes(
        &mut self,
        project: &ProjectId,
        filter: &InventoryFilter,
        page: &Page,
    ) -> Result<Listed<Volume>> {
        const MATCHING: &str = "FROM volume WHERE project_id = $1 \
             AND (CAST($2 AS TEXT) IS NULL OR name = $2) AND (CAST($3 AS TEXT) IS NULL OR id = $3) \
             AND (CAST($4 AS TEXT) IS NULL OR id IN (SELECT volume_id FROM server_volume WHERE server_id = $4))";
        const ORDER: &str = "name, id";
        let extent = page.extent_sql(MATCHING, ORDER, "$5");
        let extent = on!(self, c => sqlx::query_as::<_, Extent>(AssertSqlSafe(extent))
            .bind(project).bind(&filter.name).bind(&filter.id).bind(&filter.server_id)
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $5 OFFSET $6");
        let rows = on!(self, c => sqlx::query_as::<_, Volume>(AssertSqlSafe(sql))
            .bind(project).bind(&filter.name).bind(&filter.id).bind(&filter.server_id)
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// By name.
    pub async fn list_servers(
        &mut self,
        project: &ProjectId,
        filter: &InventoryFilter,
        page: &Page,
    ) -> Result<Listed<Server>> {
        const MATCHING: &str = "FROM server WHERE project_id = $1 \
             AND (CAST($2 AS TEXT) IS NULL OR name = $2) AND (CAST($3 AS TEXT) IS NULL OR id = $3) \
             AND (CAST($4 AS TEXT) IS NULL OR id = $4)";
        const ORDER: &str = "name, id";
        let extent = page.extent_sql(MATCHING, ORDER, "$5");
        let extent = on!(self, c => sqlx::query_as::<_, Extent>(AssertSqlSafe(extent))
            .bind(project).bind(&filter.name).bind(&filter.id).bind(&filter.server_id)
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $5 OFFSET $6");
        let rows = on!(self, c => sqlx::query_as::<_, Server>(AssertSqlSafe(sql))
            .bind(project).bind(&filter.name).bind(&filter.id).bind(&filter.server_id)
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Those of all projects that have a monitor or are libvirt's, by id.
    pub async fn servers_with_monitors(&mut self) -> Result<Vec<Server>> {
        const SQL: &str = "SELECT * FROM server WHERE qmp_socket IS NOT NULL OR libvirt_domain IS NOT NULL ORDER BY id";
        Ok(on!(self, c => sqlx::query_as::<_, Server>(SQL).fetch_all(c).await)?)
    }

    /// The volumes of these ids, by id; unknown ids are passed over.
    pub async fn volumes_by_id(&mut self, ids: &[VolumeId]) -> Result<Vec<Volume>> {
        let sql = format!(
            "SELECT * FROM volume WHERE id IN ({}) ORDER BY id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Volume>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// The servers of these ids, by id; unknown ids are passed over.
    pub async fn servers_by_id(&mut self, ids: &[ServerId]) -> Result<Vec<Server>> {
        let sql = format!(
            "SELECT * FROM server WHERE id IN ({}) ORDER BY id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Server>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// What is attached to these servers, by server and position.
    pub async fn attachments_of_servers(&mut self, ids: &[ServerId]) -> Result<Vec<Attachment>> {
        let sql = format!(
            "SELECT * FROM server_volume WHERE server_id IN ({}) ORDER BY server_id, position",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Attachment>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// Where these volumes are attached, by server and position.
    pub async fn attachments_of_volumes(&mut self, ids: &[VolumeId]) -> Result<Vec<Attachment>> {
        let sql = format!(
            "SELECT * FROM server_volume WHERE volume_id IN ({}) ORDER BY server_id, position",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Attachment>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// Takes a volume's lock until the transaction ends; `false` when it is gone. Lock several in the order of
    /// their ids, and a vault before any volume.
    pub async fn lock_volume(&mut self, id: &VolumeId) -> Result<bool> {
        const SQL: &str = "UPDATE volume SET version = version + 1 WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    pub async fn update_volume_size(&mut self, id: &VolumeId, size_bytes: u64) -> Result<bool> {
        const SQL: &str = "UPDATE volume SET size_bytes = $1 WHERE id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(stored(size_bytes)).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// The volume must be attached to no server.
    pub async fn delete_volume(&mut self, id: &VolumeId) -> Result<bool> {
        const TAGS: &str = "DELETE FROM inventory_tag WHERE resource_id = $1";
        const SQL: &str = "DELETE FROM volume WHERE id = $1";
        on!(self, c => sqlx::query(TAGS).bind(id).execute(c).await.map(|_| ()))?;
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Where its machine can be reached.
    pub async fn update_server_sockets(&mut self, server: &Server) -> Result<()> {
        const SQL: &str =
            "UPDATE server SET qmp_socket = $1, guest_agent_socket = $2 WHERE id = $3";
        on!(self, c => sqlx::query(SQL).bind(&server.qmp_socket).bind(&server.guest_agent_socket).bind(&server.id)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn detach_all(&mut self, server: &ServerId) -> Result<()> {
        const SQL: &str = "DELETE FROM server_volume WHERE server_id = $1";
        on!(self, c => sqlx::query(SQL).bind(server).execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Deletes a server and detaches its volumes.
    pub async fn delete_server(&mut self, id: &ServerId) -> Result<bool> {
        const TAGS: &str = "DELETE FROM inventory_tag WHERE resource_id = $1";
        const SQL: &str = "DELETE FROM server WHERE id = $1";
        on!(self, c => sqlx::query(TAGS).bind(id).execute(c).await.map(|_| ()))?;
        self.detach_all(id).await?;
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}

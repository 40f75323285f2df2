//! Agents that back up files of machines outside the inventory, and their directories.

use sqlx::AssertSqlSafe;
use strongroom_types::{AgentId, AgentPathId, ProjectId, Timestamp};

use crate::json_text::list_or_null;
use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{JsonText, Listed, Page, Result, Tx};

/// As it described itself when it registered last.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FileAgent {
    pub id: AgentId,
    pub project_id: ProjectId,
    pub agent_type: String,
    pub agent_version: String,
    pub host_ip: String,
    pub host_name: String,
    pub host_nickname: String,
    pub host_os: String,
    /// It was told to go.
    pub uninstalling: bool,
    pub last_active_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FileAgentPath {
    pub id: AgentPathId,
    pub agent_id: AgentId,
    pub dir_path: String,
    /// Directories below it that are left out.
    pub exclude_paths: JsonText<Vec<String>>,
    pub created_at: Timestamp,
}

/// Absent or empty fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct FileAgentFilter {
    pub ids: Vec<AgentId>,
    pub uninstalling: Option<bool>,
    /// Heard of at or after this moment.
    pub active_since: Option<Timestamp>,
    /// Not heard of since this moment.
    pub silent_since: Option<Timestamp>,
}

impl Tx {
    /// Writes what an agent says of itself, and that it is there; `false` when its id belongs to another project.
    pub async fn register_file_agent(&mut self, agent: &FileAgent) -> Result<bool> {
        const SQL: &str = "INSERT INTO file_agent (id, project_id, agent_type, agent_version, host_ip, host_name, host_nickname, \
             host_os, uninstalling, last_active_at, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (id) DO UPDATE SET agent_type = excluded.agent_type, agent_version = excluded.agent_version, \
             host_ip = excluded.host_ip, host_name = excluded.host_name, host_nickname = excluded.host_nickname, \
             host_os = excluded.host_os, uninstalling = excluded.uninstalling, last_active_at = excluded.last_active_at, \
             updated_at = excluded.updated_at WHERE file_agent.project_id = excluded.project_id";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&agent.id).bind(&agent.project_id).bind(&agent.agent_type).bind(&agent.agent_version)
            .bind(&agent.host_ip).bind(&agent.host_name).bind(&agent.host_nickname).bind(&agent.host_os)
            .bind(agent.uninstalling).bind(agent.last_active_at).bind(agent.created_at).bind(agent.updated_at)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    pub async fn find_file_agent(&mut self, id: &AgentId) -> Result<Option<FileAgent>> {
        const SQL: &str = "SELECT * FROM file_agent WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, FileAgent>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Reads an agent and holds the row until the transaction ends, so that its paths are counted right.
    pub async fn lock_file_agent(&mut self, id: &AgentId) -> Result<Option<FileAgent>> {
        const SQL: &str = "UPDATE file_agent SET host_name = host_name WHERE id = $1 RETURNING *";
        Ok(on!(self, c => sqlx::query_as::<_, FileAgent>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Newest first.
    pub async fn list_file_agents(
        &mut self,
        project: &ProjectId,
        filter: &FileAgentFilter,
        page: &Page,
    ) -> Result<Listed<FileAgent>> {
        const ORDER: &str = "created_at DESC, id DESC";
        let matching = format!(
            "FROM file_agent WHERE project_id = $1 AND (CAST($2 AS TEXT) IS NULL OR id IN ({ids})) \
             AND (CAST($3 AS BOOLEAN) IS NULL OR uninstalling = $3) \
             AND (CAST($4 AS BIGINT) IS NULL OR last_active_at >= $4) AND (CAST($5 AS BIGINT) IS NULL OR last_active_at < $5)",
            ids = self.dialect().values_of("$2"),
        );
        macro_rules! bound {
            ($query:expr) => {
                $query
                    .bind(project)
                    .bind(list_or_null(&filter.ids))
                    .bind(filter.uninstalling)
                    .bind(filter.active_since)
                    .bind(filter.silent_since)
            };
        }
        let extent = page.extent_sql(&matching, ORDER, "$6");
        let extent = on!(self, c => bound!(sqlx::query_as::<_, Extent>(AssertSqlSafe(extent)))
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {matching} ORDER BY {ORDER} LIMIT $6 OFFSET $7");
        let rows = on!(self, c => bound!(sqlx::query_as::<_, FileAgent>(AssertSqlSafe(sql)))
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Notes that an agent was told to go.
    pub async fn uninstall_file_agent(&mut self, id: &AgentId, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE file_agent SET uninstalling = $2, updated_at = $3 WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).bind(true).bind(now)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Forgets an agent and its paths.
    pub async fn delete_file_agent(&mut self, id: &AgentId) -> Result<bool> {
        const SQL: &str = "DELETE FROM file_agent WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// By agent, in the order they were added.
    pub async fn paths_of_file_agents(&mut self, agents: &[AgentId]) -> Result<Vec<FileAgentPath>> {
        let sql = format!(
            "SELECT * FROM file_agent_path WHERE agent_id IN ({}) ORDER BY agent_id, created_at, dir_path",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, FileAgentPath>(AssertSqlSafe(sql)).bind(JsonText(agents)).fetch_all(c).await)?,
        )
    }

    /// Adds a path, or writes what an existing one leaves out.
    pub async fn upsert_file_agent_path(&mut self, path: &FileAgentPath) -> Result<()> {
        const SQL: &str = "INSERT INTO file_agent_path (id, agent_id, dir_path, exclude_paths, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (agent_id, dir_path) DO UPDATE SET exclude_paths = excluded.exclude_paths";
        on!(self, c => sqlx::query(SQL)
            .bind(&path.id).bind(&path.agent_id).bind(&path.dir_path).bind(&path.exclude_paths).bind(path.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn delete_file_agent_path(&mut self, agent: &AgentId, path: &str) -> Result<bool> {
        const SQL: &str = "DELETE FROM file_agent_path WHERE agent_id = $1 AND dir_path = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(agent).bind(path)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}

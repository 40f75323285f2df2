//! Members: the projects that a backup is offered to, and what they answered.

use sqlx::AssertSqlSafe;
use strongroom_types::{
    BackupId, MemberId, MemberStatus, ProjectId, ResourceId, Timestamp, VaultId,
};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{Direction, JsonText, Listed, Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Member {
    pub id: MemberId,
    pub backup_id: BackupId,
    /// The receiver.
    pub dest_project_id: ProjectId,
    pub status: MemberStatus,
    /// The receiver's vault; set while the status is `accepted`.
    pub vault_id: Option<VaultId>,
    /// What the backup takes of that vault; 0 until it is measured.
    #[sqlx(try_from = "i64")]
    pub accounted_bytes: u64,
    pub created_at: Timestamp,
    /// Of the receiver's last answer.
    pub updated_at: Option<Timestamp>,
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct MemberFilter {
    pub dest_project_id: Option<ProjectId>,
    pub status: Option<MemberStatus>,
    pub vault_id: Option<VaultId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberSortKey {
    CreatedAt,
    UpdatedAt,
    Status,
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberSort {
    pub key: MemberSortKey,
    pub direction: Direction,
}

/// What ORDER BY says for a sort; the id makes every order total.
fn order(sort: &[MemberSort]) -> String {
    let mut order = String::new();
    for MemberSort { key, direction } in sort {
        order.push_str(match key {
            MemberSortKey::CreatedAt => "created_at",
            // Offers that were not answered come before all others, on both databases.
            MemberSortKey::UpdatedAt => "COALESCE(updated_at, 0)",
            MemberSortKey::Status => "status",
            MemberSortKey::Id => "id",
        });
        order.push_str(match direction {
            Direction::Ascending => " ASC, ",
            Direction::Descending => " DESC, ",
        });
    }
    if sort.is_empty() {
        order.push_str("created_at DESC, ");
    }
    order.push_str("id DESC");
    order
}

impl Tx {
    /// `Conflict` when the backup is offered to the project already.
    pub async fn insert_member(&mut self, member: &Member) -> Result<()> {
        const SQL: &str = "INSERT INTO backup_member (id, backup_id, dest_project_id, status, vault_id, accounted_bytes, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on!(self, c => sqlx::query(SQL)
            .bind(&member.id).bind(&member.backup_id).bind(&member.dest_project_id).bind(member.status)
            .bind(&member.vault_id).bind(stored(member.accounted_bytes)).bind(member.created_at).bind(member.updated_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_member(
        &mut self,
        backup: &BackupId,
        project: &ProjectId,
    ) -> Result<Option<Member>> {
        const SQL: &str =
            "SELECT * FROM backup_member WHERE backup_id = $1 AND dest_project_id = $2";
        Ok(
            on!(self, c => sqlx::query_as::<_, Member>(SQL).bind(backup).bind(project).fetch_optional(c).await)?,
        )
    }

    pub async fn find_member_by_id(&mut self, id: &MemberId) -> Result<Option<Member>> {
        const SQL: &str = "SELECT * FROM backup_member WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Member>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Newest first unless `sort` says otherwise.
    pub async fn list_members(
        &mut self,
        backup: &BackupId,
        filter: &MemberFilter,
        sort: &[MemberSort],
        page: &Page,
    ) -> Result<Listed<Member>> {
        const MATCHING: &str = "FROM backup_member WHERE backup_id = $1 AND (CAST($2 AS TEXT) IS NULL OR dest_project_id = $2) \
             AND (CAST($3 AS TEXT) IS NULL OR status = $3) AND (CAST($4 AS TEXT) IS NULL OR vault_id = $4)";
        let order = order(sort);
        let extent = page.extent_sql(MATCHING, &order, "$5");
        let extent = on!(self, c => sqlx::query_as::<_, Extent>(AssertSqlSafe(extent))
            .bind(backup).bind(&filter.dest_project_id).bind(filter.status).bind(&filter.vault_id)
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {order} LIMIT $5 OFFSET $6");
        let rows = on!(self, c => sqlx::query_as::<_, Member>(AssertSqlSafe(sql))
            .bind(backup).bind(&filter.dest_project_id).bind(filter.status).bind(&filter.vault_id)
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// What of these backups is offered to a project.
    pub async fn members_of_project(
        &mut self,
        project: &ProjectId,
        backups: &[BackupId],
    ) -> Result<Vec<Member>> {
        let sql = format!(
            "SELECT * FROM backup_member WHERE dest_project_id = $1 AND backup_id IN ({}) ORDER BY backup_id",
            self.dialect().values_of("$2")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Member>(AssertSqlSafe(sql)).bind(project).bind(JsonText(backups)).fetch_all(c).await)?,
        )
    }

    /// The members of a vault's backups; of those of one resource when it is given.
    pub async fn members_of_backups_in(
        &mut self,
        vault: &VaultId,
        resource: Option<&ResourceId>,
    ) -> Result<Vec<Member>> {
        const SQL: &str = "SELECT m.* FROM backup_member m JOIN backup b ON b.id = m.backup_id WHERE b.vault_id = $1 \
             AND (CAST($2 AS TEXT) IS NULL OR b.resource_id = $2) ORDER BY m.id";
        Ok(
            on!(self, c => sqlx::query_as::<_, Member>(SQL).bind(vault).bind(resource).fetch_all(c).await)?,
        )
    }

    pub async fn members_of_backup(&mut self, backup: &BackupId) -> Result<Vec<Member>> {
        const SQL: &str = "SELECT * FROM backup_member WHERE backup_id = $1 ORDER BY id";
        Ok(on!(self, c => sqlx::query_as::<_, Member>(SQL).bind(backup).fetch_all(c).await)?)
    }

    /// Whether a project offers any backup to another, whatever that has answered.
    pub async fn shares_with(&mut self, owner: &ProjectId, receiver: &ProjectId) -> Result<bool> {
        const SQL: &str = "SELECT m.* FROM backup_member m JOIN backup b ON b.id = m.backup_id \
             WHERE b.project_id = $1 AND m.dest_project_id = $2 LIMIT 1";
        let found = on!(self, c => sqlx::query_as::<_, Member>(SQL).bind(owner).bind(receiver).fetch_optional(c).await)?;
        Ok(found.is_some())
    }

    /// What other projects offered and this vault took.
    pub async fn members_accepted_in(&mut self, vault: &VaultId) -> Result<Vec<Member>> {
        const SQL: &str = "SELECT * FROM backup_member WHERE vault_id = $1 ORDER BY id";
        Ok(on!(self, c => sqlx::query_as::<_, Member>(SQL).bind(vault).fetch_all(c).await)?)
    }

    /// What the accepted backups of other projects take of a vault.
    pub async fn accounted_bytes_in(&mut self, vault: &VaultId) -> Result<u64> {
        const SQL: &str = "SELECT CAST(COALESCE(SUM(accounted_bytes), 0) AS BIGINT) FROM backup_member WHERE vault_id = $1";
        let (bytes,) =
            on!(self, c => sqlx::query_as::<_, (i64,)>(SQL).bind(vault).fetch_one(c).await)?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Writes a receiver's answer; `false` when the status is no longer `from`.
    pub async fn answer_member(&mut self, member: &Member, from: MemberStatus) -> Result<bool> {
        const SQL: &str = "UPDATE backup_member SET status = $3, vault_id = $4, accounted_bytes = $5, updated_at = $6 \
             WHERE id = $1 AND status = $2";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&member.id).bind(from).bind(member.status).bind(&member.vault_id)
            .bind(stored(member.accounted_bytes)).bind(member.updated_at)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Writes what an accepted backup takes of the vault; `false` when that vault does not hold it.
    pub async fn account_member(
        &mut self,
        id: &MemberId,
        vault: &VaultId,
        bytes: u64,
    ) -> Result<bool> {
        const SQL: &str =
            "UPDATE backup_member SET accounted_bytes = $3 WHERE id = $1 AND vault_id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).bind(vault).bind(stored(bytes))
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    pub async fn delete_member(&mut self, id: &MemberId) -> Result<bool> {
        const SQL: &str = "DELETE FROM backup_member WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Restores by other projects that have not ended and read backups of a vault; of one resource or of one
    /// backup when it is given.
    pub async fn count_restores_by_members(
        &mut self,
        vault: &VaultId,
        resource: Option<&ResourceId>,
        backup: Option<&BackupId>,
    ) -> Result<u64> {
        const SQL: &str = "SELECT COUNT(*) FROM restore r JOIN backup b ON b.id = r.backup_id LEFT JOIN backup top ON top.id = b.parent_id \
             WHERE r.member_id IS NOT NULL AND b.vault_id = $1 \
             AND (CAST($2 AS TEXT) IS NULL OR COALESCE(top.resource_id, b.resource_id) = $2) \
             AND (CAST($3 AS TEXT) IS NULL OR COALESCE(b.parent_id, b.id) = $3)";
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(SQL).bind(vault).bind(resource).bind(backup).fetch_one(c).await)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

//! The list of backups: its filters and its order.

use sqlx::AssertSqlSafe;
use strongroom_types::{MemberStatus, ProjectId};

use crate::backups::{
    Backup, BackupFilter, BackupSort, BackupSortKey, Direction, Ownership, RetentionFilter,
};
use crate::conditions::{Conditions, Matching, OF_PROJECT_TOO, boolean, number, text};
use crate::json_text::list_or_null;
use crate::page::{Extent, NEWEST, NewestExtent, stored};
use crate::tx::{Dialect, on};
use crate::{JsonText, Listed, Page, Result, Tx};

/// Binds the project and a filter, `$1` to `$16`; see `matching_backups`.
macro_rules! bind_filter {
    ($query:expr, $project:expr, $filter:expr) => {
        $query
            .bind($project)
            .bind(&$filter.checkpoint_id)
            .bind(&$filter.vault_id)
            .bind(&$filter.resource_id)
            .bind($filter.resource_type)
            .bind(&$filter.resource_name)
            .bind(&$filter.name)
            .bind($filter.image_type)
            .bind(list_or_null(&$filter.statuses))
            .bind(&$filter.parent_id)
            .bind($filter.start_time)
            .bind($filter.end_time)
            .bind($filter.incremental)
            .bind($filter.used_percent.map(stored))
            .bind(&$filter.enterprise_project_id)
            .bind($filter.ownership.answers())
    };
}

impl Ownership {
    /// The answers to select by, as JSON; NULL where any will do or none is asked for.
    fn answers(&self) -> Option<JsonText<Vec<MemberStatus>>> {
        match self {
            Self::Own => None,
            Self::Shared(answers) | Self::All(answers) => list_or_null(answers),
        }
    }

    /// The condition for a backup to be the project's, `$1`, in this sense; the answers are `$16`.
    fn condition(&self, dialect: Dialect) -> String {
        let shared = format!(
            "SELECT backup_id FROM backup_member WHERE dest_project_id = $1 \
             AND (CAST($16 AS TEXT) IS NULL OR status IN ({}))",
            dialect.values_of("$16")
        );
        match self {
            Self::Own => "project_id = $1 AND CAST($16 AS TEXT) IS NULL".to_owned(),
            Self::Shared(_) => format!("(id IN ({shared}) OR parent_id IN ({shared}))"),
            Self::All(_) => {
                format!("(project_id = $1 OR id IN ({shared}) OR parent_id IN ({shared}))")
            }
        }
    }
}

pub(crate) fn matching_backups(filter: &BackupFilter, dialect: Dialect) -> Matching {
    let own = filter.ownership == Ownership::Own;
    let asks = [
        filter.checkpoint_id.is_some(),
        filter.vault_id.is_some(),
        filter.resource_id.is_some(),
    ];
    let owned = if own && asks.contains(&true) {
        format!("{OF_PROJECT_TOO} AND CAST($16 AS TEXT) IS NULL")
    } else {
        filter.ownership.condition(dialect)
    };
    let in_vault = if own {
        "vault_id = $3"
    } else {
        "(vault_id = $3 OR COALESCE(parent_id, id) IN \
         (SELECT backup_id FROM backup_member WHERE dest_project_id = $1 AND vault_id = $3))"
    };
    let statuses = dialect.values_of("$9");
    let of_vaults = "vault_id IN (SELECT id FROM vault WHERE project_id = $1 AND";
    let mut sql = Conditions::new(format_args!("FROM backup WHERE {owned}"));
    sql.given(filter.checkpoint_id.as_ref(), text(2), "checkpoint_id = $2");
    sql.given(filter.vault_id.as_ref(), text(3), in_vault);
    sql.given(filter.resource_id.as_ref(), text(4), "resource_id = $4");
    sql.given(filter.resource_type, text(5), "resource_type = $5");
    sql.given(filter.resource_name.as_ref(), text(6), "resource_name = $6");
    sql.given(filter.name.as_ref(), text(7), "name = $7");
    sql.given(filter.image_type, text(8), "image_type = $8");
    sql.given(
        filter.statuses.first(),
        text(9),
        format_args!("status IN ({statuses})"),
    );
    sql.given(filter.parent_id.as_ref(), text(10), "parent_id = $10");
    sql.given(filter.start_time, number(11), "created_at >= $11");
    sql.given(filter.end_time, number(12), "created_at <= $12");
    sql.given(filter.incremental, boolean(13), "incremental = $13");
    sql.given(
        filter.used_percent,
        number(14),
        format_args!("{of_vaults} used_bytes * 100 >= $14 * size_gb * 1073741824)"),
    );
    sql.given(
        filter.enterprise_project_id.as_ref(),
        text(15),
        format_args!("{of_vaults} enterprise_project_id = $15)"),
    );
    if filter.retention == RetentionFilter::ByQuantity {
        sql.add("auto_trigger AND expired_at IS NULL");
    }
    let mut matching = sql.into_matching();
    if filter.parent_id.is_none() {
        matching.sql.push_str(" AND parent_id IS NULL");
    }
    matching.is_whole &= own;
    matching
}

/// What ORDER BY says for a sort; the id makes every order total.
fn order(sort: &[BackupSort]) -> String {
    let mut order = String::new();
    for BackupSort { key, direction } in sort {
        let column = match key {
            BackupSortKey::CreatedAt => "created_at",
            BackupSortKey::UpdatedAt => "updated_at",
            // Backups that have not captured anything yet come before all others, on both databases.
            BackupSortKey::ProtectedAt => "COALESCE(protected_at, 0)",
            BackupSortKey::Name => "name",
            BackupSortKey::Status => "status",
            BackupSortKey::Id => "id",
        };
        let direction = match direction {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        };
        order.push_str(column);
        order.push(' ');
        order.push_str(direction);
        order.push_str(", ");
    }
    if sort.is_empty() {
        order.push_str("created_at DESC, ");
    }
    order.push_str("id DESC");
    order
}

impl Tx {
    pub async fn list_backups(
        &mut self,
        project: &ProjectId,
        filter: &BackupFilter,
        sort: &[BackupSort],
        page: &Page,
    ) -> Result<Listed<Backup>> {
        let matching = matching_backups(filter, self.dialect());
        let order = order(sort);
        if order == NEWEST {
            return self.newest_backups(project, filter, &matching, page).await;
        }
        let matching = matching.sql;
        let extent = page.extent_sql(&matching, &order, "$17");
        let extent = on!(self, c => bind_filter!(sqlx::query_as::<_, Extent>(AssertSqlSafe(extent)), project, filter)
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {matching} ORDER BY {order} LIMIT $17 OFFSET $18");
        let rows = on!(self, c => bind_filter!(sqlx::query_as::<_, Backup>(AssertSqlSafe(sql)), project, filter)
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    async fn newest_backups(
        &mut self,
        project: &ProjectId,
        filter: &BackupFilter,
        matching: &Matching,
        page: &Page,
    ) -> Result<Listed<Backup>> {
        let extent = Page::newest_extent_sql(matching, "backup", "$17");
        let extent = on!(self, c => bind_filter!(sqlx::query_as::<_, NewestExtent>(AssertSqlSafe(extent)), project, filter)
            .bind(&page.marker).fetch_one(c).await)?;
        let after = page.after_sql(&extent, "$19", "$20")?;
        let matching = &matching.sql;
        let sql = format!("SELECT * {matching} {after} ORDER BY {NEWEST} LIMIT $17 OFFSET $18");
        let rows = on!(self, c => bind_filter!(sqlx::query_as::<_, Backup>(AssertSqlSafe(sql)), project, filter)
            .bind(stored(page.limit)).bind(stored(page.offset)).bind(extent.place).bind(&page.marker).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }
}

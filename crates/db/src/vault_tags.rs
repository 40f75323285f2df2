//! Tags of vaults: one vault's, a project's, and vaults found by them.

use sqlx::AssertSqlSafe;
use strongroom_types::{CloudType, ObjectType, ProjectId, VaultId};

use crate::page::{Extent, stored};
use crate::tx::{Dialect, on};
use crate::{Error, Listed, Page, Result, Tag, Tx, Vault, VaultTag};

/// Asks for a tag of this key; with no texts at all its value does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagMatch {
    pub key: String,
    /// The value is one of these,
    pub exact: Vec<String>,
    /// or contains one of these; none is empty.
    pub parts: Vec<String>,
}

/// Empty and absent fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaggedVaultFilter {
    /// The vault has a tag for each of these.
    pub tags: Vec<TagMatch>,
    /// The vault has a tag for at least one.
    pub tags_any: Vec<TagMatch>,
    /// The vault lacks a tag for at least one.
    pub not_tags: Vec<TagMatch>,
    /// The vault has a tag for none.
    pub not_tags_any: Vec<TagMatch>,
    pub tagged: Tagged,
    pub name: NameMatch,
    pub object_type: Option<ObjectType>,
    pub cloud_type: Option<CloudType>,
    /// One of these enterprise projects.
    pub enterprise_project_ids: Vec<String>,
}

/// Whether vaults with tags are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tagged {
    #[default]
    OrNot,
    /// Only vaults without any tag.
    Never,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NameMatch {
    #[default]
    Any,
    Exactly(String),
    Containing(String),
}

/// A WHERE clause that grows with the filter; every parameter of it is a text.
struct Conditions {
    dialect: Dialect,
    sql: String,
    texts: Vec<String>,
}

impl Conditions {
    fn of(project: &ProjectId, filter: &TaggedVaultFilter, dialect: Dialect) -> Result<Self> {
        let mut it = Self {
            dialect,
            sql: String::new(),
            texts: Vec::new(),
        };
        let project = it.bind(project.to_string());
        it.sql = format!("FROM vault WHERE project_id = {project}");
        for wanted in &filter.tags {
            let has = it.has(wanted)?;
            it.and(&has);
        }
        it.and_any(&filter.tags_any, "")?;
        if !filter.not_tags.is_empty() {
            let all: Result<Vec<_>> = filter.not_tags.iter().map(|tag| it.has(tag)).collect();
            let all = all?.join(" AND ");
            it.and(&format!("NOT ({all})"));
        }
        it.and_any(&filter.not_tags_any, "NOT ")?;
        if filter.tagged == Tagged::Never {
            it.and("NOT EXISTS (SELECT 1 FROM vault_tag WHERE vault_id = vault.id)");
        }
        it.and_properties(filter)?;
        Ok(it)
    }

    fn and_properties(&mut self, filter: &TaggedVaultFilter) -> Result<()> {
        match &filter.name {
            NameMatch::Any => {}
            NameMatch::Exactly(name) => {
                let name = self.bind(name.clone());
                self.and(&format!("name = {name}"));
            }
            NameMatch::Containing(part) => {
                // A part that is there changes the name when it is taken out; LIKE would give some characters a meaning.
                let part = self.bind(part.clone());
                self.and(&format!("REPLACE(name, {part}, '') <> name"));
            }
        }
        if let Some(object_type) = filter.object_type {
            let object_type = self.bind(object_type.to_string());
            self.and(&format!("object_type = {object_type}"));
        }
        if let Some(cloud_type) = filter.cloud_type {
            let cloud_type = self.bind(cloud_type.to_string());
            self.and(&format!("cloud_type = {cloud_type}"));
        }
        if !filter.enterprise_project_ids.is_empty() {
            let ids = self.bind_list(&filter.enterprise_project_ids)?;
            self.and(&format!("enterprise_project_id IN ({ids})"));
        }
        Ok(())
    }

    fn and_any(&mut self, tags: &[TagMatch], not: &str) -> Result<()> {
        if tags.is_empty() {
            return Ok(());
        }
        let any: Result<Vec<_>> = tags.iter().map(|tag| self.has(tag)).collect();
        let any = any?.join(" OR ");
        self.and(&format!("{not}({any})"));
        Ok(())
    }

    fn and(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    fn has(&mut self, tag: &TagMatch) -> Result<String> {
        let key = self.bind(tag.key.clone());
        let mut values = String::new();
        if !tag.exact.is_empty() || !tag.parts.is_empty() {
            let exact = self.bind_list(&tag.exact)?;
            let parts = self.bind_list(&tag.parts)?;
            values = format!(
                " AND (t.value IN ({exact}) OR EXISTS (SELECT 1 FROM ({parts}) part WHERE REPLACE(t.value, part.value, '') <> t.value))"
            );
        }
        Ok(format!(
            "EXISTS (SELECT 1 FROM vault_tag t WHERE t.vault_id = vault.id AND t.key = {key}{values})"
        ))
    }

    fn bind(&mut self, text: String) -> String {
        self.texts.push(text);
        format!("${}", self.texts.len())
    }

    /// A sub-select of the texts of a list.
    fn bind_list(&mut self, list: &[String]) -> Result<String> {
        let json = serde_json::to_string(list)
            .map_err(|error| Error::Broken(sqlx::Error::Encode(Box::new(error))))?;
        let parameter = self.bind(json);
        Ok(self.dialect.values_of(&parameter))
    }
}

/// Binds the texts of a clause, in their order.
macro_rules! bind_texts {
    ($query:expr, $texts:expr) => {{
        let mut query = $query;
        for text in $texts {
            query = query.bind(text);
        }
        query
    }};
}

const ORDER: &str = "created_at DESC, id DESC";

impl Tx {
    /// Gives a vault a tag, or the tag of that key this value.
    pub async fn put_vault_tag(&mut self, tag: &VaultTag) -> Result<()> {
        const SQL: &str = "INSERT INTO vault_tag (vault_id, key, value) VALUES ($1, $2, $3) \
             ON CONFLICT (vault_id, key) DO UPDATE SET value = excluded.value";
        on!(self, c => sqlx::query(SQL).bind(&tag.vault_id).bind(&tag.key).bind(&tag.value)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// `false` when the vault has no tag of that key.
    pub async fn delete_vault_tag(&mut self, vault: &VaultId, key: &str) -> Result<bool> {
        const SQL: &str = "DELETE FROM vault_tag WHERE vault_id = $1 AND key = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(vault).bind(key)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Every tag that a vault of the project has, each once, by key and value; at most `limit`.
    pub async fn tags_of_project(&mut self, project: &ProjectId, limit: u64) -> Result<Vec<Tag>> {
        const SQL: &str = "SELECT DISTINCT t.key AS key, t.value AS value FROM vault_tag t JOIN vault v ON v.id = t.vault_id \
             WHERE v.project_id = $1 ORDER BY t.key, t.value LIMIT $2";
        let found = on!(self, c => sqlx::query_as::<_, (String, String)>(SQL).bind(project).bind(stored(limit))
            .fetch_all(c).await)?;
        let tag = |(key, value)| Tag { key, value };
        Ok(found.into_iter().map(tag).collect())
    }

    /// Newest first.
    pub async fn list_vaults_by_tags(
        &mut self,
        project: &ProjectId,
        filter: &TaggedVaultFilter,
        page: &Page,
    ) -> Result<Listed<Vault>> {
        let matching = Conditions::of(project, filter, self.dialect())?;
        let next = |n: usize| format!("${}", matching.texts.len() + n);
        let extent = page.extent_sql(&matching.sql, ORDER, &next(1));
        let extent = on!(self, c => bind_texts!(sqlx::query_as::<_, Extent>(AssertSqlSafe(extent)), &matching.texts)
            .bind(&page.marker).fetch_one(c).await)?;
        let (limit, offset) = (next(1), next(2));
        let sql = format!(
            "SELECT * {} ORDER BY {ORDER} LIMIT {limit} OFFSET {offset}",
            matching.sql
        );
        let rows = on!(self, c => bind_texts!(sqlx::query_as::<_, Vault>(AssertSqlSafe(sql)), &matching.texts)
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// How many vaults there are, whatever the page.
    pub async fn count_vaults_by_tags(
        &mut self,
        project: &ProjectId,
        filter: &TaggedVaultFilter,
    ) -> Result<u64> {
        let matching = Conditions::of(project, filter, self.dialect())?;
        let sql = format!("SELECT COUNT(*) {}", matching.sql);
        let (count,) = on!(self, c => bind_texts!(sqlx::query_as::<_, (i64,)>(AssertSqlSafe(sql)), &matching.texts)
            .fetch_one(c).await)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

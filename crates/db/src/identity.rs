//! Domains, projects, accounts and the roles that join them.

use std::fmt;

use strongroom_types::{DomainId, ProjectId, Role, Timestamp, UserId};

use crate::page::stored;
use crate::tx::on;
use crate::{Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Domain {
    pub id: DomainId,
    pub name: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Project {
    pub id: ProjectId,
    pub domain_id: DomainId,
    pub name: String,
    pub created_at: Timestamp,
}

/// A user. (`user` is a reserved word in PostgreSQL.)
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Account {
    pub id: UserId,
    pub domain_id: DomainId,
    pub name: String,
    pub password_hash: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Membership {
    pub user_id: UserId,
    pub project_id: ProjectId,
    pub role: Role,
}

/// Which projects to list; an absent part filters nothing.
#[derive(Debug, Clone, Default)]
pub struct ProjectFilter {
    pub name: Option<String>,
    pub member: Option<UserId>,
}

impl Tx {
    /// `Conflict` when the name is taken.
    pub async fn insert_domain(&mut self, new: &Domain) -> Result<()> {
        const SQL: &str = "INSERT INTO domain (id, name, created_at) VALUES ($1, $2, $3)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(&new.name).bind(new.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_domain(&mut self, id: &DomainId) -> Result<Option<Domain>> {
        const SQL: &str = "SELECT * FROM domain WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Domain>(SQL).bind(id).fetch_optional(c).await)?)
    }

    pub async fn find_domain_by_name(&mut self, name: &str) -> Result<Option<Domain>> {
        const SQL: &str = "SELECT * FROM domain WHERE name = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Domain>(SQL).bind(name).fetch_optional(c).await)?)
    }

    /// Whether the installation has had its first start.
    pub async fn any_domain(&mut self) -> Result<bool> {
        const SQL: &str = "SELECT * FROM domain LIMIT 1";
        let domain = on!(self, c => sqlx::query_as::<_, Domain>(SQL).fetch_optional(c).await)?;
        Ok(domain.is_some())
    }

    /// `Conflict` when the domain has a project of that name.
    pub async fn insert_project(&mut self, new: &Project) -> Result<()> {
        const SQL: &str =
            "INSERT INTO project (id, domain_id, name, created_at) VALUES ($1, $2, $3, $4)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(&new.domain_id).bind(&new.name).bind(new.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Keeps others from adding to what a project may have only so much of, until the transaction ends; `false` when there is
    /// no such project.
    pub async fn lock_project(&mut self, id: &ProjectId) -> Result<bool> {
        const SQL: &str = "UPDATE project SET name = name WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    pub async fn find_project(&mut self, id: &ProjectId) -> Result<Option<Project>> {
        const SQL: &str = "SELECT * FROM project WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Project>(SQL).bind(id).fetch_optional(c).await)?)
    }

    pub async fn find_project_by_name(
        &mut self,
        domain: &DomainId,
        name: &str,
    ) -> Result<Option<Project>> {
        const SQL: &str = "SELECT * FROM project WHERE domain_id = $1 AND name = $2";
        Ok(on!(self, c => sqlx::query_as::<_, Project>(SQL)
            .bind(domain).bind(name).fetch_optional(c).await)?)
    }

    /// Oldest first. Read by offset; the page's marker is not looked at.
    pub async fn list_projects(
        &mut self,
        filter: &ProjectFilter,
        page: &Page,
    ) -> Result<Vec<Project>> {
        const SQL: &str = "SELECT * FROM project \
             WHERE (CAST($1 AS TEXT) IS NULL OR name = $1) \
               AND (CAST($2 AS TEXT) IS NULL OR id IN (SELECT project_id FROM membership WHERE user_id = $2)) \
             ORDER BY created_at, id LIMIT $3 OFFSET $4";
        Ok(on!(self, c => sqlx::query_as::<_, Project>(SQL)
            .bind(&filter.name).bind(&filter.member).bind(stored(page.limit)).bind(stored(page.offset))
            .fetch_all(c).await)?)
    }

    /// `Conflict` when the domain has a user of that name.
    pub async fn insert_account(&mut self, new: &Account) -> Result<()> {
        const SQL: &str = "INSERT INTO account (id, domain_id, name, password_hash, created_at) VALUES ($1, $2, $3, $4, $5)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(&new.domain_id).bind(&new.name).bind(&new.password_hash).bind(new.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_account(&mut self, id: &UserId) -> Result<Option<Account>> {
        const SQL: &str = "SELECT * FROM account WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Account>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Reads a user and holds the row until the transaction ends, so that what is issued to them and a new
    /// password cannot pass each other.
    pub async fn lock_account(&mut self, id: &UserId) -> Result<Option<Account>> {
        const SQL: &str = "UPDATE account SET name = name WHERE id = $1 RETURNING *";
        Ok(on!(self, c => sqlx::query_as::<_, Account>(SQL).bind(id).fetch_optional(c).await)?)
    }

    pub async fn find_account_by_name(
        &mut self,
        domain: &DomainId,
        name: &str,
    ) -> Result<Option<Account>> {
        const SQL: &str = "SELECT * FROM account WHERE domain_id = $1 AND name = $2";
        Ok(on!(self, c => sqlx::query_as::<_, Account>(SQL)
            .bind(domain).bind(name).fetch_optional(c).await)?)
    }

    /// Oldest first. Read by offset; the page's marker is not looked at.
    pub async fn list_accounts(&mut self, page: &Page) -> Result<Vec<Account>> {
        const SQL: &str = "SELECT * FROM account ORDER BY created_at, id LIMIT $1 OFFSET $2";
        Ok(on!(self, c => sqlx::query_as::<_, Account>(SQL)
            .bind(stored(page.limit)).bind(stored(page.offset)).fetch_all(c).await)?)
    }

    pub async fn update_password(&mut self, id: &UserId, password_hash: &str) -> Result<bool> {
        const SQL: &str = "UPDATE account SET password_hash = $2 WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).bind(password_hash)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Gives a user a role in a project, in place of the one they had there.
    pub async fn upsert_membership(&mut self, new: &Membership) -> Result<()> {
        const SQL: &str = "INSERT INTO membership (user_id, project_id, role) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, project_id) DO UPDATE SET role = excluded.role";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.user_id).bind(&new.project_id).bind(new.role)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn list_memberships(&mut self, user: &UserId) -> Result<Vec<Membership>> {
        const SQL: &str = "SELECT * FROM membership WHERE user_id = $1 ORDER BY project_id";
        Ok(on!(self, c => sqlx::query_as::<_, Membership>(SQL).bind(user).fetch_all(c).await)?)
    }

    /// The memberships of the accounts that [`Tx::list_accounts`] gives for `page`.
    pub async fn list_memberships_of_accounts(&mut self, page: &Page) -> Result<Vec<Membership>> {
        const SQL: &str = "SELECT m.user_id, m.project_id, m.role FROM membership m JOIN (                  SELECT id FROM account ORDER BY created_at, id LIMIT $1 OFFSET $2) a ON a.id = m.user_id ORDER BY m.project_id";
        Ok(on!(self, c => sqlx::query_as::<_, Membership>(SQL)
            .bind(stored(page.limit)).bind(stored(page.offset)).fetch_all(c).await)?)
    }

    /// Whether anybody can administer the installation.
    pub async fn any_admin(&mut self) -> Result<bool> {
        const SQL: &str = "SELECT * FROM membership WHERE role = 'admin' LIMIT 1";
        let found = on!(self, c => sqlx::query_as::<_, Membership>(SQL).fetch_optional(c).await)?;
        Ok(found.is_some())
    }

    /// The user's role in `project`; administrators of any project are administrators of each.
    pub async fn find_role(
        &mut self,
        user: &UserId,
        project: Option<&ProjectId>,
    ) -> Result<Option<Role>> {
        const SQL: &str = "SELECT * FROM membership WHERE user_id = $1 AND (role = 'admin' OR project_id = $2) \
             ORDER BY CASE role WHEN 'admin' THEN 0 ELSE 1 END LIMIT 1";
        let membership = on!(self, c => sqlx::query_as::<_, Membership>(SQL)
            .bind(user).bind(project).fetch_optional(c).await)?;
        Ok(membership.map(|membership| membership.role))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

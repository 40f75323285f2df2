//! Policies that an account pushes to its projects, and how far each project is.

use sqlx::AssertSqlSafe;
use strongroom_types::{
    DeploymentStatus, DomainId, OrganizationPolicyId, PolicyId, PolicyOperation, ProjectId,
    Schedule, Timestamp,
};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{JsonText, Listed, Page, PolicyRules, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OrganizationPolicy {
    pub id: OrganizationPolicyId,
    pub domain_id: DomainId,
    pub name: String,
    pub description: String,
    /// The projects that it is pushed to, as the client wrote it.
    pub effective_scope: String,
    /// Of the policies that are made from it; this and the rest up to the window mean what they mean in a policy.
    pub policy_name: String,
    pub operation_type: PolicyOperation,
    pub enabled: bool,
    pub definition: String,
    pub rules: JsonText<PolicyRules>,
    pub schedule: JsonText<Schedule>,
    pub start_window_minutes: Option<i64>,
    /// It goes once no project has it any more.
    pub deleting: bool,
    /// Raised by whoever takes the row's lock.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a project has of an organization policy.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Deployment {
    pub organization_policy_id: OrganizationPolicyId,
    pub project_id: ProjectId,
    /// The project's own copy, once there is one.
    pub policy_id: Option<PolicyId>,
    pub status: DeploymentStatus,
    pub updated_at: Timestamp,
}

impl Tx {
    pub async fn insert_organization_policy(&mut self, new: &OrganizationPolicy) -> Result<()> {
        const SQL: &str = "INSERT INTO organization_policy (id, domain_id, name, description, effective_scope, policy_name, \
             operation_type, enabled, definition, rules, schedule, start_window_minutes, deleting, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(&new.domain_id).bind(&new.name).bind(&new.description).bind(&new.effective_scope)
            .bind(&new.policy_name).bind(new.operation_type).bind(new.enabled).bind(&new.definition).bind(&new.rules)
            .bind(&new.schedule).bind(new.start_window_minutes).bind(new.deleting).bind(new.version)
            .bind(new.created_at).bind(new.updated_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_organization_policy(
        &mut self,
        id: &OrganizationPolicyId,
    ) -> Result<Option<OrganizationPolicy>> {
        const SQL: &str = "SELECT * FROM organization_policy WHERE id = $1";
        Ok(
            on!(self, c => sqlx::query_as::<_, OrganizationPolicy>(SQL).bind(id).fetch_optional(c).await)?,
        )
    }

    /// Takes the lock until the transaction ends and reads the row.
    pub async fn lock_organization_policy(
        &mut self,
        id: &OrganizationPolicyId,
    ) -> Result<Option<OrganizationPolicy>> {
        const SQL: &str =
            "UPDATE organization_policy SET version = version + 1 WHERE id = $1 RETURNING *";
        Ok(
            on!(self, c => sqlx::query_as::<_, OrganizationPolicy>(SQL).bind(id).fetch_optional(c).await)?,
        )
    }

    /// Newest first.
    pub async fn list_organization_policies(
        &mut self,
        domain: &DomainId,
        operation_type: Option<PolicyOperation>,
        page: &Page,
    ) -> Result<Listed<OrganizationPolicy>> {
        const MATCHING: &str = "FROM organization_policy WHERE domain_id = $1 AND (CAST($2 AS TEXT) IS NULL OR operation_type = $2)";
        const ORDER: &str = "created_at DESC, id DESC";
        let extent = page.extent_sql(MATCHING, ORDER, "$3");
        let extent = on!(self, c => sqlx::query_as::<_, Extent>(AssertSqlSafe(extent))
            .bind(domain).bind(operation_type).bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $3 OFFSET $4");
        let rows = on!(self, c => sqlx::query_as::<_, OrganizationPolicy>(AssertSqlSafe(sql))
            .bind(domain).bind(operation_type).bind(stored(page.limit)).bind(page.start(&extent)?)
            .fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Writes what can change, of a row that was read under its lock; `false` when it has changed since.
    pub async fn update_organization_policy(
        &mut self,
        policy: &OrganizationPolicy,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE organization_policy SET name = $3, description = $4, effective_scope = $5, policy_name = $6, \
             enabled = $7, definition = $8, rules = $9, schedule = $10, start_window_minutes = $11, deleting = $12, \
             updated_at = $13 WHERE id = $1 AND version = $2";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&policy.id).bind(policy.version).bind(&policy.name).bind(&policy.description)
            .bind(&policy.effective_scope).bind(&policy.policy_name).bind(policy.enabled).bind(&policy.definition)
            .bind(&policy.rules).bind(&policy.schedule).bind(policy.start_window_minutes).bind(policy.deleting)
            .bind(policy.updated_at)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// No project may have it any more.
    pub async fn delete_organization_policy(&mut self, id: &OrganizationPolicyId) -> Result<bool> {
        const SQL: &str = "DELETE FROM organization_policy WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Writes how far a project is, in place of what was written before.
    pub async fn upsert_deployment(&mut self, row: &Deployment) -> Result<()> {
        const SQL: &str = "INSERT INTO policy_deployment (organization_policy_id, project_id, policy_id, status, updated_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_policy_id, project_id) DO UPDATE SET \
             policy_id = excluded.policy_id, status = excluded.status, updated_at = excluded.updated_at";
        on!(self, c => sqlx::query(SQL)
            .bind(&row.organization_policy_id).bind(&row.project_id).bind(&row.policy_id).bind(row.status).bind(row.updated_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// By project.
    pub async fn deployments_of(&mut self, id: &OrganizationPolicyId) -> Result<Vec<Deployment>> {
        const SQL: &str =
            "SELECT * FROM policy_deployment WHERE organization_policy_id = $1 ORDER BY project_id";
        Ok(on!(self, c => sqlx::query_as::<_, Deployment>(SQL).bind(id).fetch_all(c).await)?)
    }

    /// A project that the job has still to see to.
    pub async fn next_deployment(
        &mut self,
        id: &OrganizationPolicyId,
    ) -> Result<Option<Deployment>> {
        const SQL: &str = "SELECT * FROM policy_deployment WHERE organization_policy_id = $1 \
             AND status IN ('syncing', 'updating', 'deleting') ORDER BY project_id LIMIT 1";
        Ok(on!(self, c => sqlx::query_as::<_, Deployment>(SQL).bind(id).fetch_optional(c).await)?)
    }

    pub async fn delete_deployment(
        &mut self,
        id: &OrganizationPolicyId,
        project: &ProjectId,
    ) -> Result<bool> {
        const SQL: &str =
            "DELETE FROM policy_deployment WHERE organization_policy_id = $1 AND project_id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).bind(project)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}

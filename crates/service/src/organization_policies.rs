//! Policies that an account pushes to its projects: a template, a copy in every project that it is for, and a job that makes
//! the copies as the template is. Projects can apply their copies, but not change or delete them.

mod deploy;
mod scope;

use std::collections::BTreeMap;

use strongroom_db::{Deployment, JsonText, NewJob, OrganizationPolicy, Page, Policy, Tx};
use strongroom_types::{
    DeploymentStatus, JobId, JobKind, OrganizationPolicyId, PolicyId, PolicyOperation,
    PolicyOrigin, ProjectId, Timestamp, TriggerId,
};

pub(crate) use deploy::welcome;
pub use deploy::{deploy, fail};

use crate::policies::{self, Definition, PolicyChange};
use crate::{Action, App, Caller, Error, audit};
use scope::Scope;

#[derive(Debug, Clone)]
pub struct NewOrganizationPolicy {
    pub name: String,
    pub description: String,
    /// Empty or `all`: every project of the account, also later ones; else ids of projects, separated by commas.
    pub effective_scope: String,
    pub policy_name: String,
    pub operation_type: PolicyOperation,
    pub enabled: bool,
    pub definition: Definition,
    pub patterns: Vec<String>,
    pub start_window_minutes: Option<i64>,
}

/// Absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct OrganizationPolicyChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub effective_scope: Option<String>,
    /// Of the copies.
    pub policy: PolicyChange,
}

#[derive(Debug, Clone)]
pub struct OrganizationPolicyView {
    pub policy: OrganizationPolicy,
    pub domain_name: String,
    /// Of all projects together.
    pub status: DeploymentStatus,
}

pub async fn create(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewOrganizationPolicy,
) -> Result<OrganizationPolicyView, Error> {
    caller.authorise(Action::OrganizationPoliciesCreate, project)?;
    let scope = Scope::parse(&new.effective_scope)?;
    let now = app.now();
    let rules = policies::rules_of(&new.definition, new.operation_type, &app.settings.region)?;
    let policy = OrganizationPolicy {
        id: OrganizationPolicyId::random(&*app.ids),
        domain_id: caller.domain_id.clone(),
        name: new.name,
        description: new.description,
        effective_scope: new.effective_scope,
        policy_name: new.policy_name,
        operation_type: new.operation_type,
        enabled: new.enabled,
        rules,
        definition: new.definition.text,
        schedule: policies::schedule_of(new.patterns)?,
        start_window_minutes: policies::window_of(new.start_window_minutes)?,
        deleting: false,
        version: 0,
        created_at: now,
        updated_at: now,
    };
    let mut tx = app.db.begin().await?;
    let targets = scope.projects(&mut tx, &policy.domain_id).await?;
    tx.insert_organization_policy(&policy).await?;
    aim(app, &mut tx, &policy, targets, &caller.request_id, now).await?;
    let view = view(&mut tx, policy).await?;
    audit::made("organization_policy", &view.policy.id);
    tx.commit().await?;
    app.wake.notify_one();
    Ok(view)
}

/// The page, newest first, and how many match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    operation_type: Option<PolicyOperation>,
    page: &Page,
) -> Result<(Vec<OrganizationPolicyView>, u64), Error> {
    caller.authorise(Action::OrganizationPoliciesList, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_organization_policies(&caller.domain_id, operation_type, page);
    let listed = listed.await?;
    let mut views = Vec::with_capacity(listed.rows.len());
    for policy in listed.rows {
        views.push(view(&mut tx, policy).await?);
    }
    Ok((views, listed.total))
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &OrganizationPolicyId,
) -> Result<OrganizationPolicyView, Error> {
    caller.authorise(Action::OrganizationPoliciesGet, project)?;
    let mut tx = app.db.read().await?;
    let policy = owned(tx.find_organization_policy(id).await?, caller)?;
    view(&mut tx, policy).await
}

/// How far each project is, by project.
pub async fn deployments(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &OrganizationPolicyId,
) -> Result<(OrganizationPolicy, Vec<Deployment>), Error> {
    caller.authorise(Action::OrganizationPoliciesGet, project)?;
    let mut tx = app.db.read().await?;
    let policy = owned(tx.find_organization_policy(id).await?, caller)?;
    let deployments = tx.deployments_of(id).await?;
    Ok((policy, deployments))
}

pub async fn update(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &OrganizationPolicyId,
    change: OrganizationPolicyChange,
) -> Result<OrganizationPolicyView, Error> {
    caller.authorise(Action::OrganizationPoliciesUpdate, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let mut policy = owned(tx.lock_organization_policy(id).await?, caller)?;
    let mut template = as_policy(&policy, app, project.clone(), now);
    policies::apply(&mut template, change.policy, 0, &app.settings.region, now)?;
    policy.policy_name = template.name;
    policy.enabled = template.enabled;
    policy.definition = template.definition;
    policy.rules = template.rules;
    policy.schedule = template.schedule;
    policy.start_window_minutes = template.start_window_minutes;
    policy.name = change.name.unwrap_or(policy.name);
    policy.description = change.description.unwrap_or(policy.description);
    policy.effective_scope = change.effective_scope.unwrap_or(policy.effective_scope);
    policy.updated_at = now;
    let scope = Scope::parse(&policy.effective_scope)?;
    let targets = scope.projects(&mut tx, &policy.domain_id).await?;
    save(&mut tx, &policy).await?;
    aim(app, &mut tx, &policy, targets, &caller.request_id, now).await?;
    let view = view(&mut tx, policy).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(view)
}

/// Answers at once; a job deletes the copies, and then the template. The backups that they made stay.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &OrganizationPolicyId,
) -> Result<(), Error> {
    caller.authorise(Action::OrganizationPoliciesDelete, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let mut policy = owned(tx.lock_organization_policy(id).await?, caller)?;
    policy.deleting = true;
    policy.updated_at = now;
    save(&mut tx, &policy).await?;
    aim(app, &mut tx, &policy, Vec::new(), &caller.request_id, now).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(())
}

/// Says of every project what the job is to do there, and adds the job.
async fn aim(
    app: &App,
    tx: &mut Tx,
    policy: &OrganizationPolicy,
    targets: Vec<ProjectId>,
    request_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let present = tx.deployments_of(&policy.id).await?.into_iter();
    let mut present: BTreeMap<_, _> = present.map(|row| (row.project_id.clone(), row)).collect();
    for project_id in targets {
        let policy_id = present.remove(&project_id).and_then(|row| row.policy_id);
        let status = match policy_id {
            None => DeploymentStatus::Syncing,
            Some(_) => DeploymentStatus::Updating,
        };
        let row = Deployment {
            organization_policy_id: policy.id.clone(),
            project_id,
            policy_id,
            status,
            updated_at: now,
        };
        tx.upsert_deployment(&row).await?;
    }
    for row in present.into_values() {
        let row = Deployment {
            status: DeploymentStatus::Deleting,
            updated_at: now,
            ..row
        };
        tx.upsert_deployment(&row).await?;
    }
    want(app, tx, &policy.id, request_id, now).await
}

async fn want(
    app: &App,
    tx: &mut Tx,
    id: &OrganizationPolicyId,
    request_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let job = NewJob {
        id: JobId::random(&*app.ids),
        kind: JobKind::DeployPolicy,
        subject_id: id.to_string(),
        operation_log_id: None,
        attempts_max: app.settings.job_attempts_max,
        request_id: request_id.to_owned(),
    };
    tx.want_job(&job, now).await?;
    Ok(())
}

/// The copy that a project is to have.
fn as_policy(
    template: &OrganizationPolicy,
    app: &App,
    project_id: ProjectId,
    now: Timestamp,
) -> Policy {
    Policy {
        id: PolicyId::random(&*app.ids),
        project_id,
        name: template.policy_name.clone(),
        operation_type: template.operation_type,
        policy_type: PolicyOrigin::OrganizationV1,
        enabled: template.enabled,
        definition: template.definition.clone(),
        rules: JsonText(template.rules.0.clone()),
        trigger_id: TriggerId::random(&*app.ids),
        schedule: JsonText(template.schedule.0.clone()),
        start_window_minutes: template.start_window_minutes,
        options: JsonText::default(),
        schedule_since: now,
        version: 0,
        created_at: now,
        updated_at: now,
    }
}

/// One of another account, or one that goes, is as unknown as one that does not exist.
fn owned(policy: Option<OrganizationPolicy>, caller: &Caller) -> Result<OrganizationPolicy, Error> {
    let own = policy.filter(|policy| policy.domain_id == caller.domain_id && !policy.deleting);
    own.ok_or(Error::OrganizationPolicyNotFound)
}

async fn save(tx: &mut Tx, policy: &OrganizationPolicy) -> Result<(), Error> {
    if tx.update_organization_policy(policy).await? {
        Ok(())
    } else {
        Err(Error::broken(
            "an organization policy changed under its lock",
        ))
    }
}

async fn view(tx: &mut Tx, policy: OrganizationPolicy) -> Result<OrganizationPolicyView, Error> {
    let domain = tx.find_domain(&policy.domain_id).await?;
    let deployments = tx.deployments_of(&policy.id).await?;
    // What needs somebody comes first, then what is still to be done.
    let order = [
        DeploymentStatus::Error,
        DeploymentStatus::Syncing,
        DeploymentStatus::Updating,
        DeploymentStatus::Deleting,
    ];
    let found = order
        .into_iter()
        .find(|status| deployments.iter().any(|row| row.status == *status));
    let status = found.unwrap_or(DeploymentStatus::Available);
    Ok(OrganizationPolicyView {
        domain_name: domain.map(|domain| domain.name).unwrap_or_default(),
        status,
        policy,
    })
}

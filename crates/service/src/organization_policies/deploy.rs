//! The job: one project after the other gets, changes or loses its copy, each in a transaction of its own.

use strongroom_db::{Deployment, Lease, OrganizationPolicy, Page, PolicyRules, Project, Tx};
use strongroom_types::{DeploymentStatus, OrganizationPolicyId, PolicyId, ProjectId, Timestamp};

use super::scope::Scope;
use super::{as_policy, want};
use crate::{App, Error, policies};

/// Organization policies that a new project is compared with; there are far fewer.
const TEMPLATES_MAX: u64 = 1000;

/// Sees to every project that waits for it, and ends the job.
///
/// Each step holds the template's lock, so that it copies the template as it is; a change that comes in between makes the
/// projects wait again, and the loop finds them.
pub async fn deploy(app: &App, lease: &Lease, id: &OrganizationPolicyId) -> Result<(), Error> {
    loop {
        let now = app.now();
        let mut tx = app.db.begin().await?;
        if !tx.hold_job(lease).await? {
            return Err(Error::LeaseLost);
        }
        let template = tx.lock_organization_policy(id).await?;
        let next = tx.next_deployment(id).await?;
        match (template, next) {
            (Some(template), Some(next)) => {
                see_to(app, &mut tx, &template, next, now).await?;
                tx.commit().await?;
            }
            (template, _) => {
                if let Some(template) = template
                    && template.deleting
                {
                    tx.delete_organization_policy(&template.id).await?;
                }
                tx.finish_job(lease, now).await?;
                tx.commit().await?;
                return Ok(());
            }
        }
    }
}

/// What waits keeps waiting until the template is changed again.
pub async fn fail(app: &App, lease: &Lease, reason: &str) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    if !tx.fail_job(lease, reason, app.now()).await? {
        return Err(Error::LeaseLost);
    }
    tx.commit().await?;
    Ok(())
}

async fn see_to(
    app: &App,
    tx: &mut Tx,
    template: &OrganizationPolicy,
    row: Deployment,
    now: Timestamp,
) -> Result<(), Error> {
    if row.status == DeploymentStatus::Deleting {
        if let Some(copy) = &row.policy_id
            && tx.find_policy(copy).await?.is_some()
        {
            policies::delete_in(tx, &row.project_id, copy).await?;
        }
        tx.delete_deployment(&template.id, &row.project_id).await?;
        return Ok(());
    }
    let copied = copy(app, tx, template, &row, now).await;
    let (policy_id, status) = match copied {
        Ok(id) => (Some(id), DeploymentStatus::Available),
        // Of this project alone: it has as many policies as it may, or uses the one that would change.
        Err(Error::TooManyPolicies { .. } | Error::DestinationInUse) => {
            (row.policy_id.clone(), DeploymentStatus::Error)
        }
        Err(error) => return Err(error),
    };
    let row = Deployment {
        policy_id,
        status,
        updated_at: now,
        ..row
    };
    Ok(tx.upsert_deployment(&row).await?)
}

/// Makes a project's copy like the template.
async fn copy(
    app: &App,
    tx: &mut Tx,
    template: &OrganizationPolicy,
    row: &Deployment,
    now: Timestamp,
) -> Result<PolicyId, Error> {
    let wanted = as_policy(template, app, row.project_id.clone(), now);
    let present = match &row.policy_id {
        Some(id) => tx.lock_policy(id).await?,
        None => None,
    };
    let Some(mut policy) = present else {
        let id = wanted.id.clone();
        policies::insert_row(tx, &wanted).await?;
        return Ok(id);
    };
    let region = |rules: &PolicyRules| rules.destination.as_ref().map(|d| d.region.clone());
    let ids = std::slice::from_ref(&policy.id);
    let applied = !tx.vaults_of_policies(ids).await?.is_empty();
    if applied && region(&policy.rules.0) != region(&wanted.rules.0) {
        return Err(Error::DestinationInUse);
    }
    if policy.schedule != wanted.schedule || (wanted.enabled && !policy.enabled) {
        policy.schedule_since = now;
    }
    policy.name = wanted.name;
    policy.enabled = wanted.enabled;
    policy.definition = wanted.definition;
    policy.rules = wanted.rules;
    policy.schedule = wanted.schedule;
    policy.start_window_minutes = wanted.start_window_minutes;
    policy.updated_at = now;
    if tx.update_policy(&policy).await? {
        Ok(policy.id)
    } else {
        Err(Error::broken("a policy changed under its lock"))
    }
}

/// Has a new project given what all projects of its account have.
pub(crate) async fn welcome(
    app: &App,
    tx: &mut Tx,
    project: &Project,
    request_id: &str,
) -> Result<(), Error> {
    let now = app.now();
    let page = Page::first(TEMPLATES_MAX);
    let listed = tx.list_organization_policies(&project.domain_id, None, &page);
    for template in listed.await?.rows {
        if template.deleting || Scope::parse(&template.effective_scope)? != Scope::All {
            continue;
        }
        let row = Deployment {
            organization_policy_id: template.id.clone(),
            project_id: ProjectId::clone(&project.id),
            policy_id: None,
            status: DeploymentStatus::Syncing,
            updated_at: now,
        };
        tx.upsert_deployment(&row).await?;
        want(app, tx, &template.id, request_id, now).await?;
    }
    Ok(())
}

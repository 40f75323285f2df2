//! Policies: when something runs by itself, and which backups stay.

mod options;
mod rules;

pub(crate) use options::options_of;
pub use options::{OptionsChange, change_options, get_options};
pub(crate) use rules::{apply, parse as rules_of, schedule as schedule_of, window as window_of};

use strongroom_db::{JsonText, Page, Policy, PolicyFilter, Tx, VaultPolicy};
use strongroom_types::{
    PolicyId, PolicyOperation, PolicyOrigin, ProjectId, RetentionTerms, Timestamp, TriggerId,
};

use crate::{Action, App, Caller, Error, audit, inventory};

/// Policies of one kind in a project.
const POLICIES_MAX: u64 = 32;

#[derive(Debug, Clone)]
pub struct NewPolicy {
    pub name: String,
    pub operation_type: PolicyOperation,
    pub policy_type: PolicyOrigin,
    pub enabled: bool,
    pub definition: Definition,
    /// Recurrence rules, 1 to 24.
    pub patterns: Vec<String>,
    pub start_window_minutes: Option<i64>,
}

/// What a policy's runs do, as the client says it.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The same as the JSON object that was sent, for the echo.
    pub text: String,
    pub retention: RetentionTerms,
    pub full_interval: Option<u32>,
    /// Of replication policies, and then both are needed.
    pub destination_region: Option<String>,
    pub destination_project_id: Option<String>,
    pub accelerate: bool,
}

/// Absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct PolicyChange {
    pub name: Option<String>,
    pub enabled: Option<bool>,
    /// Replaces the definition as a whole.
    pub definition: Option<Definition>,
    pub patterns: Option<Vec<String>>,
    pub start_window: WindowChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowChange {
    #[default]
    Keep,
    Remove,
    Set(i64),
}

#[derive(Debug, Clone)]
pub struct PolicyView {
    pub policy: Policy,
    /// The vaults that it is applied to.
    pub vaults: Vec<VaultPolicy>,
}

pub async fn create(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewPolicy,
) -> Result<PolicyView, Error> {
    caller.authorise(Action::PoliciesCreate, project)?;
    let mut tx = app.db.begin().await?;
    let policy = insert(app, &mut tx, project, new, app.now()).await?;
    audit::made("policy", &policy.id);
    tx.commit().await?;
    Ok(PolicyView {
        policy,
        vaults: Vec::new(),
    })
}

/// Adds a policy to a project, whoever wants it.
pub(crate) async fn insert(
    app: &App,
    tx: &mut Tx,
    project: &ProjectId,
    new: NewPolicy,
    now: Timestamp,
) -> Result<Policy, Error> {
    let own_region = &app.settings.region;
    let policy = Policy {
        id: PolicyId::random(&*app.ids),
        project_id: project.clone(),
        name: new.name,
        operation_type: new.operation_type,
        policy_type: new.policy_type,
        enabled: new.enabled,
        rules: rules::parse(&new.definition, new.operation_type, own_region)?,
        definition: new.definition.text,
        trigger_id: TriggerId::random(&*app.ids),
        schedule: rules::schedule(new.patterns)?,
        start_window_minutes: rules::window(new.start_window_minutes)?,
        options: JsonText::default(),
        schedule_since: now,
        version: 0,
        created_at: now,
        updated_at: now,
    };
    insert_row(tx, &policy).await?;
    Ok(policy)
}

/// Adds a policy that is complete, unless its project has as many as it may.
pub(crate) async fn insert_row(tx: &mut Tx, policy: &Policy) -> Result<(), Error> {
    let project = &policy.project_id;
    inventory::check_project(tx, project).await?;
    // The lock keeps two requests from both being the last that fits.
    tx.lock_project(project).await?;
    if tx.count_policies(project, policy.operation_type).await? >= POLICIES_MAX {
        return Err(Error::TooManyPolicies {
            operation_type: policy.operation_type,
            max: POLICIES_MAX,
        });
    }
    tx.insert_policy(policy).await?;
    Ok(())
}

/// The page, newest first, and how many policies match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &PolicyFilter,
    page: &Page,
) -> Result<(Vec<PolicyView>, u64), Error> {
    caller.authorise(Action::PoliciesList, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_policies(project, filter, page).await?;
    let ids: Vec<_> = listed.rows.iter().map(|policy| policy.id.clone()).collect();
    let applied = tx.vaults_of_policies(&ids).await?;
    let view = |policy: Policy| PolicyView {
        vaults: applied
            .iter()
            .filter(|row| row.policy_id == policy.id)
            .cloned()
            .collect(),
        policy,
    };
    Ok((listed.rows.into_iter().map(view).collect(), listed.total))
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &PolicyId,
) -> Result<PolicyView, Error> {
    caller.authorise(Action::PoliciesGet, project)?;
    let mut tx = app.db.read().await?;
    let policy = owned(tx.find_policy(id).await?, project, id)?;
    view(&mut tx, policy).await
}

pub async fn update(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &PolicyId,
    change: PolicyChange,
) -> Result<PolicyView, Error> {
    caller.authorise(Action::PoliciesUpdate, project)?;
    let mut tx = app.db.begin().await?;
    check_own(&mut tx, project, id).await?;
    let policy = change_in(app, &mut tx, project, id, change, app.now()).await?;
    let view = view(&mut tx, policy).await?;
    tx.commit().await?;
    Ok(view)
}

/// Changes a policy of a project, whoever wants it.
pub(crate) async fn change_in(
    app: &App,
    tx: &mut Tx,
    project: &ProjectId,
    id: &PolicyId,
    change: PolicyChange,
    now: Timestamp,
) -> Result<Policy, Error> {
    let mut policy = owned(tx.lock_policy(id).await?, project, id)?;
    let vaults = tx.vaults_of_policies(std::slice::from_ref(id)).await?;
    rules::apply(&mut policy, change, vaults.len(), &app.settings.region, now)?;
    policy.updated_at = now;
    if !tx.update_policy(&policy).await? {
        return Err(Error::broken(format!("policy {id} changed under its lock")));
    }
    Ok(policy)
}

/// Takes the policy off its vaults; the backups that it made stay.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &PolicyId,
) -> Result<(), Error> {
    caller.authorise(Action::PoliciesDelete, project)?;
    let mut tx = app.db.begin().await?;
    check_own(&mut tx, project, id).await?;
    delete_in(&mut tx, project, id).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes a policy of a project, whoever wants it.
pub(crate) async fn delete_in(
    tx: &mut Tx,
    project: &ProjectId,
    id: &PolicyId,
) -> Result<(), Error> {
    owned(tx.lock_policy(id).await?, project, id)?;
    tx.delete_policy(id).await?;
    Ok(())
}

/// Refuses a copy of an organization policy, which the project cannot change.
async fn check_own(tx: &mut Tx, project: &ProjectId, id: &PolicyId) -> Result<(), Error> {
    let policy = owned(tx.find_policy(id).await?, project, id)?;
    match policy.policy_type {
        PolicyOrigin::Custom | PolicyOrigin::OrganizationRemoved => Ok(()),
        PolicyOrigin::OrganizationV1 | PolicyOrigin::OrganizationV2 => {
            Err(Error::PolicyOfOrganization)
        }
    }
}

/// A policy of another project is as unknown as one that does not exist.
pub(crate) fn owned(
    policy: Option<Policy>,
    project: &ProjectId,
    id: &PolicyId,
) -> Result<Policy, Error> {
    policy
        .filter(|policy| policy.project_id == *project)
        .ok_or_else(|| Error::PolicyNotFound {
            policy_id: id.clone(),
        })
}

async fn view(tx: &mut Tx, policy: Policy) -> Result<PolicyView, Error> {
    let vaults = tx
        .vaults_of_policies(std::slice::from_ref(&policy.id))
        .await?;
    Ok(PolicyView { policy, vaults })
}

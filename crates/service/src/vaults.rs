//! Vaults: quota, lock, and what they protect.

pub(crate) mod rules;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_db::{
    JsonText, OperationExtra, Page, Tag, Tx, Vault, VaultFilter, VaultResource, VaultTag,
};
use strongroom_types::{
    BackupStatus, ChargingMode, CloudType, ConsistentLevel, JobKind, ObjectType, OrderId,
    PeriodType, PolicyId, ProjectId, ProtectStatus, ProtectType, Timestamp, UserId, VaultId,
    VaultStatus,
};

use crate::orders::{self, OrderView};
use crate::resources::{self, NewResource};
use crate::{
    Action, App, Caller, Error, audit, backups, imports, inventory, locks, notices, sharing,
    vault_policies, work,
};

pub(crate) use rules::{check_description, check_new};

/// A vault to create. Kept as JSON while an order waits, so fields are only ever added, with a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewVault {
    pub name: String,
    pub description: Option<String>,
    pub backup_name_prefix: Option<String>,
    pub object_type: ObjectType,
    pub protect_type: ProtectType,
    pub consistent_level: ConsistentLevel,
    pub cloud_type: CloudType,
    pub size_gb: u64,
    pub charging: Charging,
    pub auto_bind: bool,
    pub auto_expand: bool,
    /// `None` when the request had none; answered as `{}`.
    pub bind_rules: Option<Vec<Tag>>,
    pub smn_notify: bool,
    pub threshold: u64,
    pub locked: bool,
    pub is_multi_az: bool,
    pub demand_billing: bool,
    pub enterprise_project_id: String,
    pub availability_zone: String,
    pub sys_lock_source_service: String,
    pub tags: Vec<Tag>,
    pub resources: Vec<NewResource>,
    pub backup_policy_id: Option<PolicyId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Charging {
    PostPaid,
    /// Terms of 1 to 9 periods.
    PrePaid {
        period_type: PeriodType,
        period_num: u64,
        auto_pay: bool,
    },
}

#[derive(Debug, Clone)]
pub enum VaultCreation {
    Created(Box<VaultView>),
    /// The vault is or will be created under the order's `vault_id`.
    Ordered(OrderView),
}

/// Absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct VaultChange {
    pub name: Option<String>,
    pub size_gb: Option<u64>,
    pub consistent_level: Option<ConsistentLevel>,
    pub auto_bind: Option<bool>,
    pub auto_expand: Option<bool>,
    pub bind_rules: Option<Vec<Tag>>,
    pub smn_notify: Option<bool>,
    pub threshold: Option<u64>,
    pub locked: Option<bool>,
}

#[derive(Debug, Clone)]
pub struct VaultView {
    pub vault: Vault,
    pub resources: Vec<VaultResource>,
    pub tags: Vec<Tag>,
    /// Sum of the resources' sizes.
    pub allocated_gb: u64,
    /// What a hybrid vault shows.
    pub storage_unit: Option<String>,
}

/// Creates a vault with its resources, or places the order for a prepaid one.
pub async fn create(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewVault,
) -> Result<VaultCreation, Error> {
    caller.authorise(Action::VaultsCreate, project)?;
    check_new(&new, &app.settings)?;
    if new.charging != Charging::PostPaid {
        let order = orders::place_new_vault(app, caller, project, new).await?;
        return Ok(VaultCreation::Ordered(order));
    }
    let birth = Birth {
        vault_id: VaultId::random(&*app.ids),
        project_id: project.clone(),
        user_id: caller.user_id.clone(),
        order: None,
        now: app.now(),
    };
    let mut tx = app.db.begin().await?;
    let view = build(app, &mut tx, birth, &new).await?;
    audit::made("vault", &view.vault.id);
    tx.commit().await?;
    Ok(VaultCreation::Created(Box::new(view)))
}

/// What a new vault gets from elsewhere than the request.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) vault_id: VaultId,
    pub(crate) project_id: ProjectId,
    pub(crate) user_id: UserId,
    /// A prepaid vault's order and the end of its term.
    pub(crate) order: Option<(OrderId, Timestamp)>,
    pub(crate) now: Timestamp,
}

/// Inserts a vault that passed [`check_new`], with its tags, resources and policy.
pub(crate) async fn build(
    app: &App,
    tx: &mut Tx,
    birth: Birth,
    new: &NewVault,
) -> Result<VaultView, Error> {
    inventory::check_project(tx, &birth.project_id).await?;
    let now = birth.now;
    let vault = new_row(birth, new);
    tx.insert_vault(&vault).await?;
    if vault.protect_type == ProtectType::Hybrid {
        imports::take_unit(app, tx, &vault).await?;
    }
    for tag in &new.tags {
        let tag = VaultTag {
            vault_id: vault.id.clone(),
            key: tag.key.clone(),
            value: tag.value.clone(),
        };
        tx.insert_vault_tag(&tag).await?;
    }
    if let Some(policy) = &new.backup_policy_id {
        vault_policies::apply_at_birth(tx, &vault, policy, now).await?;
    }
    resources::bind(app, tx, &vault, &new.resources, now).await?;
    view(tx, vault).await
}

fn new_row(birth: Birth, new: &NewVault) -> Vault {
    let (order_id, term_ends_at) = birth.order.unzip();
    Vault {
        id: birth.vault_id,
        project_id: birth.project_id,
        user_id: birth.user_id,
        name: new.name.clone(),
        description: new.description.clone(),
        object_type: new.object_type,
        protect_type: match new.cloud_type {
            CloudType::Hybrid => ProtectType::Hybrid,
            CloudType::Public => new.protect_type,
        },
        consistent_level: new.consistent_level,
        cloud_type: new.cloud_type,
        charging_mode: match new.charging {
            Charging::PostPaid => ChargingMode::PostPaid,
            Charging::PrePaid { .. } => ChargingMode::PrePaid,
        },
        size_gb: new.size_gb,
        used_bytes: 0,
        status: VaultStatus::Available,
        auto_bind: new.auto_bind,
        auto_expand: new.auto_expand,
        bind_rules: new.bind_rules.clone().map(JsonText),
        smn_notify: new.smn_notify,
        threshold: new.threshold,
        locked: new.locked,
        is_multi_az: new.is_multi_az,
        demand_billing: new.demand_billing,
        backup_name_prefix: new.backup_name_prefix.clone(),
        enterprise_project_id: new.enterprise_project_id.clone(),
        availability_zone: new.availability_zone.clone(),
        sys_lock_source_service: new.sys_lock_source_service.clone(),
        order_id,
        term_ends_at,
        version: 0,
        created_at: birth.now,
        updated_at: birth.now,
    }
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
) -> Result<VaultView, Error> {
    caller.authorise(Action::VaultsGet, project)?;
    let mut tx = app.db.read().await?;
    let vault = owned(tx.find_vault(id).await?, project, id)?;
    view(&mut tx, vault).await
}

/// The page, newest first, and how many vaults match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &VaultFilter,
    page: &Page,
) -> Result<(Vec<VaultView>, u64), Error> {
    caller.authorise(Action::VaultsList, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_vaults(project, filter, page).await?;
    Ok((views(&mut tx, listed.rows).await?, listed.total))
}

pub async fn update(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
    change: VaultChange,
) -> Result<VaultView, Error> {
    caller.authorise(Action::VaultsUpdate, project)?;
    let mut tx = app.db.begin().await?;
    let mut vault = owned(tx.lock_vault(id).await?, project, id)?;
    let (before, now) = (vault.clone(), app.now());
    rules::apply(&mut vault, change)?;
    vault.updated_at = now;
    save(&mut tx, &vault).await?;
    notices::tell_of_use(app, &mut tx, &before, &vault, now).await?;
    let view = view(&mut tx, vault).await?;
    tx.commit().await?;
    Ok(view)
}

/// Changes the notices of every vault of the project that can be changed; answers the ids of those.
pub async fn update_all(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    smn_notify: Option<bool>,
    threshold: Option<u64>,
) -> Result<Vec<VaultId>, Error> {
    caller.authorise(Action::VaultsBatchUpdate, project)?;
    let now = app.now();
    let mut updated = Vec::new();
    let mut tx = app.db.begin().await?;
    for id in tx.vault_ids_of_project(project).await? {
        let Some(mut vault) = tx.lock_vault(&id).await? else {
            continue;
        };
        if rules::check_changeable(&vault).is_err() {
            continue;
        }
        let change = VaultChange {
            smn_notify,
            threshold,
            ..VaultChange::default()
        };
        let before = vault.clone();
        rules::apply(&mut vault, change)?;
        vault.updated_at = now;
        save(&mut tx, &vault).await?;
        notices::tell_of_use(app, &mut tx, &before, &vault, now).await?;
        updated.push(id);
    }
    tx.commit().await?;
    Ok(updated)
}

/// Answers at once; a job deletes the backups and then the vault.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
) -> Result<(), Error> {
    caller.authorise(Action::VaultsDelete, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let mut vault = owned(tx.lock_vault(id).await?, project, id)?;
    rules::check_deletable(&vault, now)?;
    let busy = [
        BackupStatus::WaitingProtect,
        BackupStatus::Protecting,
        BackupStatus::WaitingRestore,
        BackupStatus::Restoring,
    ];
    let by_members = tx.count_restores_by_members(id, None, None).await?;
    if by_members > 0
        || tx.count_backups_of_vault(id, &busy).await? > 0
        || tx.count_active_replications(id, None).await? > 0
    {
        return Err(Error::VaultBusy);
    }
    if let Some(error) = backups::in_use_outside(app, &mut tx, &vault, None, None).await? {
        return Err(error);
    }
    let backups = tx.backups_of_vault(id, None).await?;
    let trusted = locks::trusted_now(app, &mut tx).await?;
    let mut tops = backups.iter().filter(|backup| backup.parent_id.is_none());
    if tops.any(|backup| !locks::may_delete(&vault, backup, trusted)) {
        return Err(Error::LockedBackups);
    }
    let resources = tx.resources_of_vaults(std::slice::from_ref(id)).await?;
    let mut states = resources.iter().map(|row| row.protect_status);
    if states.any(|status| status == ProtectStatus::Migrating) {
        return Err(Error::VaultBusy);
    }
    let members = tx.members_of_backups_in(id, None).await?;
    sharing::withdraw(&mut tx, members, now).await?;
    sharing::leave_vault(&mut tx, &mut vault, now).await?;
    vault.status = VaultStatus::Deleting;
    vault.updated_at = now;
    save(&mut tx, &vault).await?;
    let tops = backups.iter().filter(|backup| backup.parent_id.is_none());
    let extra = OperationExtra::VaultDelete {
        total_count: tops.count() as u64,
        fail_count: 0,
    };
    let log = work::new_log(app, &vault, None, extra, &caller.request_id, now);
    work::begin(app, &mut tx, JobKind::DeleteVault, id.as_str(), &log, now).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(())
}

/// A vault of another project is as unknown as one that does not exist.
pub(crate) fn owned(
    vault: Option<Vault>,
    project: &ProjectId,
    id: &VaultId,
) -> Result<Vault, Error> {
    vault
        .filter(|vault| vault.project_id == *project)
        .ok_or_else(|| Error::VaultNotFound {
            vault_id: id.clone(),
        })
}

/// Writes a vault whose lock this transaction holds.
pub(crate) async fn save(tx: &mut Tx, vault: &Vault) -> Result<(), Error> {
    if tx.update_vault(vault).await? {
        Ok(())
    } else {
        Err(Error::broken(format!(
            "vault {} changed under its lock",
            vault.id
        )))
    }
}

pub(crate) async fn view(tx: &mut Tx, vault: Vault) -> Result<VaultView, Error> {
    let view = views(tx, vec![vault]).await?.pop();
    view.ok_or_else(|| Error::broken("one vault has one view"))
}

/// Joins vaults with their resources and tags, in the order given, with one query for each kind.
pub(crate) async fn views(tx: &mut Tx, vaults: Vec<Vault>) -> Result<Vec<VaultView>, Error> {
    let ids: Vec<_> = vaults.iter().map(|vault| vault.id.clone()).collect();
    let mut resources = group(tx.resources_of_vaults(&ids).await?, |r| r.vault_id.clone());
    let mut tags = group(tx.tags_of_vaults(&ids).await?, |t| t.vault_id.clone());
    let units = tx.storage_units_of_vaults(&ids).await?.into_iter();
    let mut units: BTreeMap<_, _> = units.map(|unit| (unit.vault_id, unit.name)).collect();
    let views = vaults.into_iter().map(|vault| {
        let resources = resources.remove(&vault.id).unwrap_or_default();
        let tags = tags.remove(&vault.id).unwrap_or_default();
        VaultView {
            allocated_gb: resources.iter().map(|resource| resource.size_gb).sum(),
            resources,
            tags: tags
                .into_iter()
                .map(|VaultTag { key, value, .. }| Tag { key, value })
                .collect(),
            storage_unit: units.remove(&vault.id),
            vault,
        }
    });
    Ok(views.collect())
}

fn group<T>(rows: Vec<T>, vault: impl Fn(&T) -> VaultId) -> BTreeMap<VaultId, Vec<T>> {
    let mut groups: BTreeMap<VaultId, Vec<T>> = BTreeMap::new();
    for row in rows {
        groups.entry(vault(&row)).or_default().push(row);
    }
    groups
}

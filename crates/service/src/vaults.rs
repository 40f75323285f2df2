//! Vaults: quota, lock, and what they protect.

use serde::{Deserialize, Serialize};
use strongroom_db::{Page, Tag, Vault, VaultFilter, VaultResource};
use strongroom_types::{
    CloudType, ConsistentLevel, ObjectType, PeriodType, PolicyId, ProjectId, ProtectType, VaultId,
};

use crate::orders::OrderView;
use crate::resources::NewResource;
use crate::{App, Caller, Error};

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
}

pub async fn create(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewVault,
) -> Result<VaultCreation, Error> {
    todo!()
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
) -> Result<VaultView, Error> {
    todo!()
}

/// The page, newest first, and how many vaults match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &VaultFilter,
    page: &Page,
) -> Result<(Vec<VaultView>, u64), Error> {
    todo!()
}

pub async fn update(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
    change: VaultChange,
) -> Result<VaultView, Error> {
    todo!()
}

/// Answers at once; a job deletes the backups and then the vault.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
) -> Result<(), Error> {
    todo!()
}

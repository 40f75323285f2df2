//! Vaults and their tags.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    ChargingMode, CloudType, ConsistentLevel, ObjectType, OrderId, PolicyId, ProjectId,
    ProtectType, ResourceId, Timestamp, UserId, VaultId, VaultStatus,
};

use crate::JsonText;

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Vault {
    pub id: VaultId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub name: String,
    pub description: Option<String>,
    pub object_type: ObjectType,
    pub protect_type: ProtectType,
    pub consistent_level: ConsistentLevel,
    pub cloud_type: CloudType,
    pub charging_mode: ChargingMode,
    #[sqlx(try_from = "i64")]
    pub size_gb: u64,
    /// What the vault's backups take in storage; docs/vaults.md has the rule.
    #[sqlx(try_from = "i64")]
    pub used_bytes: u64,
    pub status: VaultStatus,
    pub auto_bind: bool,
    pub auto_expand: bool,
    /// `None` when never set; empty once emptied.
    pub bind_rules: Option<JsonText<Vec<Tag>>>,
    pub smn_notify: bool,
    #[sqlx(try_from = "i64")]
    pub threshold: u64,
    pub locked: bool,
    pub is_multi_az: bool,
    pub demand_billing: bool,
    pub backup_name_prefix: Option<String>,
    pub enterprise_project_id: String,
    pub availability_zone: String,
    pub sys_lock_source_service: String,
    pub order_id: Option<OrderId>,
    pub term_ends_at: Option<Timestamp>,
    /// Raised by whoever takes the row's lock.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultTag {
    pub vault_id: VaultId,
    pub key: String,
    pub value: String,
}

/// Absent or empty fields do not filter; the values of a list mean "one of".
#[derive(Debug, Clone, Default)]
pub struct VaultFilter {
    /// The whole name.
    pub name: Option<String>,
    pub ids: Vec<VaultId>,
    pub policy_id: Option<PolicyId>,
    pub status: Option<VaultStatus>,
    /// Vaults that protect at least one of these.
    pub resource_ids: Vec<ResourceId>,
    pub object_type: Option<ObjectType>,
    pub protect_type: Option<ProtectType>,
    pub cloud_type: Option<CloudType>,
    pub enterprise_project_id: Option<String>,
    pub availability_zone: Option<String>,
}

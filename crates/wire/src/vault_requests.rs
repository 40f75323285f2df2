//! What clients send to create and change vaults. Fields that only billing systems need are read and left alone.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    ChargingMode, CloudType, ConsistentLevel, ObjectType, PeriodType, ProtectType,
};
use utoipa::ToSchema;

use crate::resources::ResourceRequest;
use crate::tags::{NewBindRules, NewTag};
use crate::values::{
    AvailabilityZone, BackupNamePrefix, Description, Name, PeriodCount, ShortText, Threshold,
    VaultSize, VaultSizeChange,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateVaultRequest {
    pub vault: VaultRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultRequest {
    pub name: Name,
    pub billing: BillingRequest,
    #[schema(max_items = 256)]
    pub resources: Vec<ResourceRequest>,
    pub description: Option<Description>,
    pub auto_bind: Option<bool>,
    pub auto_expand: Option<bool>,
    pub availability_zone: Option<AvailabilityZone>,
    pub backup_name_prefix: Option<BackupNamePrefix>,
    /// The backup policy to bind at once; empty is none.
    pub backup_policy_id: Option<ShortText>,
    pub bind_rules: Option<NewBindRules>,
    /// Use beyond the capacity; pre-paid vaults only.
    pub demand_billing: Option<bool>,
    pub enterprise_project_id: Option<ShortText>,
    pub locked: Option<bool>,
    pub smn_notify: Option<bool>,
    pub sys_lock_source_service: Option<ShortText>,
    #[schema(max_items = 100)]
    pub tags: Option<Vec<NewTag>>,
    pub threshold: Option<Threshold>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BillingRequest {
    pub consistent_level: ConsistentLevel,
    pub object_type: ObjectType,
    pub protect_type: ProtectType,
    /// GB.
    pub size: VaultSize,
    pub charging_mode: Option<ChargingMode>,
    pub cloud_type: Option<CloudType>,
    pub is_auto_pay: Option<bool>,
    pub is_auto_renew: Option<bool>,
    pub is_multi_az: Option<bool>,
    /// Pre-paid only, and then required; so is `period_num`.
    pub period_type: Option<PeriodType>,
    pub period_num: Option<PeriodCount>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateVaultRequest {
    pub vault: VaultChangeRequest,
}

/// What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultChangeRequest {
    pub name: Option<Name>,
    pub billing: Option<BillingChangeRequest>,
    pub auto_bind: Option<bool>,
    pub auto_expand: Option<bool>,
    pub bind_rules: Option<NewBindRules>,
    pub smn_notify: Option<bool>,
    pub threshold: Option<Threshold>,
    /// One-way: a locked vault stays locked.
    pub locked: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BillingChangeRequest {
    pub consistent_level: Option<ConsistentLevel>,
    /// GB.
    pub size: Option<VaultSizeChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchUpdateVaultsRequest {
    pub vault: VaultsChangeRequest,
}

/// A change of every vault of a project; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultsChangeRequest {
    pub smn_notify: Option<bool>,
    pub threshold: Option<Threshold>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateExpirationRequest {
    /// `YYYY-MM-DD`; the backups are kept to the end of that day.
    pub expect_expiration_date: ShortText,
    /// `UTC+08:00`; where that day is counted.
    pub time_zone: ShortText,
}

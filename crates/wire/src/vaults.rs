//! Vaults as answered, and the filters of their list. `vault_requests` has what clients send.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    ChargingMode, CloudType, ConsistentLevel, ObjectType, OperationLogId, OrderId, PolicyId,
    ProjectId, ProtectType, UserId, VaultId, VaultStatus,
};
use utoipa::{IntoParams, ToSchema};

use crate::resources::VaultResource;
use crate::tags::{BindRules, Tag};
use crate::time::CbrTime;
use crate::values::{AvailabilityZone, Name, Offset, PageLimit, ShortText};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultAnswer {
    pub vault: Vault,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultList {
    pub vaults: Vec<Vault>,
    /// How many vaults pass the filters, on all pages.
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

/// A vault. The last fields are in no published schema, but the clouds send them and clients know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vault {
    pub id: VaultId,
    pub name: String,
    #[schema(required)]
    pub description: Option<String>,
    pub resources: Vec<VaultResource>,
    pub provider_id: String,
    pub created_at: CbrTime,
    pub project_id: ProjectId,
    pub enterprise_project_id: String,
    pub auto_bind: bool,
    pub bind_rules: BindRules,
    pub auto_expand: bool,
    pub smn_notify: bool,
    pub threshold: u64,
    pub user_id: UserId,
    pub billing: Billing,
    pub tags: Vec<Tag>,
    #[schema(required)]
    pub backup_name_prefix: Option<String>,
    pub demand_billing: bool,
    pub cbc_delete_count: u64,
    pub frozen: bool,
    pub availability_zone: String,
    pub sys_lock_source_service: String,
    pub supplier: String,
    pub locked: bool,
    pub cross_account: bool,
    pub cross_account_urn: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Billing {
    /// GB of the associated resources together.
    pub allocated: u64,
    pub cloud_type: CloudType,
    pub consistent_level: ConsistentLevel,
    #[schema(required)]
    pub frozen_scene: Option<String>,
    pub charging_mode: ChargingMode,
    #[schema(required)]
    pub order_id: Option<OrderId>,
    #[schema(required)]
    pub product_id: Option<String>,
    pub protect_type: ProtectType,
    pub object_type: ObjectType,
    pub spec_code: String,
    pub is_multi_az: bool,
    pub is_double_az: bool,
    /// MB that the vault's backups take.
    pub used: u64,
    #[schema(required)]
    pub storage_unit: Option<String>,
    pub status: VaultStatus,
    /// GB.
    pub size: u64,
    #[schema(required)]
    pub partner_bp_id: Option<String>,
}

/// A new post-paid vault is answered as a vault, a pre-paid one as the order for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum CreateVaultAnswer {
    Created(Box<VaultAnswer>),
    Ordered(OrderAnswer),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderAnswer {
    pub orders: Vec<OrderResult>,
    #[serde(rename = "retCode")]
    pub ret_code: i64,
    pub error_code: String,
    #[serde(rename = "errText")]
    pub err_text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderResult {
    pub order_id: OrderId,
    /// The id that the vault has or will have.
    pub resource_id: VaultId,
    pub cloud_service_id: String,
    /// 1: the order was taken.
    pub subscribe_result: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchUpdateVaultsAnswer {
    pub updated_vaults_id: Vec<VaultId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateExpirationAnswer {
    pub affected_backups_count: u64,
    /// `YYYY-MM-DD`.
    pub new_expiration_day: String,
    pub operation_log_id: OperationLogId,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListVaultsQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last vault of the page before.
    pub marker: Option<VaultId>,
    /// The whole name.
    pub name: Option<Name>,
    pub cloud_type: Option<CloudType>,
    pub protect_type: Option<ProtectType>,
    pub object_type: Option<ObjectType>,
    /// `all_granted_eps` for every enterprise project.
    pub enterprise_project_id: Option<ShortText>,
    /// May be repeated.
    #[serde(default)]
    #[param(value_type = Option<Vec<VaultId>>)]
    pub id: Vec<VaultId>,
    pub policy_id: Option<PolicyId>,
    pub status: Option<VaultStatus>,
    /// Ids of protected resources, separated by commas.
    pub resource_ids: Option<String>,
    pub availability_zone: Option<AvailabilityZone>,
}

use std::collections::HashSet;

use strongroom_service::orders::OrderView;
use strongroom_service::provider_of_vault;
use strongroom_service::rows::{self, VaultFilter};
use strongroom_service::vaults::{Charging, NewVault, VaultChange, VaultView};
use strongroom_types::{ChargingMode, CloudType, ResourceId, VaultStatus, mib_ceil};
use strongroom_wire::tags::{BindRules, NewBindRules, NewTag, Tag};
use strongroom_wire::values::{AvailabilityZone, BackupNamePrefix, Description, Name, ShortText};
use strongroom_wire::vault_requests::{BillingRequest, VaultChangeRequest, VaultRequest};
use strongroom_wire::vaults::{Billing, ListVaultsQuery, OrderAnswer, OrderResult, Vault};
use strongroom_wire::{CbrTime, Code, vocabulary};

use super::resources::{new_resource, vault_resource};
use super::vault_tags::new_tag;
use super::{check_count, enterprise_project, unsigned};
use crate::ApiError;

/// Enough for any use of tags as a filter.
const BIND_RULES_MAX: usize = 20;
/// Far above what a vault may have; the service refuses by its own limit.
const TAGS_MAX: usize = 100;

pub(crate) fn new_vault(request: VaultRequest) -> Result<NewVault, ApiError> {
    check_count("resources", &request.resources, 0..=256)?;
    let billing = request.billing;
    let policy = request
        .backup_policy_id
        .filter(|id| !id.as_str().is_empty());
    let policy = policy.map(|id| id.as_str().parse());
    Ok(NewVault {
        charging: charging(&billing)?,
        name: request.name.into_string(),
        description: request.description.map(Description::into_string),
        backup_name_prefix: request
            .backup_name_prefix
            .map(BackupNamePrefix::into_string),
        object_type: billing.object_type,
        protect_type: billing.protect_type,
        consistent_level: billing.consistent_level,
        cloud_type: billing.cloud_type.unwrap_or(CloudType::Public),
        size_gb: unsigned(billing.size.get()),
        auto_bind: request.auto_bind.unwrap_or(false),
        auto_expand: request.auto_expand.unwrap_or(false),
        // An empty list at create is the clients' way of saying that there are no rules.
        bind_rules: bind_rules(request.bind_rules)?.filter(|rules| !rules.is_empty()),
        smn_notify: request.smn_notify.unwrap_or(true),
        threshold: request
            .threshold
            .map_or(80, |percent| unsigned(percent.get())),
        locked: request.locked.unwrap_or(false),
        is_multi_az: billing.is_multi_az.unwrap_or(false),
        demand_billing: request.demand_billing.unwrap_or(false),
        enterprise_project_id: text_or(request.enterprise_project_id, "0"),
        availability_zone: request
            .availability_zone
            .map_or_else(String::new, AvailabilityZone::into_string),
        sys_lock_source_service: text_or(request.sys_lock_source_service, ""),
        tags: tags("tags", request.tags.unwrap_or_default(), TAGS_MAX)?,
        resources: request.resources.into_iter().map(new_resource).collect(),
        backup_policy_id: policy
            .transpose()
            .map_err(|_| ApiError::invalid("backup_policy_id"))?,
    })
}

fn text_or(text: Option<ShortText>, default: &str) -> String {
    text.map(ShortText::into_string)
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

fn charging(billing: &BillingRequest) -> Result<Charging, ApiError> {
    match billing.charging_mode {
        None | Some(ChargingMode::PostPaid) => Ok(Charging::PostPaid),
        Some(ChargingMode::PrePaid) => Ok(Charging::PrePaid {
            period_type: billing
                .period_type
                .ok_or_else(|| ApiError::invalid("billing.period_type"))?,
            period_num: billing
                .period_num
                .map(|count| unsigned(count.get()))
                .ok_or_else(|| ApiError::invalid("billing.period_num"))?,
            auto_pay: billing.is_auto_pay.unwrap_or(false),
        }),
    }
}

fn bind_rules(rules: Option<NewBindRules>) -> Result<Option<Vec<rows::Tag>>, ApiError> {
    let rules = rules.and_then(|rules| rules.tags);
    rules
        .map(|rules| tags("bind_rules.tags", rules, BIND_RULES_MAX))
        .transpose()
}

pub(super) fn tags(field: &str, tags: Vec<NewTag>, max: usize) -> Result<Vec<rows::Tag>, ApiError> {
    check_count(field, &tags, 0..=max)?;
    let mut keys = HashSet::new();
    if !tags.iter().all(|tag| keys.insert(tag.key.as_str())) {
        let message = format!("Invalid {field} provided: a key is there twice.");
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    Ok(tags.into_iter().map(new_tag).collect())
}

pub(crate) fn vault_change(request: VaultChangeRequest) -> Result<VaultChange, ApiError> {
    let billing = request.billing.unwrap_or_default();
    Ok(VaultChange {
        name: request.name.map(Name::into_string),
        size_gb: billing.size.map(|size| unsigned(size.get())),
        consistent_level: billing.consistent_level,
        auto_bind: request.auto_bind,
        auto_expand: request.auto_expand,
        bind_rules: bind_rules(request.bind_rules)?,
        smn_notify: request.smn_notify,
        threshold: request.threshold.map(|percent| unsigned(percent.get())),
        locked: request.locked,
    })
}

pub(crate) fn vault_filter(query: ListVaultsQuery) -> Result<VaultFilter, ApiError> {
    let resource_ids = query.resource_ids.unwrap_or_default();
    let resource_ids: Result<Vec<ResourceId>, _> = resource_ids
        .split(',')
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .map(str::parse)
        .collect();
    let resource_ids = resource_ids.map_err(|_| ApiError::invalid("resource_ids"))?;
    check_count("resource_ids", &resource_ids, 0..=256)?;
    check_count("id", &query.id, 0..=256)?;
    Ok(VaultFilter {
        name: query.name.map(Name::into_string),
        ids: query.id,
        policy_id: query.policy_id,
        status: query.status,
        resource_ids,
        object_type: query.object_type,
        protect_type: query.protect_type,
        cloud_type: query.cloud_type,
        enterprise_project_id: enterprise_project(query.enterprise_project_id),
        availability_zone: query.availability_zone.map(AvailabilityZone::into_string),
    })
}

pub(crate) fn vault(view: VaultView) -> Vault {
    let row = view.vault;
    let billing = billing(&row, view.allocated_gb, view.storage_unit);
    Vault {
        provider_id: provider_of_vault(row.object_type).to_owned(),
        id: row.id,
        name: row.name,
        description: row.description,
        resources: view.resources.into_iter().map(vault_resource).collect(),
        created_at: CbrTime(row.created_at),
        project_id: row.project_id,
        enterprise_project_id: row.enterprise_project_id,
        auto_bind: row.auto_bind,
        bind_rules: BindRules {
            tags: row
                .bind_rules
                .map(|rules| rules.0.into_iter().map(tag).collect()),
        },
        auto_expand: row.auto_expand,
        smn_notify: row.smn_notify,
        threshold: row.threshold,
        user_id: row.user_id,
        billing,
        tags: view.tags.into_iter().map(tag).collect(),
        backup_name_prefix: row.backup_name_prefix,
        demand_billing: row.demand_billing,
        cbc_delete_count: 0,
        frozen: row.status == VaultStatus::Frozen,
        availability_zone: row.availability_zone,
        sys_lock_source_service: row.sys_lock_source_service,
        supplier: String::new(),
        locked: row.locked,
        cross_account: false,
        cross_account_urn: String::new(),
    }
}

pub(crate) fn tag(tag: rows::Tag) -> Tag {
    Tag {
        key: tag.key,
        value: tag.value,
    }
}

fn billing(row: &rows::Vault, allocated: u64, storage_unit: Option<String>) -> Billing {
    let spec_code = vocabulary::spec_code(row.object_type, row.protect_type, row.consistent_level);
    Billing {
        allocated,
        cloud_type: row.cloud_type,
        consistent_level: row.consistent_level,
        frozen_scene: None,
        charging_mode: row.charging_mode,
        order_id: row.order_id.clone(),
        product_id: None,
        protect_type: row.protect_type,
        object_type: row.object_type,
        spec_code: spec_code.to_owned(),
        is_multi_az: row.is_multi_az,
        is_double_az: false,
        used: mib_ceil(row.used_bytes),
        storage_unit,
        status: row.status,
        size: row.size_gb,
        partner_bp_id: None,
    }
}

/// What a billing system answers, although nothing is billed: that the order was taken.
pub(crate) fn order_taken(view: OrderView) -> OrderAnswer {
    let result = OrderResult {
        order_id: view.order.id,
        resource_id: view.order.vault_id,
        cloud_service_id: "cbr".to_owned(),
        subscribe_result: 1,
    };
    OrderAnswer {
        orders: vec![result],
        ret_code: 0,
        error_code: "0".to_owned(),
        err_text: "success".to_owned(),
    }
}

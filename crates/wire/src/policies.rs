//! Policies, and their application to vaults.

use serde::{Deserialize, Deserializer, Serialize};
use strongroom_types::{
    Month, MonthUnit, PolicyId, PolicyOperation, PolicyOrigin, TriggerId, UtcOffset, VaultId,
    WeekOfMonth, Weekday,
};
use utoipa::{IntoParams, ToSchema};

use crate::values::{
    BackupNumber, DayOfMonthNumber, FullBackupInterval, KeptDays, KeptMonths, KeptWeeks, KeptYears,
    Label, Name, Offset, PageLimit, PeriodBackups, RegionName, ShortText, StartWindow,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatePolicyRequest {
    pub policy: PolicyRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyRequest {
    pub name: Name,
    pub enabled: Option<bool>,
    pub operation_definition: OperationDefinition,
    /// An unknown word has a code of its own, so that it is read as text.
    #[schema(value_type = PolicyOperation)]
    pub operation_type: ShortText,
    pub trigger: TriggerRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdatePolicyRequest {
    pub policy: PolicyChangeRequest,
}

/// What is absent stays as it is; `operation_definition` is replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChangeRequest {
    pub name: Option<Name>,
    pub enabled: Option<bool>,
    pub operation_definition: Option<OperationDefinition>,
    pub trigger: Option<TriggerChangeRequest>,
}

/// What the runs do and which backups stay. Answered with the fields that were sent; 0 and -1 mean that a rule is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationDefinition {
    /// Automatic backups of a resource; -1 for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backups: Option<BackupNumber>,
    /// -1 for ever. Does not go with the numbers of backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_duration_days: Option<KeptDays>,
    /// The newest backup of each of so many days stays beside `max_backups`. Needs `timezone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_backups: Option<PeriodBackups>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub week_backups: Option<PeriodBackups>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month_backups: Option<PeriodBackups>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year_backups: Option<PeriodBackups>,
    /// Where days, weeks, months and years begin. Schedules are in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<UtcOffset>,
    /// After so many incremental backups the next automatic one is full; -1: only the first is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_backup_interval: Option<FullBackupInterval>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced_retention_rules: Option<AdvancedRetentionRules>,
    /// Of replication policies, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_region: Option<RegionName>,
    /// Of replication policies, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_project_id: Option<ShortText>,
    /// Of replication policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_acceleration: Option<bool>,
    /// Answered as `customer`, whatever was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<ShortText>,
}

/// Days whose backups are kept longer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdvancedRetentionRules {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_retention_rules: Option<WeeklyRetentionRules>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_retention_rules: Option<MonthlyRetentionRules>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yearly_retention_rules: Option<YearlyRetentionRules>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WeeklyRetentionRules {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 7)]
    pub days_of_week: Option<Vec<Weekday>>,
    /// Weeks; -1 turns the rule off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_duration_periods: Option<KeptWeeks>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MonthlyRetentionRules {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_type: Option<MonthUnit>,
    /// With `MONTHLY`: 1 to 28, or -1 for the last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 29)]
    pub days_of_month: Option<Vec<DayOfMonthNumber>>,
    /// With `WEEKLY`, together with `retention_weeks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 7)]
    pub days_of_week: Option<Vec<Weekday>>,
    /// With `WEEKLY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 5)]
    pub retention_weeks: Option<Vec<WeekOfMonth>>,
    /// Months; -1 turns the rule off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_duration_periods: Option<KeptMonths>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct YearlyRetentionRules {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 12)]
    pub retention_months: Option<Vec<Month>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_type: Option<MonthUnit>,
    /// With `MONTHLY`: 1 to 28, or -1 for the last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 29)]
    pub days_of_month: Option<Vec<DayOfMonthNumber>>,
    /// With `WEEKLY`, together with `retention_weeks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 7)]
    pub days_of_week: Option<Vec<Weekday>>,
    /// With `WEEKLY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 5)]
    pub retention_weeks: Option<Vec<WeekOfMonth>>,
    /// Years; -1 turns the rule off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_duration_periods: Option<KeptYears>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerRequest {
    pub properties: TriggerPropertiesRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerPropertiesRequest {
    /// Recurrence rules in UTC, `FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=14;BYMINUTE=00` or `FREQ=DAILY;INTERVAL=2;BYHOUR=14;BYMINUTE=00`;
    /// their starts at least one hour apart.
    #[schema(min_items = 1, max_items = 24)]
    pub pattern: Vec<Label>,
    /// Spreads the starts of the vaults over so many minutes.
    pub start_window_minutes: Option<StartWindow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerChangeRequest {
    pub properties: TriggerPropertiesChangeRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerPropertiesChangeRequest {
    #[schema(min_items = 1, max_items = 24)]
    pub pattern: Vec<Label>,
    /// Null removes it, absent leaves it as it is.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<StartWindow>)]
    pub start_window_minutes: Option<Option<StartWindow>>,
}

/// A field that is there, even if it is null.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyAnswer {
    pub policy: Policy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyList {
    pub policies: Vec<Policy>,
    /// How many policies pass the filters, on all pages.
    pub count: u64,
    pub limit: u64,
    pub offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    pub id: PolicyId,
    pub name: String,
    pub enabled: bool,
    pub operation_type: PolicyOperation,
    pub operation_definition: OperationDefinition,
    pub trigger: Trigger,
    /// Null in the answer to a create.
    #[schema(required)]
    pub associated_vaults: Option<Vec<AssociatedVault>>,
    pub policy_type: PolicyOrigin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trigger {
    pub id: TriggerId,
    #[schema(example = "default")]
    pub name: String,
    #[serde(rename = "type")]
    #[schema(example = "time")]
    pub trigger_type: String,
    pub properties: TriggerProperties,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerProperties {
    /// As it was given.
    pub pattern: Vec<String>,
    /// When the policy was made, in UTC.
    #[schema(example = "2025-05-24 08:45:56")]
    pub start_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_window_minutes: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssociatedVault {
    pub vault_id: VaultId,
    /// Null for backup policies.
    #[schema(required)]
    pub destination_vault_id: Option<VaultId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListPoliciesQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last policy of the page before.
    pub marker: Option<PolicyId>,
    pub operation_type: Option<PolicyOperation>,
    /// Policies applied to this vault.
    pub vault_id: Option<VaultId>,
}

/// Exactly one of `policy_id` and `add_policy_ids`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssociatePolicyRequest {
    /// Takes the place of the vault's policies of its kind.
    pub policy_id: Option<PolicyId>,
    /// Join the policies that the vault has.
    #[schema(max_items = 10)]
    pub add_policy_ids: Option<Vec<PolicyId>>,
    /// Of replication policies, and needed there.
    pub destination_vault_id: Option<VaultId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssociatePolicyAnswer {
    pub associate_policy: VaultPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DissociatePolicyRequest {
    pub policy_id: PolicyId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DissociatePolicyAnswer {
    pub dissociate_policy: VaultPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultPolicy {
    pub vault_id: VaultId,
    pub policy_id: PolicyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_vault_id: Option<VaultId>,
}

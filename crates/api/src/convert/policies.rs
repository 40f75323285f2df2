mod marks;

use strongroom_service::policies::{Definition, NewPolicy, PolicyChange, PolicyView, WindowChange};
use strongroom_service::rows;
use strongroom_service::vault_policies::NewAssociation;
use strongroom_types::{PolicyOrigin, RetentionTerms};
use strongroom_wire::Code;
use strongroom_wire::policies::{
    AssociatePolicyRequest, AssociatedVault, OperationDefinition, Policy, PolicyChangeRequest,
    PolicyRequest, Trigger, TriggerProperties, VaultPolicy,
};
use strongroom_wire::values::{Label, Name, PeriodBackups, RegionName, ShortText, StartWindow};

use self::marks::marks;
use crate::ApiError;

pub(crate) fn new_policy(request: PolicyRequest) -> Result<NewPolicy, ApiError> {
    let operation_type = request.operation_type.as_str().parse();
    let properties = request.trigger.properties;
    Ok(NewPolicy {
        name: request.name.into_string(),
        operation_type: operation_type.map_err(|_| ApiError::of(Code::UnknownPolicyType))?,
        policy_type: PolicyOrigin::Custom,
        enabled: request.enabled.unwrap_or(true),
        definition: definition(request.operation_definition)?,
        patterns: texts(properties.pattern),
        start_window_minutes: properties.start_window_minutes.map(StartWindow::get),
    })
}

pub(crate) fn policy_change(request: PolicyChangeRequest) -> Result<PolicyChange, ApiError> {
    let properties = request.trigger.map(|trigger| trigger.properties);
    let start_window = properties.as_ref().and_then(|p| p.start_window_minutes);
    Ok(PolicyChange {
        name: request.name.map(Name::into_string),
        enabled: request.enabled,
        definition: request.operation_definition.map(definition).transpose()?,
        patterns: properties.map(|properties| texts(properties.pattern)),
        start_window: match start_window {
            None => WindowChange::Keep,
            Some(None) => WindowChange::Remove,
            Some(Some(minutes)) => WindowChange::Set(minutes.get()),
        },
    })
}

fn texts(patterns: Vec<Label>) -> Vec<String> {
    patterns.into_iter().map(Label::into_string).collect()
}

/// What the definition means, and its text for the echo.
pub(crate) fn definition(mut sent: OperationDefinition) -> Result<Definition, ApiError> {
    sent.created_by = "customer".parse().ok();
    Ok(Definition {
        text: serde_json::to_string(&sent).map_err(ApiError::internal)?,
        retention: RetentionTerms {
            days: sent.retention_duration_days.and_then(|n| rule(n.get())),
            newest: sent.max_backups.and_then(|n| rule(n.get())),
            of_days: periods(sent.day_backups),
            of_weeks: periods(sent.week_backups),
            of_months: periods(sent.month_backups),
            of_years: periods(sent.year_backups),
            zone: sent.timezone,
            marks: marks(sent.advanced_retention_rules.unwrap_or_default())?,
        },
        full_interval: sent
            .full_backup_interval
            .and_then(|number| u32::try_from(number.get()).ok()),
        destination_region: filled(sent.destination_region.map(RegionName::into_string)),
        destination_project_id: filled(sent.destination_project_id.map(ShortText::into_string)),
        accelerate: sent.enable_acceleration.unwrap_or(false),
    })
}

/// 0 and -1 set no rule.
fn rule(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

fn periods(number: Option<PeriodBackups>) -> u32 {
    number.and_then(|number| rule(number.get())).unwrap_or(0)
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// A new policy is applied to no vault, which its answer shows as null.
pub(crate) fn created_policy(view: PolicyView) -> Result<Policy, ApiError> {
    Ok(Policy {
        associated_vaults: None,
        ..policy(view)?
    })
}

pub(crate) fn policy(view: PolicyView) -> Result<Policy, ApiError> {
    let row = view.policy;
    let vault = |row: rows::VaultPolicy| AssociatedVault {
        vault_id: row.vault_id,
        destination_vault_id: row.destination_vault_id,
    };
    Ok(Policy {
        id: row.id,
        name: row.name,
        enabled: row.enabled,
        operation_type: row.operation_type,
        operation_definition: serde_json::from_str(&row.definition).map_err(ApiError::internal)?,
        trigger: Trigger {
            id: row.trigger_id,
            name: "default".to_owned(),
            trigger_type: "time".to_owned(),
            properties: TriggerProperties {
                pattern: row.schedule.0.into(),
                start_time: row.created_at.to_blank(),
                start_window_minutes: row.start_window_minutes,
            },
        },
        associated_vaults: Some(view.vaults.into_iter().map(vault).collect()),
        policy_type: row.policy_type,
    })
}

pub(crate) fn new_association(request: AssociatePolicyRequest) -> NewAssociation {
    NewAssociation {
        policy_id: request.policy_id,
        add_policy_ids: request.add_policy_ids,
        destination_vault_id: request.destination_vault_id,
    }
}

pub(crate) fn vault_policy(row: rows::VaultPolicy) -> VaultPolicy {
    VaultPolicy {
        vault_id: row.vault_id,
        policy_id: row.policy_id,
        destination_vault_id: row.destination_vault_id,
    }
}

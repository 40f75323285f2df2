//! What a policy may be and become, as far as the policy alone decides it.

use strongroom_db::{Destination, JsonText, Policy, PolicyRules};
use strongroom_types::{PolicyOperation, Retention, Schedule, Timestamp};

use super::{Definition, PolicyChange, WindowChange};
use crate::Error;

const WINDOW_MINUTES_MIN: i64 = 60;
const WINDOW_MINUTES_MAX: i64 = 480;

pub(crate) fn parse(
    definition: &Definition,
    operation_type: PolicyOperation,
    own_region: &str,
) -> Result<JsonText<PolicyRules>, Error> {
    let retention = Retention::try_from(definition.retention.clone());
    let retention = retention.map_err(|conflict| invalid("operation_definition", conflict))?;
    Ok(JsonText(PolicyRules {
        retention,
        full_interval: definition.full_interval,
        destination: destination(definition, operation_type, own_region)?,
    }))
}

fn destination(
    definition: &Definition,
    operation_type: PolicyOperation,
    own_region: &str,
) -> Result<Option<Destination>, Error> {
    let region = definition.destination_region.as_deref();
    let project_id = definition.destination_project_id.as_deref();
    match operation_type {
        PolicyOperation::Backup if region.is_some() || project_id.is_some() => Err(invalid(
            "operation_definition",
            "destination_region and destination_project_id are for replication policies",
        )),
        PolicyOperation::Backup => Ok(None),
        PolicyOperation::Replication => {
            let region = needed("operation_definition.destination_region", region)?;
            if region == own_region {
                return Err(invalid(
                    "operation_definition.destination_region",
                    "it must be another region than this one",
                ));
            }
            Ok(Some(Destination {
                project_id: needed("operation_definition.destination_project_id", project_id)?,
                region,
                accelerate: definition.accelerate,
            }))
        }
    }
}

fn needed(field: &str, text: Option<&str>) -> Result<String, Error> {
    let text = text.map(str::to_owned);
    text.ok_or_else(|| invalid(field, "a replication policy needs it"))
}

pub(crate) fn schedule(patterns: Vec<String>) -> Result<JsonText<Schedule>, Error> {
    let schedule = Schedule::try_from(patterns);
    let schedule = schedule.map_err(|error| invalid("trigger.properties.pattern", error))?;
    Ok(JsonText(schedule))
}

pub(crate) fn window(minutes: Option<i64>) -> Result<Option<i64>, Error> {
    match minutes {
        Some(minutes) if !(WINDOW_MINUTES_MIN..=WINDOW_MINUTES_MAX).contains(&minutes) => {
            Err(invalid(
                "trigger.properties.start_window_minutes",
                format!("it must be {WINDOW_MINUTES_MIN} to {WINDOW_MINUTES_MAX}"),
            ))
        }
        minutes => Ok(minutes),
    }
}

fn invalid(field: &str, reason: impl std::fmt::Display) -> Error {
    Error::invalid(format!("Invalid {field} provided: {reason}."))
}

/// Applies a change, or says what forbids it. `vaults` is the number of vaults that have the policy.
pub(crate) fn apply(
    policy: &mut Policy,
    change: PolicyChange,
    vaults: usize,
    own_region: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(name) = change.name {
        policy.name = name;
    }
    if let Some(definition) = change.definition {
        let rules = parse(&definition, policy.operation_type, own_region)?;
        let region = |rules: &PolicyRules| rules.destination.as_ref().map(|d| d.region.clone());
        if vaults > 0 && region(&rules.0) != region(&policy.rules.0) {
            return Err(Error::DestinationInUse);
        }
        policy.rules = rules;
        policy.definition = definition.text;
    }
    if let Some(patterns) = change.patterns {
        let schedule = schedule(patterns)?;
        if schedule != policy.schedule {
            policy.schedule = schedule;
            policy.schedule_since = now;
        }
    }
    match change.start_window {
        WindowChange::Keep => {}
        WindowChange::Remove => policy.start_window_minutes = None,
        WindowChange::Set(minutes) => policy.start_window_minutes = window(Some(minutes))?,
    }
    if let Some(enabled) = change.enabled {
        if enabled && !policy.enabled {
            policy.schedule_since = now;
        }
        policy.enabled = enabled;
    }
    Ok(())
}

use serde::{Deserialize, Serialize};
use strongroom_db::{AppliedPolicy, JsonText, Policy, PolicyOptions, PolicyRules, VaultPolicy};
use strongroom_types::{
    PolicyId, PolicyOperation, PolicyOrigin, ProjectId, Schedule, Timestamp, TriggerId, VaultId,
};

/// Well below what the attributes of a point may take, beside everything else that is in them.
const POLICIES_BYTES_MAX: usize = 32 * 1024;

/// A policy that is applied to the vault of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyNote {
    pub id: PolicyId,
    pub name: String,
    pub operation_type: PolicyOperation,
    pub enabled: bool,
    /// The wire's `operation_definition`, for the echo.
    pub definition: String,
    pub rules: PolicyRules,
    pub trigger_id: TriggerId,
    pub schedule: Schedule,
    pub start_window_minutes: Option<i64>,
    pub created_at: Timestamp,
    /// Of replication policies: the vault in the other region.
    pub destination_vault_id: Option<VaultId>,
    #[serde(default)]
    pub options: PolicyOptions,
}

impl PolicyNote {
    /// Notes of as many policies as fit; a backup does not fail for what it says about itself.
    pub(super) fn all_of(policies: &[AppliedPolicy]) -> Vec<Self> {
        let mut left = POLICIES_BYTES_MAX;
        let notes = policies.iter().map(Self::of);
        notes.take_while(|note| note.fits(&mut left)).collect()
    }

    fn fits(&self, left: &mut usize) -> bool {
        let length = serde_json::to_string(self).map_or(usize::MAX, |json| json.len());
        let rest = left.checked_sub(length);
        *left = rest.unwrap_or(0);
        rest.is_some()
    }

    fn of(AppliedPolicy { policy, applied }: &AppliedPolicy) -> Self {
        Self {
            id: policy.id.clone(),
            name: policy.name.clone(),
            operation_type: policy.operation_type,
            enabled: policy.enabled,
            definition: policy.definition.clone(),
            rules: policy.rules.0.clone(),
            trigger_id: policy.trigger_id.clone(),
            schedule: policy.schedule.0.clone(),
            start_window_minutes: policy.start_window_minutes,
            created_at: policy.created_at,
            destination_vault_id: applied.destination_vault_id.clone(),
            options: policy.options.0.clone(),
        }
    }

    /// The policy as it was, a project's own: starts that were due before `now` do not run.
    pub(crate) fn policy(&self, project: &ProjectId, now: Timestamp) -> Policy {
        Policy {
            id: self.id.clone(),
            project_id: project.clone(),
            name: self.name.clone(),
            operation_type: self.operation_type,
            policy_type: PolicyOrigin::Custom,
            enabled: self.enabled,
            definition: self.definition.clone(),
            rules: JsonText(self.rules.clone()),
            trigger_id: self.trigger_id.clone(),
            schedule: JsonText(self.schedule.clone()),
            start_window_minutes: self.start_window_minutes,
            options: JsonText(self.options.clone()),
            schedule_since: now,
            version: 0,
            created_at: self.created_at,
            updated_at: now,
        }
    }

    pub(crate) fn applied_to(&self, vault: &VaultId, now: Timestamp) -> VaultPolicy {
        VaultPolicy {
            vault_id: vault.clone(),
            policy_id: self.id.clone(),
            destination_vault_id: self.destination_vault_id.clone(),
            associated_at: now,
            last_due_at: None,
        }
    }
}

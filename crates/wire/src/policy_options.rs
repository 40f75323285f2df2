//! Our own extension: what a backup policy chooses beside its definition.

use serde::{Deserialize, Serialize};
use strongroom_types::FailedFreeze;
use utoipa::ToSchema;

use crate::policies::present;
use crate::values::ProofDays;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyOptionsRequest {
    pub options: PolicyOptionsChange,
}

/// What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyOptionsChange {
    pub on_failed_freeze: Option<FailedFreeze>,
    /// Null ends it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<PolicyProofs>)]
    pub prove: Option<Option<PolicyProofs>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyOptionsAnswer {
    pub options: PolicyOptions,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyOptions {
    /// What becomes of a backup whose guest does not hold its file systems still.
    pub on_failed_freeze: FailedFreeze,
    /// Null: no backup is proven by itself.
    #[schema(required)]
    pub prove: Option<PolicyProofs>,
}

/// Which backups of each server are proven by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyProofs {
    /// The first of a day in UTC, so many days after the day of the one before.
    pub every_days: ProofDays,
}

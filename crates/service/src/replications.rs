//! Replication to other regions. None can be known yet, which is what every run says.

use strongroom_db::{Policy, Vault};
use strongroom_types::{OperationStatus, OperationType, Timestamp, Trouble};

use crate::work::{self, NotStarted};
use crate::{App, Error};

/// Runs a replication policy on one of its vaults, for the start that was due at `due_at`; called once for each.
pub(crate) async fn run_policy(
    app: &App,
    policy: &Policy,
    vault: &Vault,
    due_at: Timestamp,
) -> Result<(), Error> {
    let region = policy.rules.0.destination.as_ref();
    let region = region.map_or("of the policy", |destination| destination.region.as_str());
    let run = NotStarted {
        policy_id: policy.id.clone(),
        operation_type: OperationType::Replication,
        due_at,
        status: OperationStatus::Skipped,
        trouble: Trouble::NoPeer,
        message: format!("no peer is configured for the region {region}"),
    };
    let log = work::log_not_started(app, vault, None, run, &app.ids.hex32(), app.now());
    let mut tx = app.db.begin().await?;
    tx.insert_operation_log(&log).await?;
    tx.commit().await?;
    Ok(())
}

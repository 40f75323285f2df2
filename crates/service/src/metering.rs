//! How much a project has and takes.

use strongroom_db::{Capacity, Page, UsageFilter, VaultResource};
use strongroom_types::ProjectId;

use crate::{Action, App, Caller, Error};

/// All vaults together. What two vaults share counts in each of them, as it does in their own numbers.
pub async fn summary(app: &App, caller: &Caller, project: &ProjectId) -> Result<Capacity, Error> {
    caller.authorise(Action::VaultsSummary, project)?;
    let mut tx = app.db.read().await?;
    Ok(tx.capacity_of_project(project).await?)
}

/// What each protected resource's backups take, by the resource's name, and how many resources there are.
pub async fn storage_usage(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &UsageFilter,
    page: &Page,
) -> Result<(Vec<VaultResource>, u64), Error> {
    caller.authorise(Action::StorageUsage, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_protected_resources(project, filter, page).await?;
    Ok((listed.rows, listed.total))
}

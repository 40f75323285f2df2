//! What recovered vaults occupy.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_types::{ProjectId, ResourceId, VaultId};

use crate::progress::VaultUsage;
use crate::{App, Error, progress};

/// A vault of a project, and which points are to be measured.
#[derive(Debug, Clone)]
pub struct VaultToMeasure {
    pub vault_id: VaultId,
    pub points: Vec<String>,
    /// The same points by the resource that they are backups of.
    pub by_resource: BTreeMap<ResourceId, Vec<String>>,
}

/// What the points of one resource take.
#[derive(Debug, Clone)]
pub struct ResourceUsage {
    pub resource_id: ResourceId,
    pub bytes: u64,
}

/// Of these vaults, those that the project has.
pub async fn vaults_to_measure(
    app: &App,
    project: &ProjectId,
    vaults: &BTreeSet<VaultId>,
) -> Result<Vec<VaultToMeasure>, Error> {
    let ids: Vec<_> = vaults.iter().cloned().collect();
    let vaults = app.db.read().await?.vaults_by_id(&ids).await?;
    let mut found = Vec::new();
    for vault in vaults.into_iter().filter(|v| v.project_id == *project) {
        let mut by_resource: BTreeMap<ResourceId, Vec<String>> = BTreeMap::new();
        let points = progress::list_points_of_vault(app, &vault.id).await?;
        for point in &points {
            let of_resource = by_resource.entry(point.resource_id.clone()).or_default();
            of_resource.push(point.point_id.clone());
        }
        found.push(VaultToMeasure {
            vault_id: vault.id,
            points: points.into_iter().map(|point| point.point_id).collect(),
            by_resource,
        });
    }
    Ok(found)
}

/// Writes what was measured. `UsageStale` when the vault's points are others by now.
pub async fn publish_usage(
    app: &App,
    measured: &VaultToMeasure,
    vault_bytes: u64,
    resources: &[ResourceUsage],
) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    let vault = tx.lock_vault(&measured.vault_id).await?;
    let mut vault = vault.ok_or_else(|| Error::VaultNotFound {
        vault_id: measured.vault_id.clone(),
    })?;
    let usage = VaultUsage {
        points: measured.points.clone(),
        vault_bytes,
        resource_bytes: 0,
    };
    progress::publish_usage(app, &mut tx, &mut vault, &usage, app.now()).await?;
    for resource in resources {
        tx.update_vault_resource_usage(&resource.resource_id, resource.bytes)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

//! Reads what a repository holds, and lists it again: the one place where points become rows other than by a backup.

use std::collections::{BTreeSet, HashSet};

use strongroom_repo::{PointId, Repository, VerifyDepth, VerifyReport};
use strongroom_service::recovery::{
    FoundBackup, FoundPoint, Listing, Recoverer, ResourceUsage, VaultToMeasure, group, list_again,
    publish_usage, restore_project, vaults_to_measure,
};
use strongroom_service::{App, Error, Provenance};
use strongroom_types::{ProjectId, VaultId};

/// What a repository holds.
#[derive(Debug)]
pub struct Scan {
    /// The oldest first.
    pub backups: Vec<FoundBackup>,
    /// Points that no backup of the service made.
    pub others: u64,
    pub report: VerifyReport,
}

/// What became of the backups of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Recovered {
    /// Listed, and can be restored.
    pub listed: u64,
    /// Listed as an error, because disks are missing or damaged.
    pub listed_broken: u64,
    /// Were listed as damaged, and can be restored again.
    pub mended: u64,
    /// Were listed before.
    pub known: u64,
    /// Not listed: another vault has a backup or a checkpoint of that id.
    pub elsewhere: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("the repository cannot be read")]
    Repository(#[source] strongroom_repo::Error),
    /// So much is damaged that nobody can say which points are whole.
    #[error(
        "{objects} objects of the repository are damaged, more than can be told apart: repair it first"
    )]
    TooMuchDamage { objects: u64 },
    #[error("the rows cannot be written")]
    Rows(#[from] Error),
}

impl From<strongroom_repo::Error> for RecoveryError {
    fn from(source: strongroom_repo::Error) -> Self {
        Self::Repository(source)
    }
}

impl Recovered {
    pub(crate) fn count(&mut self, listing: Listing) {
        let counter = match listing {
            Listing::Listed => &mut self.listed,
            Listing::ListedBroken => &mut self.listed_broken,
            Listing::Mended => &mut self.mended,
            Listing::Known => &mut self.known,
            Listing::Elsewhere => &mut self.elsewhere,
        };
        *counter += 1;
    }
}

/// Lists and verifies. The points are listed before, so that each was looked at.
pub async fn scan(repository: &Repository, depth: VerifyDepth) -> Result<Scan, RecoveryError> {
    let points = repository.list_points().await?;
    let report = repository.verify(depth, &|_| ()).await?;
    let damaged = damaged_points(&report)?;
    let (mut found, mut others) = (Vec::new(), 0);
    for point in points {
        match Provenance::from_attributes(&point.attributes) {
            Some(provenance) => found.push(FoundPoint {
                is_damaged: damaged.contains(&point.id),
                point_id: point.id.to_string(),
                size_bytes: point.size_bytes,
                stored_bytes: point.bytes_stored,
                provenance,
            }),
            None => others += 1,
        }
    }
    Ok(Scan {
        backups: group(found),
        others,
        report,
    })
}

/// The report's lists are bounded: beyond their bounds a point that is not named may be damaged, too.
fn damaged_points(report: &VerifyReport) -> Result<HashSet<PointId>, RecoveryError> {
    let all_named = report.damage_count == report.damage.len() as u64;
    let all_hits = |hits: u64, named: usize| hits == named as u64;
    let complete = all_named
        && report
            .damage
            .iter()
            .all(|damage| all_hits(damage.hit_count, damage.hits.len()));
    if !complete {
        return Err(RecoveryError::TooMuchDamage {
            objects: report.damage_count,
        });
    }
    let hits = report.damage.iter().flat_map(|damage| &damage.hits);
    Ok(hits.map(|hit| hit.point.clone()).collect())
}

/// Lists all backups of a project as they were, and measures what its vaults occupy. May be cut off anywhere and run
/// again.
pub async fn recover(
    app: &App,
    by: &Recoverer,
    project: &ProjectId,
    repository: &Repository,
    scan: &Scan,
) -> Result<Recovered, RecoveryError> {
    let mut recovered = Recovered::default();
    // The newest knows best what its vault and its disks were like.
    let newest_first = || scan.backups.iter().rev();
    let name = newest_first()
        .next()
        .map(|found| &found.disks[0].provenance.project.name);
    restore_project(
        app,
        by,
        project,
        name.map_or(project.as_str(), String::as_str),
    )
    .await?;
    let mut vaults = BTreeSet::new();
    for found in newest_first() {
        recovered.count(list_again(app, by, project, found).await?);
        vaults.insert(found.disks[0].provenance.vault_id.clone());
    }
    measure(app, project, repository, &vaults).await?;
    Ok(recovered)
}

async fn measure(
    app: &App,
    project: &ProjectId,
    repository: &Repository,
    vaults: &BTreeSet<VaultId>,
) -> Result<(), RecoveryError> {
    for vault in vaults_to_measure(app, project, vaults).await? {
        measure_vault(app, repository, &vault).await?;
    }
    Ok(())
}

pub(crate) async fn measure_vault(
    app: &App,
    repository: &Repository,
    vault: &VaultToMeasure,
) -> Result<(), RecoveryError> {
    let vault_bytes = repository.occupied(&parse(&vault.points)?).await?;
    let mut resources = Vec::new();
    for (resource_id, points) in &vault.by_resource {
        resources.push(ResourceUsage {
            resource_id: resource_id.clone(),
            bytes: repository.occupied(&parse(points)?).await?,
        });
    }
    Ok(publish_usage(app, vault, vault_bytes, &resources).await?)
}

fn parse(points: &[String]) -> Result<Vec<PointId>, strongroom_repo::Error> {
    points.iter().map(|point| point.parse()).collect()
}

//! Listing what another installation wrote into a storage unit.

use std::collections::BTreeSet;

use strongroom_repo::{Repository, VerifyDepth};
use strongroom_service::progress::{
    Failure, SyncCounts, SyncWork, VaultUsage, fail_sync, finish_sync, forget_gone, list_found,
    list_points_of_vault, start_sync,
};
use strongroom_service::recovery::{FoundBackup, Listing};
use strongroom_service::rows::WantedBackup;
use strongroom_service::{Error, rows::Vault};
use strongroom_types::Trouble;

use super::usage::parse;
use super::{Context, JobError};
use crate::recovery::{RecoveryError, Scan, scan};

/// Each loss means that another job of the vault made progress.
const ATTEMPTS_MAX: usize = 20;

pub(super) async fn run(context: &Context) -> Result<(), JobError> {
    let work = start_sync(&context.app, &context.lease).await?;
    let repository = context
        .repository_of(&work.vault.id, &work.vault.project_id)
        .await?;
    let scanned = tokio::select! {
        scanned = scan(&repository, VerifyDepth::Structure) => scanned?,
        () = context.cancel.cancelled() => return Err(JobError::Cancelled),
    };
    let (counts, failure) = match &work.wanted {
        None => (sync_all(context, &work, &scanned).await?, None),
        Some(wanted) => match sync_one(context, &work, wanted, scanned).await? {
            Ok(counts) => (counts, None),
            Err(failure) => {
                let failed = SyncCounts {
                    failed: 1,
                    ..SyncCounts::default()
                };
                (failed, Some(failure))
            }
        },
    };
    publish(context, &repository, &work, counts, failure.as_ref()).await
}

pub(super) async fn fail(context: &Context, failure: Failure) -> Result<(), JobError> {
    Ok(fail_sync(&context.app, &context.lease, failure).await?)
}

async fn sync_all(
    context: &Context,
    work: &SyncWork,
    scanned: &Scan,
) -> Result<SyncCounts, JobError> {
    let found: BTreeSet<_> = scanned
        .backups
        .iter()
        .map(|found| found.id.clone())
        .collect();
    let mut counts = forget_gone(&context.app, &context.lease, work, &found).await?;
    for found in &scanned.backups {
        if context.cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        match list_found(&context.app, &context.lease, work, found).await? {
            Listing::Listed | Listing::Mended => counts.listed += 1,
            Listing::ListedBroken | Listing::Elsewhere => counts.failed += 1,
            Listing::Known => {}
        }
    }
    Ok(counts)
}

/// Lists the backup that was asked for, or says why not.
async fn sync_one(
    context: &Context,
    work: &SyncWork,
    wanted: &WantedBackup,
    scanned: Scan,
) -> Result<Result<SyncCounts, Failure>, JobError> {
    let refuse = |message: &str| {
        Ok(Err(Failure {
            trouble: Trouble::DataDamaged,
            message: message.to_owned(),
        }))
    };
    let mut backups = scanned.backups.into_iter();
    let Some(found) = backups.find(|found| found.id == wanted.backup_id) else {
        return refuse("the storage unit holds no backup of that id");
    };
    if let Some(contradiction) = contradiction(wanted, &found) {
        return refuse(contradiction);
    }
    match list_found(&context.app, &context.lease, work, &found).await? {
        Listing::Listed | Listing::Mended => Ok(Ok(SyncCounts {
            listed: 1,
            ..SyncCounts::default()
        })),
        Listing::Known => Ok(Ok(SyncCounts::default())),
        Listing::ListedBroken => refuse("disks of the backup are missing or damaged"),
        Listing::Elsewhere => refuse("another vault has a backup or a checkpoint of that id"),
    }
}

/// What the request says about the backup and the storage unit does not.
fn contradiction(wanted: &WantedBackup, found: &FoundBackup) -> Option<&'static str> {
    let first = &found.disks[0].provenance;
    let resource_id = match &first.server {
        Some(server) => server.id.as_str(),
        None => first.resource_id.as_str(),
    };
    if resource_id != wanted.resource_id.as_str() {
        return Some("the backup in the storage unit is one of another resource");
    }
    let path = wanted.image_path.trim_matches('/');
    let is_point = |point: &str| path.strip_prefix("points/") == Some(point);
    let names_it =
        path.is_empty() || path == "." || found.disks.iter().any(|disk| is_point(&disk.point_id));
    (!names_it).then_some("the backup in the storage unit lies at another image_path")
}

async fn publish(
    context: &Context,
    repository: &Repository,
    work: &SyncWork,
    counts: SyncCounts,
    failure: Option<&Failure>,
) -> Result<(), JobError> {
    for _ in 0..ATTEMPTS_MAX {
        let usage = measure(context, repository, &work.vault).await?;
        let (app, lease) = (&context.app, &context.lease);
        match finish_sync(app, lease, work, counts, failure, usage).await {
            Err(Error::UsageStale) => {}
            ended => return Ok(ended?),
        }
    }
    Err(JobError::Retry(Box::new(Error::UsageStale)))
}

async fn measure(
    context: &Context,
    repository: &Repository,
    vault: &Vault,
) -> Result<VaultUsage, JobError> {
    let held = list_points_of_vault(&context.app, &vault.id).await?;
    let points: Vec<_> = held.into_iter().map(|point| point.point_id).collect();
    Ok(VaultUsage {
        vault_bytes: repository.occupied(&parse(&points)?).await?,
        resource_bytes: 0,
        points,
    })
}

impl From<RecoveryError> for JobError {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Repository(source) => source.into(),
            RecoveryError::Rows(source) => source.into(),
            RecoveryError::TooMuchDamage { .. } => Self::Failed {
                trouble: Trouble::DataDamaged,
                source: Box::new(error),
            },
        }
    }
}

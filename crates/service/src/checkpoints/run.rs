//! The transaction that starts a checkpoint: its row, its backups, their operation logs and their jobs.

use std::time::Duration;

use strongroom_db::{
    Backup, Checkpoint, JsonText, OperationExtra, OperationLog, Policy, SkippedResource, Tx, Vault,
    VaultResource,
};
use strongroom_types::{
    BackupId, BackupStatus, ChargingMode, CheckpointId, CheckpointStatus, ImageType, JobKind,
    ProtectStatus, ResourceId, ResourceType, Timestamp, Trouble, gib_ceil,
};

use super::obstacles::{Traffic, obstacle};
use super::{CheckpointResource, CheckpointView, NewCheckpoint, origin, selection};
use crate::findings::Findings;
use crate::stock::{Disk, Stock};
use crate::vaults::rules;
use crate::work::{self, Subject};
use crate::{App, DiskFacts, Error, locks, metadata};

const SECONDS_PER_DAY: u64 = 86_400;
/// How many reasons a refusal lists.
const REASONS_SHOWN: usize = 3;

/// Starts a checkpoint of a vault whose disks were examined.
pub(crate) async fn start(
    app: &App,
    tx: &mut Tx,
    new: &NewCheckpoint,
    findings: &Findings,
    request_id: &str,
) -> Result<CheckpointView, Error> {
    let now = app.now();
    let vault = tx.lock_vault(&new.vault_id).await?;
    let vault = vault.ok_or_else(|| Error::VaultNotFound {
        vault_id: new.vault_id.clone(),
    })?;
    let selected = selection::select(tx, &vault, &new.selection).await?;
    let policy = origin::policy_of(tx, &vault, new).await?;
    check_room(&vault)?;
    let named = selected.iter().map(|r| (&r.resource_id, r.resource_type));
    let stock = Stock::load(tx, &vault.project_id, named).await?;
    stock.lock_volumes(tx).await?;
    let traffic = Traffic::read(tx, &stock).await?;

    let (mut runnable, mut skipped) = (Vec::new(), Vec::new());
    for resource in selected {
        match obstacle(&resource, &stock, &traffic, findings) {
            None => runnable.push(resource),
            Some((trouble, reason)) => skipped.push(SkippedResource {
                id: resource.resource_id,
                resource_type: resource.resource_type,
                name: resource.name,
                trouble,
                reason,
            }),
        }
    }
    if runnable.is_empty() {
        return Err(nothing_left(&skipped));
    }
    let checkpoint = new_checkpoint(app, &vault, new, skipped, now);
    tx.insert_checkpoint(&checkpoint).await?;
    let run = Run {
        app,
        vault: &vault,
        checkpoint: &checkpoint,
        new,
        policy: policy.as_ref(),
        request_id,
        now,
        kept_from: locks::retention_start(app, tx).await?,
    };
    let mut resources = Vec::with_capacity(runnable.len());
    for resource in runnable {
        run.back_up(tx, &resource, &stock, findings).await?;
        resources.push(as_it_was(resource));
    }
    Ok(CheckpointView {
        checkpoint,
        vault_name: vault.name,
        resources,
    })
}

/// A full vault takes no backup unless it may be used beyond its size. One that grows did so when it became full.
pub(crate) fn check_room(vault: &Vault) -> Result<(), Error> {
    let overfills = vault.demand_billing && vault.charging_mode == ChargingMode::PrePaid;
    if rules::is_full(vault) && !overfills {
        return Err(Error::VaultFull);
    }
    Ok(())
}

fn nothing_left(skipped: &[SkippedResource]) -> Error {
    if skipped.iter().all(|s| s.trouble == Trouble::BackupRunning) {
        return Error::BackupRunning;
    }
    let reasons = skipped.iter().take(REASONS_SHOWN);
    let reasons: Vec<_> = reasons
        .map(|s| format!("{} ({})", s.id, s.reason))
        .collect();
    Error::NothingToBackUp {
        reason: reasons.join(", "),
    }
}

fn new_checkpoint(
    app: &App,
    vault: &Vault,
    new: &NewCheckpoint,
    skipped: Vec<SkippedResource>,
    now: Timestamp,
) -> Checkpoint {
    let given = new.name.clone().filter(|name| !name.is_empty());
    Checkpoint {
        id: CheckpointId::random(&*app.ids),
        project_id: vault.project_id.clone(),
        vault_id: vault.id.clone(),
        name: given.unwrap_or_else(|| made_up_name(app, vault, new.auto_trigger)),
        description: new.description.clone(),
        status: CheckpointStatus::Protecting,
        retention_days: new.retention_days,
        skipped_resources: JsonText(skipped),
        created_at: now,
    }
}

fn made_up_name(app: &App, vault: &Vault, auto_trigger: bool) -> String {
    let mut random = [0; 2];
    app.ids.fill(&mut random);
    let random = hex::encode(random);
    if auto_trigger {
        let prefix = vault.backup_name_prefix.as_deref().unwrap_or_default();
        format!("{prefix}autobk_{random}")
    } else {
        format!("manualbk_{random}")
    }
}

/// The answer shows a resource as it was before its backup began.
fn as_it_was(row: VaultResource) -> CheckpointResource {
    CheckpointResource {
        id: row.resource_id,
        resource_type: row.resource_type,
        name: row.name,
        size_gb: row.size_gb,
        backup_bytes: row.backup_bytes,
        backup_count: row.backup_count,
        protect_status: row.protect_status,
        auto_protect: row.auto_protect,
        exclude_volumes: row.exclude_volumes.map(|list| list.0).unwrap_or_default(),
    }
}

/// What all backups of one checkpoint share.
#[derive(Debug)]
struct Run<'a> {
    app: &'a App,
    vault: &'a Vault,
    checkpoint: &'a Checkpoint,
    new: &'a NewCheckpoint,
    /// Of automatic backups, and then it decides how long they stay.
    policy: Option<&'a Policy>,
    request_id: &'a str,
    now: Timestamp,
    /// When the time that a policy keeps them for begins: the host's clock may have been set back.
    kept_from: Timestamp,
}

/// Has the vault's row of a resource count every disk that it covers by now: those that the server got since, and those too
/// that this run leaves out.
async fn resize(
    tx: &mut Tx,
    id: &ResourceId,
    stock: &Stock,
    sized: &[(Disk<'_>, &DiskFacts)],
) -> Result<(), Error> {
    let row = tx.find_vault_resource(id).await?;
    let row = row.ok_or_else(|| Error::broken(format!("the resource {id} left its vault")))?;
    let covered = stock.protected_disks(&row).into_iter();
    let size_gb = covered.map(|disk| {
        let mut now = sized.iter().filter(|(s, _)| s.volume.id == disk.volume.id);
        gib_ceil(
            now.next()
                .map_or(disk.volume.size_bytes, |(_, facts)| facts.size_bytes),
        )
    });
    tx.update_vault_resource_size(id, size_gb.sum()).await?;
    Ok(())
}

impl Run<'_> {
    async fn back_up(
        &self,
        tx: &mut Tx,
        resource: &VaultResource,
        stock: &Stock,
        findings: &Findings,
    ) -> Result<(), Error> {
        let id = &resource.resource_id;
        let from = [
            ProtectStatus::Available,
            ProtectStatus::Error,
            ProtectStatus::Deleted,
        ];
        if !tx
            .move_vault_resource(id, &from, ProtectStatus::Protecting)
            .await?
        {
            return Err(Error::BackupRunning);
        }
        let disks = stock.protected_disks(resource);
        let mut sized = Vec::with_capacity(disks.len());
        for disk in disks {
            let Some(Ok(facts)) = findings.get(&disk.volume.id) else {
                return Err(Error::broken("a disk is backed up that was not examined"));
            };
            tx.update_volume_size(&disk.volume.id, facts.size_bytes)
                .await?;
            sized.push((disk, facts));
        }
        resize(tx, id, stock, &sized).await?;
        let parents = tx.newest_backup_of(&self.vault.id, id).await?;
        let incremental = self.new.incremental
            && parents.is_some()
            && match self.policy {
                Some(policy) => !origin::wants_full(tx, self.vault, policy, id, self.now).await?,
                None => true,
            };
        let backup = self.top_row(resource, &sized, incremental);
        tx.insert_backup(&backup)
            .await
            .map_err(|error| match error {
                strongroom_db::Error::Conflict(_) => Error::BackupRunning,
                other => other.into(),
            })?;
        metadata::capture(tx, &backup, resource, stock, findings).await?;
        if resource.resource_type == ResourceType::Server {
            for (disk, facts) in &sized {
                tx.insert_backup(&self.child_row(&backup, *disk, facts))
                    .await?;
            }
        }
        self.begin(tx, &backup).await
    }

    fn top_row(
        &self,
        resource: &VaultResource,
        disks: &[(Disk<'_>, &DiskFacts)],
        incremental: bool,
    ) -> Backup {
        let asked = u64::try_from(self.new.retention_days).ok();
        let asked = asked.map(|days| self.now.plus(Duration::from_secs(days * SECONDS_PER_DAY)));
        let retention = self.policy.map(|policy| policy.rules.0.retention.clone());
        let by_policy = retention
            .as_ref()
            .and_then(|rules| rules.expires_at(self.kept_from));
        Backup {
            id: BackupId::random(&*self.app.ids),
            project_id: self.vault.project_id.clone(),
            vault_id: self.vault.id.clone(),
            checkpoint_id: self.checkpoint.id.clone(),
            parent_id: None,
            resource_id: resource.resource_id.clone(),
            resource_type: resource.resource_type,
            resource_name: resource.name.clone(),
            resource_size_gb: disks
                .iter()
                .map(|(_, facts)| gib_ceil(facts.size_bytes))
                .sum(),
            name: self.checkpoint.name.clone(),
            description: self.checkpoint.description.clone(),
            status: BackupStatus::WaitingProtect,
            image_type: ImageType::Backup,
            incremental,
            auto_trigger: self.new.auto_trigger,
            system_disk: disks.iter().any(|(disk, _)| disk.is_system),
            progress: 0,
            point_id: None,
            size_bytes: disks.iter().map(|(_, facts)| facts.size_bytes).sum(),
            stored_bytes: 0,
            trouble: None,
            trouble_message: String::new(),
            created_at: self.now,
            updated_at: self.now,
            protected_at: None,
            expired_at: asked.or(by_policy),
            policy_id: self.policy.map(|policy| policy.id.clone()),
            retention: retention.map(JsonText),
            quiesce: None,
        }
    }

    fn child_row(&self, parent: &Backup, disk: Disk<'_>, facts: &DiskFacts) -> Backup {
        Backup {
            id: BackupId::random(&*self.app.ids),
            parent_id: Some(parent.id.clone()),
            resource_id: disk.volume.id.clone().into(),
            resource_type: ResourceType::Volume,
            resource_name: disk.volume.name.clone(),
            resource_size_gb: gib_ceil(facts.size_bytes),
            size_bytes: facts.size_bytes,
            system_disk: disk.is_system,
            ..parent.clone()
        }
    }

    async fn begin(&self, tx: &mut Tx, backup: &Backup) -> Result<(), Error> {
        let subject = Subject {
            id: &backup.resource_id,
            resource_type: backup.resource_type,
            name: &backup.resource_name,
        };
        let extra = OperationExtra::Backup {
            backup_id: backup.id.clone(),
            backup_name: backup.name.clone(),
            incremental: backup.incremental,
            quiesce: None,
            disks: Vec::new(),
        };
        let (app, now) = (self.app, self.now);
        let log = OperationLog {
            checkpoint_id: Some(self.checkpoint.id.clone()),
            policy_id: backup.policy_id.clone(),
            ..work::new_log(app, self.vault, Some(&subject), extra, self.request_id, now)
        };
        work::begin(app, tx, JobKind::BackUp, backup.id.as_str(), &log, now).await
    }
}

//! Hybrid vaults: they list what another installation wrote into a storage unit, which the operator's configuration
//! gives to their project. What lies there is read and never changed.

use std::collections::BTreeSet;

use strongroom_db::{NewJob, OperationExtra, OperationLog, StorageUnit, Tx, Vault, WantedBackup};
use strongroom_types::{
    BackupId, JobId, JobKind, OperationLogId, ProjectId, ProtectType, VaultId, VaultStatus,
};

use crate::work::{self, Subject};
use crate::{Action, App, Caller, Error, vaults};

const IMPORTS_MAX: usize = 50;

/// A backup of the storage unit to list.
#[derive(Debug, Clone)]
pub struct NewImport {
    /// Name of the storage unit.
    pub bucket_name: String,
    pub wanted: WantedBackup,
}

/// Compares a hybrid vault with its storage unit: lists what is new there, and forgets what is gone.
pub async fn sync_vault(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
) -> Result<OperationLogId, Error> {
    caller.authorise(Action::VaultsSync, project)?;
    let mut tx = app.db.begin().await?;
    let vault = vaults::owned(tx.lock_vault(vault_id).await?, project, vault_id)?;
    check_vault(&vault)?;
    let log = work::new_log(
        app,
        &vault,
        None,
        extra(None),
        &caller.request_id,
        app.now(),
    );
    begin(app, &mut tx, JobKind::SyncVault, vault_id.as_str(), &log).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(log.id)
}

/// Lists backups of storage units one by one; one operation for each, in the order given.
pub async fn sync_backups(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    imports: Vec<NewImport>,
) -> Result<Vec<(BackupId, OperationLogId)>, Error> {
    caller.authorise(Action::BackupsSync, project)?;
    check_imports(&imports)?;
    let mut tx = app.db.begin().await?;
    let mut begun = Vec::new();
    for import in imports {
        let vault = vault_of_unit(&mut tx, project, &import.bucket_name).await?;
        check_vault(&vault)?;
        let wanted = import.wanted;
        let subject = Subject {
            id: &wanted.resource_id.clone(),
            resource_type: wanted.resource_type,
            name: &wanted.resource_name.clone(),
        };
        let backup_id = wanted.backup_id.clone();
        let extra = extra(Some(wanted));
        let log = work::new_log(
            app,
            &vault,
            Some(&subject),
            extra,
            &caller.request_id,
            app.now(),
        );
        begin(app, &mut tx, JobKind::SyncBackup, backup_id.as_str(), &log).await?;
        begun.push((backup_id, log.id));
    }
    tx.commit().await?;
    app.wake.notify_one();
    Ok(begun)
}

fn check_imports(imports: &[NewImport]) -> Result<(), Error> {
    if !(1..=IMPORTS_MAX).contains(&imports.len()) {
        return Err(Error::invalid(format!(
            "sync must hold 1 to {IMPORTS_MAX} backups."
        )));
    }
    let ids: BTreeSet<_> = imports
        .iter()
        .map(|import| &import.wanted.backup_id)
        .collect();
    if ids.len() < imports.len() {
        return Err(Error::invalid(
            "The backup_id of each import must be unique.",
        ));
    }
    Ok(())
}

fn check_vault(vault: &Vault) -> Result<(), Error> {
    if vault.protect_type != ProtectType::Hybrid {
        return Err(Error::VaultCannotSync {
            message: "only hybrid vaults have a storage that is synchronised".to_owned(),
        });
    }
    match vault.status {
        VaultStatus::Available | VaultStatus::Lock => Ok(()),
        status => Err(Error::VaultState { status }),
    }
}

/// A unit of another project, or in no vault, is as unknown as one that the configuration does not name.
async fn vault_of_unit(tx: &mut Tx, project: &ProjectId, name: &str) -> Result<Vault, Error> {
    let vault = match tx.find_storage_unit(name).await? {
        Some(unit) => tx.lock_vault(&unit.vault_id).await?,
        None => None,
    };
    vault
        .filter(|vault| vault.project_id == *project)
        .ok_or_else(|| Error::VaultCannotSync {
            message: "no hybrid vault of the project has a storage unit of that bucket_name"
                .to_owned(),
        })
}

fn extra(wanted: Option<WantedBackup>) -> OperationExtra {
    OperationExtra::Sync {
        sync_backup_num: 0,
        delete_backup_num: 0,
        err_sync_backup_num: 0,
        wanted,
    }
}

async fn begin(
    app: &App,
    tx: &mut Tx,
    kind: JobKind,
    subject_id: &str,
    log: &OperationLog,
) -> Result<(), Error> {
    tx.insert_operation_log(log).await?;
    let job = NewJob {
        id: JobId::random(&*app.ids),
        kind,
        subject_id: subject_id.to_owned(),
        operation_log_id: Some(log.id.clone()),
        attempts_max: app.settings.job_attempts_max,
        request_id: log.request_id.clone(),
    };
    match tx.insert_job(&job, log.created_at).await {
        Err(strongroom_db::Error::Conflict(_)) => Err(Error::SyncRunning),
        inserted => Ok(inserted?),
    }
}

/// Gives a new hybrid vault a unit of its project that no vault has yet.
pub(crate) async fn take_unit(app: &App, tx: &mut Tx, vault: &Vault) -> Result<(), Error> {
    let units = app.settings.storage_units.iter();
    for unit in units.filter(|unit| unit.project_id == vault.project_id) {
        if tx.find_storage_unit(&unit.name).await?.is_none() {
            let row = StorageUnit {
                vault_id: vault.id.clone(),
                name: unit.name.clone(),
            };
            return Ok(tx.insert_storage_unit(&row).await?);
        }
    }
    Err(Error::VaultTypeNotOffered {
        message: "no storage unit that another installation writes is free for this project"
            .to_owned(),
    })
}

/// The storage unit that a vault's points lie in; nothing when they lie in the project's own repository.
pub async fn unit_of_vault(app: &App, vault: &VaultId) -> Result<Option<String>, Error> {
    let mut tx = app.db.read().await?;
    let units = tx
        .storage_units_of_vaults(std::slice::from_ref(vault))
        .await?;
    Ok(units.into_iter().next().map(|unit| unit.name))
}

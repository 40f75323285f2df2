//! Backups as their owner sees them.

use strongroom_db::{Backup, BackupFilter, BackupSort, Page};
use strongroom_types::{BackupId, ProjectId};

use crate::{App, Caller, Error};

pub use crate::restores::{NewRestore, restore};

#[derive(Debug, Clone)]
pub struct BackupView {
    pub backup: Backup,
    /// One per disk of a server's backup; empty in lists.
    pub children: Vec<Backup>,
    /// Of its vault.
    pub enterprise_project_id: String,
}

/// The page and how many backups match in all. Newest first unless `sort` says otherwise.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &BackupFilter,
    sort: &[BackupSort],
    page: &Page,
) -> Result<(Vec<BackupView>, u64), Error> {
    todo!()
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
) -> Result<BackupView, Error> {
    todo!()
}

pub async fn rename(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
    name: String,
) -> Result<BackupView, Error> {
    todo!()
}

/// Answers at once; a job deletes the data and then the row.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
) -> Result<(), Error> {
    todo!()
}

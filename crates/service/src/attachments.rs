//! Backups that are served as disks, which machines run from at once. A row says that a backup shall be served; the worker sees to it,
//! and does so again after each start, until the backup is detached. An attached backup is not deleted.

use strongroom_db::{Backup, BackupAttachment, Page, Tx, Vault};
use strongroom_types::{
    AttachmentId, AttachmentStatus, AttachmentTransport, BackupId, BackupStatus, ProjectId,
    ProtectStatus, ResourceType, VaultStatus,
};

use crate::sharing::{self, Seen};
use crate::{Action, App, Caller, Error, audit, backups, vaults};

/// The backup stays as it is in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAttachment {
    /// Writes are refused; otherwise they are kept beside it until it is detached.
    pub read_only: bool,
    pub transport: AttachmentTransport,
}

#[derive(Debug, Clone)]
pub struct AttachmentView {
    pub attachment: BackupAttachment,
    /// The system disk first.
    pub disks: Vec<AttachedDisk>,
}

#[derive(Debug, Clone)]
pub struct AttachedDisk {
    pub backup: Backup,
    pub place: Place,
    /// Keeps what is written.
    pub overlay: String,
}

/// Where a disk is served, once it is; the same in every process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A socket of the service's host.
    Socket(String),
    /// An export of the server with TLS.
    Tls {
        export: String,
        /// `HOST:PORT`; none while it is not configured any more.
        server: Option<String>,
    },
}

/// Answers at once; the worker begins to serve.
pub async fn attach(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    new: NewAttachment,
) -> Result<AttachmentView, Error> {
    caller.authorise(Action::AttachmentsCreate, project)?;
    if new.transport == AttachmentTransport::Tls && app.settings.attach_tls.is_none() {
        return Err(Error::TlsNotOffered);
    }
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let (backup, _) = lock_readable(&mut tx, project, backup_id).await?;
    let id = AttachmentId::random(&*app.ids);
    let attachment = BackupAttachment {
        project_id: project.clone(),
        backup_id: backup.id,
        read_only: new.read_only,
        transport: new.transport,
        folder: format!("{}/{id}", app.settings.attach_dir),
        status: AttachmentStatus::Attaching,
        reason: String::new(),
        created_at: now,
        updated_at: now,
        id,
    };
    tx.insert_backup_attachment(&attachment).await?;
    let max = app.settings.attached_disks_max;
    if tx.count_attached_disks().await? > max {
        return Err(Error::TooManyAttached { max });
    }
    audit::made("attachment", &attachment.id);
    let view = view(app, &mut tx, attachment).await?;
    tx.commit().await?;
    app.attachments_changed.notify_one();
    Ok(view)
}

/// A backup of the project's own, and its disks, which all have data. None of it is deleted before the transaction ends.
pub(crate) async fn lock_readable(
    tx: &mut Tx,
    project: &ProjectId,
    backup_id: &BackupId,
) -> Result<(Backup, Vec<Backup>), Error> {
    let Seen { backup, member } = sharing::find(tx, project, backup_id).await?;
    if member.is_some() {
        return Err(refusal(
            "a backup that is shared with this project can be restored here; its owner alone attaches it, or copies it out",
        ));
    }
    // Whoever deletes it holds this lock, too.
    let vault = tx.lock_vault(&backup.vault_id).await?;
    let vault = vaults::owned(vault, project, &backup.vault_id)?;
    let backup = backups::find(tx, project, backup_id).await?;
    check_readable(tx, &vault, &backup).await?;
    let disks = tx.disks_of_backup(&backup.id).await?;
    if disks.is_empty() || disks.iter().any(|disk| disk.point_id.is_none()) {
        return Err(refusal("the backup has no data"));
    }
    Ok((backup, disks))
}

async fn check_readable(tx: &mut Tx, vault: &Vault, backup: &Backup) -> Result<(), Error> {
    match vault.status {
        VaultStatus::Available | VaultStatus::Lock => {}
        status @ (VaultStatus::Frozen | VaultStatus::Deleting | VaultStatus::Error) => {
            return Err(refusal(format!("the backup's vault is {status}")));
        }
    }
    if !matches!(
        backup.resource_type,
        ResourceType::Server | ResourceType::Volume
    ) {
        return Err(refusal("only backups of servers and disks have disks"));
    }
    if backup.status != BackupStatus::Available && !backup.status.is_restoring() {
        return Err(refusal(format!("the backup is {}", backup.status)));
    }
    if backups::is_moving(tx, vault, backup).await? {
        return Err(Error::VaultBusy);
    }
    if backups::protection(tx, backup).await? == Some(ProtectStatus::Removing) {
        return Err(refusal("the backup is being deleted with its resource"));
    }
    Ok(())
}

fn refusal(message: impl Into<String>) -> Error {
    Error::BackupNotAttachable {
        message: message.into(),
    }
}

/// The page, newest first, and how many there are in all; of one backup when it is given.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup: Option<&BackupId>,
    page: &Page,
) -> Result<(Vec<AttachmentView>, u64), Error> {
    caller.authorise(Action::AttachmentsList, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_backup_attachments(project, backup, page).await?;
    Ok((views(app, &mut tx, listed.rows).await?, listed.total))
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &AttachmentId,
) -> Result<AttachmentView, Error> {
    caller.authorise(Action::AttachmentsList, project)?;
    let mut tx = app.db.read().await?;
    let attachment = find(&mut tx, project, id).await?;
    view(app, &mut tx, attachment).await
}

/// Answers at once; the worker ends serving, and what was written is gone with the row.
pub async fn detach(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &AttachmentId,
) -> Result<(), Error> {
    caller.authorise(Action::AttachmentsDelete, project)?;
    let mut tx = app.db.begin().await?;
    find(&mut tx, project, id).await?;
    let from = AttachmentStatus::ALL;
    tx.move_backup_attachment(id, from, AttachmentStatus::Detaching, "", app.now())
        .await?;
    tx.commit().await?;
    app.attachments_changed.notify_one();
    Ok(())
}

async fn find(
    tx: &mut Tx,
    project: &ProjectId,
    id: &AttachmentId,
) -> Result<BackupAttachment, Error> {
    let found = tx.find_backup_attachment(id).await?;
    found
        .filter(|attachment| attachment.project_id == *project)
        .ok_or_else(|| Error::AttachmentNotFound {
            attachment_id: id.clone(),
        })
}

async fn view(
    app: &App,
    tx: &mut Tx,
    attachment: BackupAttachment,
) -> Result<AttachmentView, Error> {
    let backups = tx.disks_of_backup(&attachment.backup_id).await?;
    let disks = backups.into_iter().enumerate().map(|(n, backup)| {
        let place = match attachment.transport {
            AttachmentTransport::Unix => Place::Socket(format!("{}/{n}.sock", attachment.folder)),
            // Whoever may connect has to know its name as well, and the id is random.
            AttachmentTransport::Tls => Place::Tls {
                export: format!("{}-{n}", attachment.id),
                server: app.settings.attach_tls.clone(),
            },
        };
        AttachedDisk {
            backup,
            place,
            overlay: format!("{}/{n}.overlay", attachment.folder),
        }
    });
    Ok(AttachmentView {
        disks: disks.collect(),
        attachment,
    })
}

async fn views(
    app: &App,
    tx: &mut Tx,
    rows: Vec<BackupAttachment>,
) -> Result<Vec<AttachmentView>, Error> {
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        views.push(view(app, tx, row).await?);
    }
    Ok(views)
}

/// What shall be served, and what shall be served no more, of all projects.
pub async fn all(app: &App) -> Result<Vec<AttachmentView>, Error> {
    let mut tx = app.db.read().await?;
    let rows = tx.all_backup_attachments().await?;
    views(app, &mut tx, rows).await
}

/// Nothing is served yet by a process that starts.
pub async fn begin_again(app: &App) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    for attachment in tx.all_backup_attachments().await? {
        let from = [AttachmentStatus::Attached, AttachmentStatus::Error];
        let (id, to) = (&attachment.id, AttachmentStatus::Attaching);
        tx.move_backup_attachment(id, &from, to, "", app.now())
            .await?;
    }
    Ok(tx.commit().await?)
}

/// All its disks can be connected to; or none, for a reason that its owner reads.
pub async fn report(app: &App, id: &AttachmentId, outcome: Result<(), &str>) -> Result<(), Error> {
    let (status, reason) = match outcome {
        Ok(()) => (AttachmentStatus::Attached, ""),
        Err(reason) => (AttachmentStatus::Error, reason),
    };
    let from = [AttachmentStatus::Attaching, AttachmentStatus::Error];
    let mut tx = app.db.begin().await?;
    tx.move_backup_attachment(id, &from, status, reason, app.now())
        .await?;
    Ok(tx.commit().await?)
}

/// Nothing of it is left on the host.
pub async fn is_gone(app: &App, id: &AttachmentId) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    tx.delete_backup_attachment(id).await?;
    Ok(tx.commit().await?)
}

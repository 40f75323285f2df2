//! Attached backups: what can be attached, what that protects, and how the worker follows.

use std::time::Duration;

use strongroom_db::Backup;
use strongroom_types::{
    AttachmentId, AttachmentStatus, AttachmentTransport, BackupId, BackupStatus, MemberStatus,
    Role, VaultId,
};

use super::world::failure;
use super::{World, on_each_database, refused};
use crate::attachments::{self, AttachmentView, NewAttachment, Place};
use crate::checkpoints::NewCheckpoint;
use crate::sharing::{self, Answer};
use crate::{Caller, Error, Settings, backups, progress, resources, retention, vaults};

const WRITABLE: NewAttachment = NewAttachment {
    read_only: false,
    transport: AttachmentTransport::Unix,
};

impl World {
    async fn attach(&self, backup: &BackupId) -> Result<AttachmentView, Error> {
        attachments::attach(&self.app, &self.caller, &self.project, backup, WRITABLE).await
    }

    async fn attachment(&self, id: &AttachmentId) -> Result<AttachmentView, Error> {
        attachments::get(&self.app, &self.caller, &self.project, id).await
    }

    async fn attachments(&self) -> Vec<AttachmentId> {
        let page = Self::everything();
        let listed = attachments::list(&self.app, &self.caller, &self.project, None, &page).await;
        let (views, count) = listed.unwrap();
        assert_eq!(count, views.len() as u64);
        views.into_iter().map(|view| view.attachment.id).collect()
    }

    async fn attachment_state(&self, id: &AttachmentId) -> (AttachmentStatus, String) {
        let attachment = self.attachment(id).await.unwrap().attachment;
        (attachment.status, attachment.reason)
    }

    async fn detach(&self, id: &AttachmentId) -> Result<(), Error> {
        attachments::detach(&self.app, &self.caller, &self.project, id).await
    }

    /// As the worker does it.
    async fn detached(&self, id: &AttachmentId) {
        self.detach(id).await.unwrap();
        attachments::is_gone(&self.app, id).await.unwrap();
    }

    async fn delete_backup(&self, id: &BackupId) -> Result<(), Error> {
        backups::delete(&self.app, &self.caller, &self.project, id).await
    }
}

async fn a_backup(world: &World, disks: usize) -> (VaultId, Backup) {
    let web = world.server("web", disks).await;
    let vault = world.server_vault("vault", &[&web]).await;
    let backup = world.backed_up(&vault).await.remove(0);
    (vault, backup)
}

#[tokio::test]
async fn all_disks_of_a_server_are_attached_together_and_one_alone() {
    on_each_database(|world| async move {
        let (_, backup) = a_backup(&world, 2).await;
        let view = world.attach(&backup.id).await.unwrap();
        assert_eq!(view.attachment.status, AttachmentStatus::Attaching);
        let [system, data] = &view.disks[..] else {
            panic!("{view:?}");
        };
        assert!(system.backup.system_disk && !data.backup.system_disk);
        assert!(system.backup.point_id.is_some() && system.place != data.place);
        let Place::Socket(socket) = &system.place else {
            panic!("{system:?}");
        };
        assert!(socket.starts_with(&world.app.settings.attach_dir));

        let only = world.attach(&data.backup.id).await.unwrap();
        assert_eq!(only.disks.len(), 1);
        assert_eq!(only.disks[0].backup.id, data.backup.id);
        // The same backup twice, each with writes of its own.
        let again = world.attach(&backup.id).await.unwrap();
        assert_ne!(again.disks[0].overlay, view.disks[0].overlay);
        assert_eq!(world.attachments().await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn the_state_is_what_the_worker_has_seen() {
    on_each_database(|world| async move {
        let (_, backup) = a_backup(&world, 1).await;
        let id = world.attach(&backup.id).await.unwrap().attachment.id;
        let report = async |outcome| attachments::report(&world.app, &id, outcome).await.unwrap();
        report(Err("the disk is full")).await;
        let told = (AttachmentStatus::Error, "the disk is full".to_owned());
        assert_eq!(world.attachment_state(&id).await, told);
        report(Ok(())).await;
        let attached = (AttachmentStatus::Attached, String::new());
        assert_eq!(world.attachment_state(&id).await, attached);

        attachments::begin_again(&world.app).await.unwrap();
        assert_eq!(
            world.attachment_state(&id).await.0,
            AttachmentStatus::Attaching
        );
        world.detach(&id).await.unwrap();
        // What was under way when it was detached changes nothing, and neither does a start.
        report(Ok(())).await;
        attachments::begin_again(&world.app).await.unwrap();
        world.detach(&id).await.unwrap();
        assert_eq!(
            world.attachment_state(&id).await.0,
            AttachmentStatus::Detaching
        );
        assert_eq!(attachments::all(&world.app).await.unwrap().len(), 1);
        attachments::is_gone(&world.app, &id).await.unwrap();
        refused!(
            world.attachment(&id).await,
            Error::AttachmentNotFound { .. }
        );
        refused!(world.detach(&id).await, Error::AttachmentNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn what_is_attached_is_not_deleted_by_anybody() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.back_up(NewCheckpoint {
            retention_days: 1,
            ..World::new_checkpoint(&vault)
        });
        backup.await.unwrap();
        world.run_jobs().await;
        let mut tx = world.app.db.read().await.unwrap();
        let rows = tx.backups_of_vault(&vault, None).await.unwrap();
        drop(tx);
        let top = rows
            .iter()
            .find(|row| row.parent_id.is_none())
            .unwrap()
            .id
            .clone();
        let child = rows
            .iter()
            .find(|row| row.parent_id.is_some())
            .unwrap()
            .id
            .clone();
        for attached in [&top, &child] {
            let id = world.attach(attached).await.unwrap().attachment.id;
            refused!(world.delete_backup(&top).await, Error::BackupAttached);
            let (app, caller, project) = (&world.app, &world.caller, &world.project);
            let deleted = vaults::delete(app, caller, project, &vault).await;
            refused!(deleted, Error::BackupAttached);
            let ids = vec![web.server.id.clone().into()];
            let removed = resources::remove(app, caller, project, &vault, ids).await;
            refused!(removed, Error::BackupAttached);
            world.clock.advance(Duration::from_hours(48));
            let expired = retention::expire_backups(app, app.now()).await;
            assert_eq!(expired.unwrap(), 0);
            assert_eq!(
                world.backup(&top).await.unwrap().status,
                BackupStatus::Available
            );
            world.detached(&id).await;
        }
        let expired = retention::expire_backups(&world.app, world.app.now()).await;
        assert_eq!(expired.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_has_no_data_or_is_going_is_refused_and_nothing_changes() {
    on_each_database(|world| async move {
        let (vault, backup) = a_backup(&world, 1).await;
        let unfinished = world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let mut tx = world.app.db.read().await.unwrap();
        let rows = tx.backups_of_checkpoint(&unfinished.checkpoint.id).await;
        drop(tx);
        let id = rows.unwrap().remove(0).id;
        refused!(world.attach(&id).await, Error::BackupNotAttachable { .. });
        let (_, lease) = world.claim_some().await;
        let failed = progress::fail_backup(&world.app, &lease, &id, failure()).await;
        failed.unwrap();
        refused!(world.attach(&id).await, Error::BackupNotAttachable { .. });
        world.run_jobs().await;

        let going = world.backed_up(&vault).await.remove(0);
        world.delete_backup(&going.id).await.unwrap();
        refused!(
            world.attach(&going.id).await,
            Error::BackupNotAttachable { .. }
        );
        world.run_jobs().await;
        let web = vec![backup.resource_id.clone()];
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let removed = resources::remove(app, caller, project, &vault, web).await;
        removed.unwrap();
        refused!(
            world.attach(&backup.id).await,
            Error::BackupNotAttachable { .. }
        );
        world.run_jobs().await;
        refused!(world.attach(&backup.id).await, Error::BackupNotFound { .. });
        assert!(world.attachments().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_installation_has_room_for_so_many_disks() {
    on_each_database(|mut world| async move {
        let (_, backup) = a_backup(&world, 2).await;
        world.app.settings = Settings {
            attached_disks_max: 3,
            ..Settings::default()
        }
        .into();
        let id = world.attach(&backup.id).await.unwrap().attachment.id;
        refused!(
            world.attach(&backup.id).await,
            Error::TooManyAttached { max: 3 }
        );
        let child = world.children(&backup.id).await.remove(0).id;
        world.attach(&child).await.unwrap();
        refused!(world.attach(&child).await, Error::TooManyAttached { .. });
        assert_eq!(world.attachments().await.len(), 2);
        world.detached(&id).await;
        world.attach(&backup.id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn disks_go_over_tls_where_that_is_configured_under_names_that_stay() {
    on_each_database(|mut world| async move {
        let (_, backup) = a_backup(&world, 2).await;
        let over_tls = NewAttachment {
            transport: AttachmentTransport::Tls,
            ..WRITABLE
        };
        let configured = |attach_tls: Option<&str>| Settings {
            attach_tls: attach_tls.map(str::to_owned),
            ..Settings::default()
        };
        let attach = async |world: &World| {
            let (app, caller, project) = (&world.app, &world.caller, &world.project);
            attachments::attach(app, caller, project, &backup.id, over_tls).await
        };
        refused!(attach(&world).await, Error::TlsNotOffered);
        assert!(world.attachments().await.is_empty());

        let server = "backup.example:10809";
        world.app.settings = configured(Some(server)).into();
        let view = attach(&world).await.unwrap();
        let id = view.attachment.id;
        let places = |view: &AttachmentView| -> Vec<Place> {
            view.disks.iter().map(|disk| disk.place.clone()).collect()
        };
        let expected = |server: Option<&str>| {
            [0, 1].map(|n| Place::Tls {
                export: format!("{id}-{n}"),
                server: server.map(str::to_owned),
            })
        };
        assert_eq!(places(&view_of(&world, &id).await), expected(Some(server)));
        world.app.settings = configured(None).into();
        assert_eq!(places(&view_of(&world, &id).await), expected(None));
    })
    .await;
}

async fn view_of(world: &World, id: &AttachmentId) -> AttachmentView {
    world.attachment(id).await.unwrap()
}

#[tokio::test]
async fn attachments_are_the_projects_own_and_readers_make_none() {
    on_each_database(|world| async move {
        let (_, backup) = a_backup(&world, 1).await;
        let other = world.other_project("other").await;
        refused!(other.attach(&backup.id).await, Error::BackupNotFound { .. });
        let receivers = vec![other.project.to_string()];
        let shared = sharing::add(
            &world.app,
            &world.caller,
            &world.project,
            &backup.id,
            receivers,
        );
        shared.await.unwrap();
        refused!(
            other.attach(&backup.id).await,
            Error::BackupNotAttachable { .. }
        );
        let vault = other.server_vault("theirs", &[]).await;
        let answer = Answer {
            status: MemberStatus::Accepted,
            vault_id: Some(vault),
        };
        let (app, project) = (&other.app, &other.project);
        let accepted = sharing::answer(app, &other.caller, project, &backup.id, project, answer);
        accepted.await.unwrap();
        refused!(
            other.attach(&backup.id).await,
            Error::BackupNotAttachable { .. }
        );

        let id = world.attach(&backup.id).await.unwrap().attachment.id;
        refused!(
            other.attachment(&id).await,
            Error::AttachmentNotFound { .. }
        );
        refused!(other.detach(&id).await, Error::AttachmentNotFound { .. });
        assert!(other.attachments().await.is_empty());

        let reader = Caller {
            role: Some(Role::Reader),
            ..world.caller.clone()
        };
        let attached =
            attachments::attach(&world.app, &reader, &world.project, &backup.id, WRITABLE);
        refused!(attached.await, Error::Forbidden);
        let detached = attachments::detach(&world.app, &reader, &world.project, &id);
        refused!(detached.await, Error::Forbidden);
        let seen = attachments::get(&world.app, &reader, &world.project, &id).await;
        assert_eq!(seen.unwrap().attachment.id, id);
    })
    .await;
}

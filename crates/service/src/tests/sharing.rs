use std::slice::from_ref;
use std::time::Duration;

use strongroom_db::{Backup, BackupFilter, Member, MemberFilter, Ownership, RestoreMapping};
use strongroom_types::{
    BackupId, BackupStatus, MemberStatus, ObjectType, OperationLogId, OperationStatus, Role,
    Trouble, VaultId, VolumeId,
};

use super::world::{STORED, failure};
use super::{World, on_each_database, refused};
use crate::backups::{self, NewRestore};
use crate::inventory::ServerView;
use crate::sharing::{self, Answer};
use crate::{Error, operation_logs, progress, vaults};

async fn share(owner: &World, backup: &BackupId, with: &World) -> Result<Vec<Member>, Error> {
    let receivers = vec![with.project.to_string()];
    sharing::add(&owner.app, &owner.caller, &owner.project, backup, receivers).await
}

async fn answer(
    receiver: &World,
    backup: &BackupId,
    status: MemberStatus,
    vault_id: Option<&VaultId>,
) -> Result<Member, Error> {
    receiver.clock.advance(Duration::from_secs(1));
    let answer = Answer {
        status,
        vault_id: vault_id.cloned(),
    };
    let (app, project) = (&receiver.app, &receiver.project);
    sharing::answer(app, &receiver.caller, project, backup, project, answer).await
}

async fn withdraw(owner: &World, backup: &BackupId, from: &World) -> Result<(), Error> {
    sharing::remove(
        &owner.app,
        &owner.caller,
        &owner.project,
        backup,
        &from.project,
    )
    .await
}

async fn show(world: &World, id: &BackupId) -> Result<backups::BackupView, Error> {
    backups::get(&world.app, &world.caller, &world.project, id).await
}

async fn used(world: &World, vault: &VaultId) -> u64 {
    world.get_vault(vault).await.unwrap().vault.used_bytes
}

async fn listed(world: &World, ownership: Ownership) -> Vec<BackupId> {
    let filter = BackupFilter {
        ownership,
        ..BackupFilter::default()
    };
    ids(world, filter).await
}

async fn ids(world: &World, filter: BackupFilter) -> Vec<BackupId> {
    let page = World::everything();
    let listed = backups::list(
        &world.app,
        &world.caller,
        &world.project,
        &filter,
        &[],
        &page,
    );
    let (views, count) = listed.await.unwrap();
    assert_eq!(count, views.len() as u64);
    views.into_iter().map(|view| view.backup.id).collect()
}

fn onto(volume: &VolumeId) -> NewRestore {
    NewRestore {
        server_id: None,
        volume_id: Some(volume.clone()),
        mappings: Vec::new(),
        power_on: true,
        of_files: false,
    }
}

async fn restore(world: &World, id: &BackupId, to: NewRestore) -> Result<OperationLogId, Error> {
    backups::restore(&world.app, &world.caller, &world.project, id, to).await
}

async fn task(world: &World, id: &OperationLogId) -> strongroom_db::OperationLog {
    let found = operation_logs::get(&world.app, &world.caller, &world.project, id).await;
    found.unwrap()
}

/// A project with a finished backup of one disk, and another project with a vault and a disk to restore to.
struct Scene {
    receiver: World,
    owners_vault: VaultId,
    owners_disk: VolumeId,
    backup: Backup,
    vault: VaultId,
    disk: VolumeId,
}

impl Scene {
    async fn new(owner: &World) -> Self {
        let owners_disk = owner.volume("data").await;
        let owners_vault = owner.disk_vault("owner's", &[&owners_disk]).await;
        let backup = owner.backed_up(&owners_vault).await.remove(0);
        let receiver = owner.other_project("receiver").await;
        let vault = receiver.disk_vault("receiver's", &[]).await;
        let disk = receiver.volume("target").await;
        Self {
            receiver,
            owners_vault,
            owners_disk,
            backup,
            vault,
            disk,
        }
    }

    /// The same once the receiver has accepted and the vault's use is measured.
    async fn accepted(owner: &World) -> Self {
        let scene = Self::new(owner).await;
        share(owner, &scene.backup.id, &scene.receiver)
            .await
            .unwrap();
        scene.accept().await;
        owner.run_jobs().await;
        scene
    }

    async fn accept(&self) -> Member {
        let accepted = MemberStatus::Accepted;
        let answered = answer(&self.receiver, &self.backup.id, accepted, Some(&self.vault));
        answered.await.unwrap()
    }
}

#[tokio::test]
async fn an_accepted_backup_is_restored_by_its_receiver_and_lost_at_once_when_withdrawn() {
    on_each_database(async |owner| {
        let scene = Scene::new(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        refused!(show(receiver, id).await, Error::BackupNotFound { .. });
        let offered = share(&owner, id, receiver).await.unwrap().remove(0);
        assert_eq!(offered.status, MemberStatus::Pending);
        assert_eq!((offered.vault_id, offered.updated_at), (None, None));
        assert_eq!(show(receiver, id).await.unwrap().vault_id, None);
        refused!(
            restore(receiver, id, onto(&scene.disk)).await,
            Error::ShareNotAccepted
        );

        let member = scene.accept().await;
        assert_eq!(member.vault_id.as_ref(), Some(&scene.vault));
        assert_eq!(member.updated_at, Some(owner.app.now()));
        assert_eq!(used(receiver, &scene.vault).await, 0);
        owner.run_jobs().await;
        assert_eq!(used(receiver, &scene.vault).await, STORED);
        let view = show(receiver, id).await.unwrap();
        assert_eq!(view.vault_id.as_ref(), Some(&scene.vault));
        assert_eq!(view.backup.project_id, owner.project);

        let log = restore(receiver, id, onto(&scene.disk)).await.unwrap();
        let (_, lease) = owner.claim_some().await;
        let work = progress::start_restore(&owner.app, &lease, &log)
            .await
            .unwrap();
        assert_eq!(
            work.backup.project_id, owner.project,
            "whose repository is read"
        );
        assert_eq!(work.disks[0].target.project_id, receiver.project);
        progress::finish_restore(&owner.app, &lease, &log)
            .await
            .unwrap();
        let task = task(receiver, &log).await;
        assert_eq!(task.status, OperationStatus::Success);
        assert_eq!(task.vault_id.as_ref(), Some(&scene.vault));
        refused!(
            operation_logs::get(&owner.app, &owner.caller, &owner.project, &log).await,
            Error::OperationLogNotFound { .. }
        );

        withdraw(&owner, id, receiver).await.unwrap();
        refused!(show(receiver, id).await, Error::BackupNotFound { .. });
        refused!(
            restore(receiver, id, onto(&scene.disk)).await,
            Error::BackupNotFound { .. }
        );
        assert_eq!(used(receiver, &scene.vault).await, 0);
        assert_eq!(
            show(&owner, id).await.unwrap().backup.status,
            BackupStatus::Available
        );
    })
    .await;
}

#[tokio::test]
async fn a_shared_server_is_restored_disk_by_disk_to_a_server_of_the_receiver() {
    on_each_database(async |owner| {
        let web = owner.server("web", 2).await;
        let vault = owner.server_vault("vault", &[&web]).await;
        let backup = owner.backed_up(&vault).await.remove(0);
        let children = owner.children(&backup.id).await;
        let receiver = owner.other_project("receiver").await;
        let copy: ServerView = receiver.server("copy", 2).await;
        let vault = receiver.server_vault("vault", &[&copy]).await;
        share(&owner, &backup.id, &receiver).await.unwrap();
        let accepted = MemberStatus::Accepted;
        answer(&receiver, &backup.id, accepted, Some(&vault))
            .await
            .unwrap();
        let mapping = |n: usize| RestoreMapping {
            backup_id: children[n].id.clone(),
            volume_id: copy.volumes[n].id.clone(),
        };
        let to = NewRestore {
            server_id: Some(copy.server.id.clone()),
            volume_id: None,
            mappings: vec![mapping(0), mapping(1)],
            power_on: false,
            of_files: false,
        };
        restore(&receiver, &backup.id, to).await.unwrap();
        owner.run_jobs().await;
        assert_eq!(used(&receiver, &vault).await, 2 * STORED);

        // One disk of it, by its own id, as its owner could.
        let disk = receiver.volume("disk").await;
        receiver.set_disk("/disk", World::idle(20));
        let seen = show(&receiver, &children[1].id).await.unwrap();
        assert_eq!(seen.vault_id, Some(vault));
        restore(&receiver, &children[1].id, onto(&disk))
            .await
            .unwrap();
        let filter = BackupFilter {
            ownership: Ownership::Shared(vec![]),
            parent_id: Some(backup.id.clone()),
            ..BackupFilter::default()
        };
        assert_eq!(ids(&receiver, filter).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_share_that_ends_before_a_restore_begins_stops_it_and_later_lets_it_finish() {
    on_each_database(async |owner| {
        let scene = Scene::accepted(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        let log = restore(receiver, id, onto(&scene.disk)).await.unwrap();
        withdraw(&owner, id, receiver).await.unwrap();
        let (_, lease) = owner.claim_some().await;
        refused!(
            progress::start_restore(&owner.app, &lease, &log).await,
            Error::ShareWithdrawn
        );
        let mut withdrawn = failure();
        withdrawn.trouble = Trouble::ShareWithdrawn;
        progress::fail_restore(&owner.app, &lease, &log, withdrawn)
            .await
            .unwrap();
        let failed = task(receiver, &log).await;
        assert_eq!(failed.trouble, Some(Trouble::ShareWithdrawn));

        share(&owner, id, receiver).await.unwrap();
        scene.accept().await;
        owner.run_jobs().await;
        let log = restore(receiver, id, onto(&scene.disk)).await.unwrap();
        let (_, first) = owner.claim_some().await;
        progress::start_restore(&owner.app, &first, &log)
            .await
            .unwrap();
        withdraw(&owner, id, receiver).await.unwrap();
        owner.clock.advance(Duration::from_secs(61));
        let (_, second) = owner.claim_some().await;
        progress::start_restore(&owner.app, &second, &log)
            .await
            .unwrap();
        progress::finish_restore(&owner.app, &second, &log)
            .await
            .unwrap();
        assert_eq!(task(receiver, &log).await.status, OperationStatus::Success);
    })
    .await;
}

#[tokio::test]
async fn a_receivers_restore_keeps_the_backup_but_does_not_keep_its_owner_from_using_it() {
    on_each_database(async |owner| {
        let scene = Scene::accepted(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        let log = restore(receiver, id, onto(&scene.disk)).await.unwrap();
        let (app, caller, project) = (&owner.app, &owner.caller, &owner.project);
        refused!(
            backups::delete(app, caller, project, id).await,
            Error::BackupInUse
        );
        refused!(
            vaults::delete(app, caller, project, &scene.owners_vault).await,
            Error::VaultBusy
        );
        let resource = vec![scene.owners_disk.clone().into()];
        refused!(
            crate::resources::remove(app, caller, project, &scene.owners_vault, resource).await,
            Error::VaultBusy
        );
        restore(&owner, id, onto(&scene.owners_disk)).await.unwrap();
        assert_eq!(
            show(&owner, id).await.unwrap().backup.status,
            BackupStatus::WaitingRestore
        );
        // The other way round, too: the owner's restore does not lock the receiver out.
        let second = receiver.volume("second").await;
        restore(receiver, id, onto(&second)).await.unwrap();
        owner.run_jobs().await;
        assert_eq!(task(receiver, &log).await.status, OperationStatus::Success);
        backups::delete(app, caller, project, id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn deleting_the_source_removes_it_at_the_receiver() {
    on_each_database(async |owner| {
        let (app, caller, project) = (&owner.app, &owner.caller, &owner.project);
        let scene = Scene::accepted(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        backups::delete(app, caller, project, id).await.unwrap();
        refused!(show(receiver, id).await, Error::BackupNotFound { .. });
        assert_eq!(used(receiver, &scene.vault).await, 0);
        owner.run_jobs().await;
        refused!(show(&owner, id).await, Error::BackupNotFound { .. });

        // With its resource, and with its vault.
        let offer_again = async || {
            let backup = owner.backed_up(&scene.owners_vault).await.remove(0);
            share(&owner, &backup.id, receiver).await.unwrap();
            let accepted = MemberStatus::Accepted;
            let answered = answer(receiver, &backup.id, accepted, Some(&scene.vault));
            answered.await.unwrap();
            owner.run_jobs().await;
            assert_eq!(used(receiver, &scene.vault).await, STORED);
        };
        let vault = &scene.owners_vault;
        offer_again().await;
        let ids = vec![scene.owners_disk.clone().into()];
        crate::resources::remove(app, caller, project, vault, ids)
            .await
            .unwrap();
        assert_eq!(used(receiver, &scene.vault).await, 0);
        owner.run_jobs().await;
        let ids = vec![super::world::protect_volume(&scene.owners_disk)];
        owner.add(vault, ids).await.unwrap();
        offer_again().await;
        vaults::delete(app, caller, project, &scene.owners_vault)
            .await
            .unwrap();
        assert_eq!(listed(receiver, Ownership::Shared(vec![])).await, []);
        assert_eq!(used(receiver, &scene.vault).await, 0);
        owner.run_jobs().await;
        refused!(
            owner.get_vault(&scene.owners_vault).await,
            Error::VaultNotFound { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn deleting_the_receivers_vault_turns_down_what_it_took() {
    on_each_database(async |owner| {
        let scene = Scene::accepted(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        vaults::delete(
            &owner.app,
            &receiver.caller,
            &receiver.project,
            &scene.vault,
        )
        .await
        .unwrap();
        owner.run_jobs().await;
        refused!(
            receiver.get_vault(&scene.vault).await,
            Error::VaultNotFound { .. }
        );
        let view = show(receiver, id).await.unwrap();
        assert_eq!(view.vault_id, None);
        let rejected = Ownership::Shared(vec![MemberStatus::Rejected]);
        assert_eq!(listed(receiver, rejected).await, from_ref(id));
        refused!(
            restore(receiver, id, onto(&scene.disk)).await,
            Error::ShareNotAccepted
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_vault_took_is_counted_beside_its_own_backups() {
    on_each_database(async |owner| {
        let scene = Scene::accepted(&owner).await;
        let receiver = &scene.receiver;
        let own = vec![super::world::protect_volume(&scene.disk)];
        receiver.add(&scene.vault, own).await.unwrap();
        let backup = receiver.backed_up(&scene.vault).await.remove(0);
        assert_eq!(used(receiver, &scene.vault).await, 2 * STORED);
        // Taken into another vault while it is being measured for the first.
        let second = receiver.disk_vault("second", &[]).await;
        answer(receiver, &scene.backup.id, MemberStatus::Rejected, None)
            .await
            .unwrap();
        assert_eq!(used(receiver, &scene.vault).await, STORED);
        let member = scene.accept().await;
        let (_, lease) = owner.claim_some().await;
        progress::start_measure_share(&owner.app, &lease, &member.id)
            .await
            .unwrap();
        answer(receiver, &scene.backup.id, MemberStatus::Rejected, None)
            .await
            .unwrap();
        let accepted = MemberStatus::Accepted;
        answer(receiver, &scene.backup.id, accepted, Some(&second))
            .await
            .unwrap();
        let late = progress::finish_measure_share(&owner.app, &lease, &member.id, &scene.vault, 7);
        late.await.unwrap();
        assert_eq!(used(receiver, &second).await, 0);
        owner.run_jobs().await;
        assert_eq!(used(receiver, &scene.vault).await, STORED);
        assert_eq!(used(receiver, &second).await, STORED);
        assert_eq!(listed(receiver, Ownership::Own).await, [backup.id]);
    })
    .await;
}

#[tokio::test]
async fn lists_tell_own_from_shared_backups() {
    on_each_database(async |owner| {
        let scene = Scene::new(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        share(&owner, id, receiver).await.unwrap();
        let own = vec![super::world::protect_volume(&scene.disk)];
        receiver.add(&scene.vault, own).await.unwrap();
        let backup = receiver.backed_up(&scene.vault).await.remove(0);
        let accepted = || vec![MemberStatus::Accepted];
        assert_eq!(listed(receiver, Ownership::Own).await, from_ref(&backup.id));
        assert_eq!(
            listed(receiver, Ownership::Shared(vec![])).await,
            from_ref(id)
        );
        assert_eq!(listed(receiver, Ownership::Shared(accepted())).await, []);
        assert_eq!(
            listed(receiver, Ownership::All(accepted())).await,
            from_ref(&backup.id)
        );
        scene.accept().await;
        let both = [backup.id.clone(), id.clone()];
        assert_eq!(listed(receiver, Ownership::All(accepted())).await, both);
        let in_vault = BackupFilter {
            ownership: Ownership::All(accepted()),
            vault_id: Some(scene.vault.clone()),
            ..BackupFilter::default()
        };
        assert_eq!(ids(receiver, in_vault).await, both);
        assert_eq!(listed(&owner, Ownership::Shared(vec![])).await, []);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_shared_is_refused() {
    on_each_database(async |owner| {
        let scene = Scene::new(&owner).await;
        let (app, caller, project) = (&owner.app, &owner.caller, &owner.project);
        let id = &scene.backup.id;
        let add = async |receivers: &[&str]| {
            let receivers = receivers.iter().map(|id| (*id).to_owned()).collect();
            sharing::add(app, caller, project, id, receivers).await
        };
        let other = scene.receiver.project.as_str();
        refused!(add(&[]).await, Error::BadReceiver { .. });
        refused!(add(&["receiver"]).await, Error::BadReceiver { .. });
        refused!(add(&[&"0".repeat(32)]).await, Error::BadReceiver { .. });
        refused!(add(&[project.as_str()]).await, Error::BadReceiver { .. });
        refused!(add(&[other, other]).await, Error::AlreadyShared { .. });
        refused!(add(&[other; 11]).await, Error::TooManyMembers { max: 10 });
        add(&[other]).await.unwrap();
        refused!(add(&[other]).await, Error::AlreadyShared { .. });
        let mut more = Vec::new();
        for n in 0..10 {
            more.push(owner.other_project(&format!("p{n}")).await.project);
        }
        let more: Vec<_> = more
            .iter()
            .map(strongroom_types::ProjectId::as_str)
            .collect();
        refused!(add(&more).await, Error::TooManyMembers { max: 10 });
        refused!(
            share(&scene.receiver, id, &owner).await,
            Error::SharedOnward
        );
        let reader = crate::Caller {
            role: Some(Role::Reader),
            ..caller.clone()
        };
        refused!(
            sharing::add(app, &reader, project, id, vec![other.to_owned()]).await,
            Error::Forbidden
        );

        let web = owner.server("web", 1).await;
        let vault = owner.server_vault("servers", &[&web]).await;
        let running = owner.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let mut tx = app.db.read().await.unwrap();
        let running = tx
            .backups_of_checkpoint(&running.checkpoint.id)
            .await
            .unwrap();
        drop(tx);
        refused!(
            share(&owner, &running[0].id, &scene.receiver).await,
            Error::BackupStateForbidsSharing {
                status: BackupStatus::WaitingProtect
            }
        );
        owner.run_jobs().await;
        let child = owner.children(&running[0].id).await.remove(0);
        refused!(
            share(&owner, &child.id, &scene.receiver).await,
            Error::PartShared
        );
    })
    .await;
}

#[tokio::test]
async fn an_answer_must_come_from_the_receiver_and_name_a_fitting_vault() {
    on_each_database(async |owner| {
        let scene = Scene::new(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        let accepted = MemberStatus::Accepted;
        let unshared = answer(receiver, id, accepted, Some(&scene.vault)).await;
        refused!(unshared, Error::BackupNotFound { .. });
        share(&owner, id, receiver).await.unwrap();
        refused!(
            answer(receiver, id, accepted, None).await,
            Error::BadMemberAnswer { .. }
        );
        let pending = answer(receiver, id, MemberStatus::Pending, None).await;
        refused!(pending, Error::BadMemberAnswer { .. });
        let foreign = answer(receiver, id, accepted, Some(&scene.owners_vault)).await;
        refused!(foreign, Error::VaultNotFound { .. });
        let servers = receiver.server_vault("servers", &[]).await;
        let other_type = answer(receiver, id, accepted, Some(&servers)).await;
        refused!(other_type, Error::VaultOfOtherType);
        let stranger = owner.other_project("stranger").await;
        let stranger = answer(&stranger, id, accepted, Some(&scene.vault)).await;
        refused!(stranger, Error::BackupNotFound { .. });
        let by_owner = sharing::answer(
            &owner.app,
            &owner.caller,
            &owner.project,
            id,
            &receiver.project,
            Answer {
                status: accepted,
                vault_id: Some(scene.vault.clone()),
            },
        );
        refused!(by_owner.await, Error::MemberNotAnswerable { .. });

        scene.accept().await;
        // Saying it again changes nothing; another vault has to be made free first.
        scene.accept().await;
        let second = receiver.disk_vault("second", &[]).await;
        let moved = answer(receiver, id, accepted, Some(&second)).await;
        refused!(moved, Error::MemberNotAnswerable { .. });
    })
    .await;
}

#[tokio::test]
async fn receivers_cannot_change_a_backup_or_see_the_other_receivers() {
    on_each_database(async |owner| {
        let scene = Scene::accepted(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        let (app, caller, project) = (&receiver.app, &receiver.caller, &receiver.project);
        let other = owner.other_project("other").await;
        share(&owner, id, &other).await.unwrap();
        refused!(
            backups::delete(app, caller, project, id).await,
            Error::SharedBackup
        );
        let renamed = backups::rename(app, caller, project, id, "mine".to_owned()).await;
        refused!(renamed, Error::SharedBackup);
        let removed = sharing::remove(app, caller, project, id, project).await;
        refused!(removed, Error::SharedBackup);
        let shown = sharing::get(app, caller, project, id, &other.project).await;
        refused!(shown, Error::MemberNotFound { .. });
        let page = World::everything();
        let list = async |world: &World| {
            let (app, caller, project) = (&world.app, &world.caller, &world.project);
            let filter = MemberFilter::default();
            let members = sharing::list(app, caller, project, id, filter, &[], &page).await;
            let (members, count) = members.unwrap();
            assert_eq!(members.len() as u64, count);
            members
                .into_iter()
                .map(|m| m.dest_project_id)
                .collect::<Vec<_>>()
        };
        assert_eq!(list(receiver).await, from_ref(&receiver.project));
        assert_eq!(list(&owner).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_full_vault_takes_no_shared_backup_and_one_that_may_grows_by_it() {
    on_each_database(async |owner| {
        let scene = Scene::new(&owner).await;
        let (receiver, id) = (&scene.receiver, &scene.backup.id);
        share(&owner, id, receiver).await.unwrap();
        let accepted = MemberStatus::Accepted;
        let full = 10 * strongroom_types::GIB;
        for (name, auto_expand, used_bytes) in [("full", false, full), ("growing", true, full - 1)]
        {
            let new = vaults::NewVault {
                size_gb: 10,
                auto_expand,
                ..World::new_vault(name, ObjectType::Disk)
            };
            let mut vault = receiver.vault_of(new).await.vault;
            vault.used_bytes = used_bytes;
            let mut tx = owner.app.db.begin().await.unwrap();
            assert!(tx.update_vault(&vault).await.unwrap());
            tx.commit().await.unwrap();
            let answered = answer(receiver, id, accepted, Some(&vault.id)).await;
            if auto_expand {
                assert_eq!(answered.unwrap().vault_id, Some(vault.id.clone()));
                owner.run_jobs().await;
                let grown = receiver.get_vault(&vault.id).await.unwrap();
                assert_eq!(grown.vault.size_gb, 13);
            } else {
                refused!(answered, Error::VaultFull);
            }
        }
    })
    .await;
}

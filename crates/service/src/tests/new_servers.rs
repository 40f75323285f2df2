//! Backups that come back as servers of their own, and what is known of their machines.

use std::sync::Arc;

use strongroom_db::Backup;
use strongroom_types::{BackupStatus, MachineRecord, MachineSource, Role};

use super::recovery::points_of;
use super::world::failure;
use super::{World, on_each_database, refused};
use crate::backups::{self, BegunServer, RestoredServer};
use crate::inventory::ServerView;
use crate::{Caller, Error, Settings, backup_machines, inventory, progress, recovery};

const FOLDER: &str = "/srv/new";

fn named(name: &str) -> RestoredServer {
    RestoredServer {
        name: name.to_owned(),
        libvirt_uri: None,
    }
}

fn record() -> MachineRecord {
    MachineRecord {
        memory_mib: Some(512),
        ..MachineRecord::unknown(MachineSource::Qemu)
    }
}

async fn begin(world: &World, backup: &Backup, new: RestoredServer) -> Result<BegunServer, Error> {
    let (app, caller, project) = (&world.app, &world.caller, &world.project);
    backups::restore_as_new_server(app, caller, project, &backup.id, new).await
}

/// A server with two disks, and one backup of it that knows its machine.
async fn scene(world: &mut World) -> (ServerView, Backup) {
    world.app.settings = Arc::new(Settings {
        new_servers_dir: Some(FOLDER.to_owned()),
        ..Settings::default()
    });
    let web = world.server("web", 2).await;
    let vault = world.server_vault("vault", &[&web]).await;
    let backup = world.backed_up(&vault).await.remove(0);
    let mut tx = world.app.db.begin().await.unwrap();
    tx.insert_backup_machine(&backup.id, &record())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    (web, backup)
}

async fn servers(world: &World) -> Vec<String> {
    let (app, caller, project) = (&world.app, &world.caller, &world.project);
    let listed = inventory::list_servers(app, caller, project).await.unwrap();
    listed.into_iter().map(|view| view.server.name).collect()
}

#[tokio::test]
async fn a_new_server_is_there_with_the_job_that_makes_it() {
    on_each_database(|mut world| async move {
        let (_, backup) = scene(&mut world).await;
        let begun = begin(&world, &backup, named("web2")).await.unwrap();
        let server = &begun.server.server;
        assert_eq!(begun.folder, format!("{FOLDER}/{}", server.id));
        let paths: Vec<_> = begun
            .server
            .volumes
            .iter()
            .map(|v| v.path.clone())
            .collect();
        let expected = [0, 1].map(|disk| format!("{}/disk-{disk}.qcow2", begun.folder));
        assert_eq!(paths, expected);
        let monitor = format!("{}/machine.qmp", begun.folder);
        assert_eq!(server.qmp_socket.as_deref(), Some(monitor.as_str()));
        assert_eq!(servers(&world).await, ["web", "web2"]);
        let status = world.backup(&backup.id).await.unwrap().status;
        assert_eq!(status, BackupStatus::WaitingRestore);

        // Nobody else restores it meanwhile, and what was asked in vain has left nothing.
        refused!(
            begin(&world, &backup, named("web3")).await,
            Error::ResourceBeingRestored { .. }
        );
        assert_eq!(servers(&world).await, ["web", "web2"]);

        let (_, lease) = world.claim_some().await;
        let log = &begun.operation_log_id;
        let work = progress::start_restore(&world.app, &lease, log)
            .await
            .unwrap();
        let new = work.new_server.unwrap();
        assert_eq!((new.folder, new.machine), (begun.folder, Some(record())));
        let targets: Vec<_> = work
            .disks
            .iter()
            .map(|disk| disk.target.id.clone())
            .collect();
        let ids: Vec<_> = begun.server.volumes.iter().map(|v| v.id.clone()).collect();
        assert_eq!(targets, ids);
        assert_eq!(work.server.unwrap().id, server.id);
        progress::fail_restore(&world.app, &lease, log, failure())
            .await
            .unwrap();
        // It can be restored to as any server can, and removed.
        let (app, caller) = (&world.app, &world.caller);
        inventory::remove_server(app, caller, &world.project, &server.id)
            .await
            .unwrap();
        assert_eq!(servers(&world).await, ["web"]);
    })
    .await;
}

#[tokio::test]
async fn a_new_server_of_libvirt_is_known_by_its_own_id() {
    on_each_database(|mut world| async move {
        let (_, backup) = scene(&mut world).await;
        let elsewhere = RestoredServer {
            libvirt_uri: Some("qemu+ssh://root@elsewhere/system".to_owned()),
            ..named("web2")
        };
        refused!(
            begin(&world, &backup, elsewhere).await,
            Error::Invalid { .. }
        );
        let here = RestoredServer {
            libvirt_uri: Some("qemu:///system".to_owned()),
            ..named("web2")
        };
        let server = begin(&world, &backup, here).await.unwrap().server.server;
        assert_eq!(server.libvirt_domain.as_deref(), Some(server.id.as_str()));
        assert_eq!(server.qmp_socket, None);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_become_a_server_changes_nothing() {
    on_each_database(|mut world| async move {
        let (_, backup) = scene(&mut world).await;
        let disk = world.children(&backup.id).await.remove(0);
        refused!(
            begin(&world, &disk, named("web2")).await,
            Error::Invalid { .. }
        );
        refused!(
            begin(&world, &backup, named("")).await,
            Error::Invalid { .. }
        );
        let operator = Caller {
            role: Some(Role::Operator),
            ..world.caller.clone()
        };
        let (app, project) = (&world.app, &world.project);
        let asked =
            backups::restore_as_new_server(app, &operator, project, &backup.id, named("web2"));
        refused!(asked.await, Error::Forbidden);
        world.app.settings = Arc::new(Settings::default());
        refused!(
            begin(&world, &backup, named("web2")).await,
            Error::NewServersNotOffered
        );
        assert_eq!(servers(&world).await, ["web"]);
        let status = world.backup(&backup.id).await.unwrap().status;
        assert_eq!(status, BackupStatus::Available);
    })
    .await;
}

#[tokio::test]
async fn what_a_machine_was_made_of_stays_with_its_backups() {
    on_each_database(|mut world| async move {
        let (web, backup) = scene(&mut world).await;
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let disk = world.children(&backup.id).await.remove(0);
        for id in [&backup.id, &disk.id] {
            let known = backup_machines::get(app, caller, project, id)
                .await
                .unwrap();
            assert_eq!(known, record());
        }
        // The next backup finds the server off.
        let vault = backup.vault_id.clone();
        let next = world.backed_up(&vault).await;
        let next = next.iter().find(|row| row.id != backup.id).unwrap();
        let kept = backup_machines::get(app, caller, project, &next.id)
            .await
            .unwrap();
        assert_eq!(kept, record());

        // Its points say it too, and a recovery reads it from them.
        backups::delete(app, caller, project, &next.id)
            .await
            .unwrap();
        world.run_jobs().await;
        refused!(
            backup_machines::get(app, caller, project, &next.id).await,
            Error::BackupNotFound { .. }
        );
        let points = world.written.lock().unwrap().clone();
        let found = recovery::group(points);
        let found = found.iter().find(|found| found.id == next.id).unwrap();
        let by = world.recoverer();
        let listing = recovery::list_again(app, &by, project, found)
            .await
            .unwrap();
        assert_eq!(listing, recovery::Listing::Listed);
        let again = backup_machines::get(app, caller, project, &next.id)
            .await
            .unwrap();
        assert_eq!(again, record());

        let other = world.server("db", 1).await;
        let vault = world.server_vault("other", &[&other]).await;
        let unknown = world.backed_up(&vault).await.remove(0);
        refused!(
            backup_machines::get(app, caller, project, &unknown.id).await,
            Error::MachineNotRecorded { .. }
        );
        assert_eq!(web.server.name, "web");
    })
    .await;
}

#[tokio::test]
async fn points_keep_of_a_domain_what_fits() {
    on_each_database(|mut world| async move {
        let (_, backup) = scene(&mut world).await;
        let large = MachineRecord {
            libvirt_xml: Some("<domain/>".repeat(10_000)),
            ..record()
        };
        let vault = backup.vault_id.clone();
        let new = World::new_checkpoint(&vault);
        world.back_up(new).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        let mut work = progress::start_backup(&world.app, &lease, &id)
            .await
            .unwrap();
        work.machine = Some(large.clone());
        let points = points_of(&work, world.app.now());
        for point in points {
            let note = point.provenance.server.unwrap();
            assert_eq!(note.machine, Some(record()));
        }
        let (mut outcome, usage) = world.save(&lease, &id).await;
        outcome.machine = Some(large.clone());
        progress::finish_backup(&world.app, &lease, &id, outcome, usage)
            .await
            .unwrap();
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let kept = backup_machines::get(app, caller, project, &id)
            .await
            .unwrap();
        assert_eq!(kept, large);
    })
    .await;
}

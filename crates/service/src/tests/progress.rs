//! What jobs report, run twice, too late or in an odd order.

use std::time::Duration;

use strongroom_types::{BackupId, BackupStatus, CheckpointStatus};

use super::state::assert_state;
use super::world::{STORED, failure};
use super::{World, on_each_database, refused};
use crate::progress::{self, DiskOutcome};
use crate::{Error, checkpoints};

#[tokio::test]
async fn a_later_attempt_starts_over_and_the_former_owner_publishes_nothing() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let (job, first) = world.claim_some().await;
        let id: BackupId = job.subject_id.parse().unwrap();
        let (outcome, usage) = world.save(&first, &id).await;
        let log = job.operation_log_id.unwrap();
        progress::report_progress(&world.app, &first, &log, &id, 40)
            .await
            .unwrap();
        assert!(world.state().await.contains("backup web running 40%"));

        world.clock.advance(Duration::from_secs(61));
        let (_, second) = world.claim_some().await;
        let late = progress::finish_backup(&world.app, &first, &id, outcome, usage).await;
        refused!(late, Error::LeaseLost);
        let late = progress::report_progress(&world.app, &first, &log, &id, 50).await;
        refused!(late, Error::LeaseLost);
        refused!(
            progress::fail_backup(&world.app, &first, &id, failure()).await,
            Error::LeaseLost
        );

        let (outcome, usage) = world.save(&second, &id).await;
        assert!(world.state().await.contains("backup web running 0%"));
        progress::finish_backup(&world.app, &second, &id, outcome, usage)
            .await
            .unwrap();
        assert!(world.claim().await.is_none());
        assert!(world.state().await.contains("backup web success 100%"));
    })
    .await;
}

#[tokio::test]
async fn a_failed_disk_leaves_the_others_restorable() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let id: BackupId = job.subject_id.parse().unwrap();
        let (mut outcome, mut usage) = world.save(&lease, &id).await;
        outcome.disks[1] = DiskOutcome {
            result: Err(failure()),
            ..outcome.disks[1].clone()
        };
        usage.points.pop();
        usage.vault_bytes = STORED;
        usage.resource_bytes = STORED;
        progress::finish_backup(&world.app, &lease, &id, outcome, usage).await.unwrap();
        assert_state(
            &world.state().await,
            "vault vault available 100 MB of 200 GB
             web error 30 GB, 0 backups, 100 MB
             backup nightly of web error full, checkpoint error; web-disk-0 available; web-disk-1 error
             backup web failed 0% disk_unreadable: input/output error",
        );
    })
    .await;
}

#[tokio::test]
async fn use_is_published_only_for_the_points_that_were_measured() {
    on_each_database(|world| async move {
        let (a, b) = (world.volume("a").await, world.volume("b").await);
        let vault = world.disk_vault("vault", &[&a, &b]).await;
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let (first_job, first) = world.claim_some().await;
        let (second_job, second) = world.claim_some().await;
        let first_id = first_job.subject_id.parse().unwrap();
        let second_id = second_job.subject_id.parse().unwrap();
        let (outcome, usage) = world.save(&first, &first_id).await;
        let (outcome2, stale) = world.save(&second, &second_id).await;
        progress::finish_backup(&world.app, &first, &first_id, outcome, usage)
            .await
            .unwrap();
        let published =
            progress::finish_backup(&world.app, &second, &second_id, outcome2.clone(), stale).await;
        refused!(published, Error::UsageStale);
        // Nothing of it was published; measured again, it is.
        let backup = world.backup(&second_id).await.unwrap();
        assert_eq!(backup.status, BackupStatus::Protecting);
        let new = [format!("point of {second_id}")];
        let usage = world.usage(&vault, Some(&backup.resource_id), &new).await;
        progress::finish_backup(&world.app, &second, &second_id, outcome2, usage)
            .await
            .unwrap();
        assert_eq!(
            world.get_vault(&vault).await.unwrap().vault.used_bytes,
            2 * STORED
        );
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_is_available_when_all_its_backups_are() {
    on_each_database(|world| async move {
        let (a, b) = (world.volume("a").await, world.volume("b").await);
        let vault = world.disk_vault("vault", &[&a, &b]).await;
        let view = world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let status = || async {
            let id = &view.checkpoint.id;
            let view = checkpoints::get(&world.app, &world.caller, &world.project, id).await;
            view.unwrap().checkpoint.status
        };
        let (job, lease) = world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        let (outcome, usage) = world.save(&lease, &id).await;
        progress::finish_backup(&world.app, &lease, &id, outcome, usage)
            .await
            .unwrap();
        assert_eq!(status().await, CheckpointStatus::Protecting);
        let (job, lease) = world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        progress::fail_backup(&world.app, &lease, &id, failure())
            .await
            .unwrap();
        assert_eq!(status().await, CheckpointStatus::Error);
    })
    .await;
}

#[tokio::test]
async fn a_job_given_back_is_claimed_again_when_it_is_due() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let later = world.app.now().plus(Duration::from_secs(30));
        progress::retry(&world.app, &lease, "storage is away", later)
            .await
            .unwrap();
        refused!(
            progress::retry(&world.app, &lease, "twice", later).await,
            Error::LeaseLost
        );
        assert!(world.claim().await.is_none());
        world.clock.advance(Duration::from_secs(31));
        let (again, lease) = world.claim_some().await;
        assert_eq!((again.id, again.attempt), (job.id, 2));
        let id = again.subject_id.parse().unwrap();
        let work = progress::start_backup(&world.app, &lease, &id)
            .await
            .unwrap();
        assert_eq!(work.disks[0].volume.as_ref().unwrap().path, "/data");
        assert_eq!(work.disks[0].last, None);
    })
    .await;
}

#[tokio::test]
async fn a_backup_knows_the_one_before_it() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let first = world.backed_up(&vault).await.remove(0);
        let disk = world.children(&first.id).await.remove(0);
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        let work = progress::start_backup(&world.app, &lease, &id)
            .await
            .unwrap();
        let last = work.disks[0].last.as_ref().unwrap();
        assert_eq!(last.backup_id, disk.id);
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_subject_is_past_it_just_ends() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        // Somebody queues the same job again, though its work is done.
        let mut tx = world.app.db.begin().await.unwrap();
        let job = strongroom_db::NewJob {
            id: strongroom_types::JobId::random(&*world.app.ids),
            kind: strongroom_types::JobKind::BackUp,
            subject_id: backup.id.to_string(),
            operation_log_id: None,
            attempts_max: 1,
            request_id: String::new(),
        };
        tx.insert_job(&job, world.app.now()).await.unwrap();
        tx.commit().await.unwrap();
        let (_, lease) = world.claim_some().await;
        let started = progress::start_backup(&world.app, &lease, &backup.id).await;
        refused!(started, Error::NothingToDo);
        assert!(world.claim().await.is_none());
        assert_eq!(
            world.backup(&backup.id).await.unwrap().status,
            BackupStatus::Available
        );
    })
    .await;
}

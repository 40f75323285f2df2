//! When people are told, and what becomes of a notice that cannot be sent.

use std::time::Duration;

use strongroom_db::{Notice, NoticeEvent};
use strongroom_types::{GIB, NoticeChannel, NoticeState, VaultId};

use super::{World, on_each_database};
use crate::notices::{self, Next};
use crate::progress::{self, VaultUsage};
use crate::vaults::VaultChange;
use crate::{App, Settings, vaults};

/// A world that tells through a log and a webhook.
pub(super) fn telling(mut world: World) -> World {
    let settings = Settings {
        notice_channels: vec![NoticeChannel::Log, NoticeChannel::Webhook],
        ..Settings::default()
    };
    world.app = App {
        settings: settings.into(),
        ..world.app
    };
    world
}

pub(super) async fn told(world: &World) -> Vec<Notice> {
    let mut tx = world.app.db.read().await.unwrap();
    tx.list_notices(100).await.unwrap()
}

/// A backup after which the vault's backups take so much.
async fn fill(world: &World, vault: &VaultId, used_gb: u64) {
    world.back_up(World::new_checkpoint(vault)).await.unwrap();
    let (job, lease) = world.claim_some().await;
    let id = job.subject_id.parse().unwrap();
    let (outcome, usage) = world.save(&lease, &id).await;
    let usage = VaultUsage {
        vault_bytes: used_gb * GIB,
        ..usage
    };
    progress::finish_backup(&world.app, &lease, &id, outcome, usage)
        .await
        .unwrap();
}

async fn change(world: &World, vault: &VaultId, change: VaultChange) {
    vaults::update(&world.app, &world.caller, &world.project, vault, change)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_vault_tells_once_each_time_it_comes_to_its_threshold() {
    on_each_database(|world| async move {
        let world = telling(world);
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        // 80 % of 200 GB.
        for (used, notices) in [(159, 0), (160, 1), (170, 1), (199, 1), (100, 1), (160, 2)] {
            fill(&world, &vault, used).await;
            assert_eq!(told(&world).await.len(), 2 * notices, "{used} GB");
        }
        let notices = told(&world).await;
        assert_eq!(notices[0].event_id, notices[1].event_id);
        assert_ne!(notices[0].channel, notices[1].channel);
        let NoticeEvent::VaultThresholdReached {
            vault_id,
            used_bytes,
            threshold_percent,
            ..
        } = &notices[0].event.0
        else {
            panic!("{notices:?}");
        };
        assert_eq!(
            (vault_id, *used_bytes, *threshold_percent),
            (&vault, 160 * GIB, 80)
        );
    })
    .await;
}

#[tokio::test]
async fn a_change_of_the_vault_tells_as_well_and_a_silent_one_never() {
    on_each_database(|world| async move {
        let world = telling(world);
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let silent = VaultChange {
            smn_notify: Some(false),
            ..VaultChange::default()
        };
        change(&world, &vault, silent).await;
        fill(&world, &vault, 170).await;
        assert_eq!(told(&world).await.len(), 0);
        let loud = VaultChange {
            smn_notify: Some(true),
            ..VaultChange::default()
        };
        change(&world, &vault, loud).await;
        assert_eq!(told(&world).await.len(), 2);
        for (threshold, size_gb, notices) in
            [(90, 200, 2), (85, 200, 4), (85, 300, 4), (85, 180, 6)]
        {
            let other = VaultChange {
                threshold: Some(threshold),
                size_gb: Some(size_gb),
                ..VaultChange::default()
            };
            change(&world, &vault, other).await;
            assert_eq!(
                told(&world).await.len(),
                notices,
                "{threshold} % of {size_gb} GB"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_tried_again_later_and_later_and_then_given_up() {
    on_each_database(|world| async move {
        let world = telling(world);
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        fill(&world, &vault, 170).await;
        let app = &world.app;
        let sent = notices::claim(app).await.unwrap().unwrap();
        notices::mark_sent(app, &sent).await.unwrap();

        let began = app.now();
        let mut attempts = 0;
        loop {
            let Some(notice) = notices::claim(app).await.unwrap() else {
                world.clock.advance(Duration::from_secs(10));
                continue;
            };
            attempts += 1;
            assert_eq!(notice.attempt, attempts);
            if notices::mark_unsent(app, &notice, "503").await.unwrap() == Next::Never {
                break;
            }
        }
        assert_eq!(attempts, 20);
        let hours = app.now().since(began).as_secs() / 3600;
        assert!((10..=13).contains(&hours), "{hours}");
        let ended = told(&world).await;
        let states: Vec<_> = ended.iter().map(|notice| notice.state).collect();
        assert!(states.contains(&NoticeState::Sent) && states.contains(&NoticeState::Failed));
        assert!(
            ended
                .iter()
                .any(|notice| notice.last_error.as_deref() == Some("503"))
        );

        world.clock.advance(Duration::from_hours(31 * 24));
        assert_eq!(notices::forget_old(app).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_died_loses_nothing_and_one_that_was_late_changes_nothing() {
    on_each_database(|world| async move {
        let world = telling(world);
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        fill(&world, &vault, 170).await;
        let app = &world.app;
        let late = notices::claim(app).await.unwrap().unwrap();
        let other = notices::claim(app).await.unwrap().unwrap();
        notices::mark_sent(app, &other).await.unwrap();
        assert_eq!(notices::claim(app).await.unwrap(), None);
        world.clock.advance(Duration::from_secs(61));
        let again = notices::claim(app).await.unwrap().unwrap();
        assert_eq!((again.id.clone(), again.attempt), (late.id.clone(), 2));
        notices::mark_sent(app, &late).await.unwrap();
        assert!(
            told(&world)
                .await
                .iter()
                .any(|notice| notice.state == NoticeState::Waiting)
        );
        notices::mark_sent(app, &again).await.unwrap();
        assert!(
            told(&world)
                .await
                .iter()
                .all(|notice| notice.state == NoticeState::Sent)
        );
    })
    .await;
}

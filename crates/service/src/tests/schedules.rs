//! Policies that start by themselves; the clock is moved, and the scheduler called, by hand.

use futures::future::join_all;
use strongroom_db::{Backup, BackupFilter, OperationExtra, OperationLog, OperationLogFilter};
use strongroom_types::{
    OperationStatus, OperationType, PolicyId, ResourceId, Timestamp, Trouble, VaultId, VaultStatus,
};

use super::policies::{backup_policy, replicated, replication_policy};
use super::state::assert_state;
use super::{World, on_each_database, refused};
use crate::checkpoints::NewCheckpoint;
use crate::policies::{self, NewPolicy, PolicyChange};
use crate::{Error, operation_logs, schedules};

impl World {
    /// Moves the clock to a moment of the first days of 2026, `02T03:00`, and lets every policy that is due start.
    pub(super) async fn run_due_at(&self, moment: &str) -> u64 {
        self.clock.set(january(moment));
        schedules::run_due(&self.app, self.app.now()).await.unwrap()
    }

    /// The backups of a vault, the oldest first.
    pub(super) async fn backups_of(&self, vault: &VaultId) -> Vec<Backup> {
        let filter = BackupFilter {
            vault_id: Some(vault.clone()),
            ..BackupFilter::default()
        };
        let mut tx = self.app.db.read().await.unwrap();
        let page = Self::everything();
        let listed = tx.list_backups(&self.project, &filter, &[], &page);
        let mut rows = listed.await.unwrap().rows;
        rows.reverse();
        rows
    }

    /// The operation logs of a policy, the oldest first.
    pub(super) async fn logs_of(&self, policy: &PolicyId) -> Vec<OperationLog> {
        let filter = OperationLogFilter::default();
        let page = Self::everything();
        let listed = operation_logs::list(&self.app, &self.caller, &self.project, &filter, &page);
        let mut rows = listed.await.unwrap().0;
        rows.retain(|log| log.policy_id.as_ref() == Some(policy));
        rows.reverse();
        rows
    }

    /// Writes a vault's row behind the rules' back.
    async fn set_vault(&self, id: &VaultId, change: impl Fn(&mut strongroom_db::Vault)) {
        let mut tx = self.app.db.begin().await.unwrap();
        let mut vault = tx.lock_vault(id).await.unwrap().unwrap();
        change(&mut vault);
        assert!(tx.update_vault(&vault).await.unwrap());
        tx.commit().await.unwrap();
    }
}

fn january(moment: &str) -> Timestamp {
    format!("2026-01-{moment}:00Z").parse().unwrap()
}

fn only(logs: &[OperationLog]) -> (OperationStatus, Option<Trouble>, &str) {
    let [log] = logs else {
        panic!("{logs:#?}");
    };
    assert!(log.ended_at.is_some());
    assert!(matches!(
        log.extra.0,
        OperationExtra::NotStarted { due_at, .. } if due_at == january("02T03:00")
    ));
    (log.status, log.trouble, &log.error_message)
}

/// A vault with one disk and a policy that backs it up at three; the vault, the policy and the disk.
async fn protected(world: &World) -> (VaultId, PolicyId, ResourceId) {
    let data = world.volume("data").await;
    let vault = world.disk_vault("vault", &[&data]).await;
    let policy = world.policy(backup_policy("daily")).await;
    world.apply(&vault, &policy).await.unwrap();
    (vault, policy, data.into())
}

#[tokio::test]
async fn a_start_that_is_due_runs_once() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        assert_eq!(world.run_due_at("01T02:59").await, 0);
        assert_eq!(world.run_due_at("01T03:00").await, 1);
        assert_eq!(world.run_due_at("01T03:00").await, 0);
        world.run_jobs().await;
        assert_eq!(world.run_due_at("02T02:59").await, 0);
        assert_eq!(world.run_due_at("02T03:07").await, 1);
        world.run_jobs().await;

        let backups = world.backups_of(&vault).await;
        assert_eq!(backups.len(), 2);
        for backup in &backups {
            assert!(backup.auto_trigger);
            assert!(backup.name.starts_with("autobk_"), "{}", backup.name);
            assert_eq!(backup.policy_id.as_ref(), Some(&policy));
        }
        assert!(backups[1].incremental);
        let logs = world.logs_of(&policy).await;
        assert_eq!(logs.len(), 2);
        assert!(
            logs.iter()
                .all(|log| log.status == OperationStatus::Success)
        );
    })
    .await;
}

#[tokio::test]
async fn starts_that_were_missed_run_once() {
    on_each_database(|world| async move {
        let (vault, ..) = protected(&world).await;
        assert_eq!(world.run_due_at("09T17:30").await, 1);
        world.run_jobs().await;
        assert_eq!(world.run_due_at("10T02:59").await, 0);
        assert_eq!(world.run_due_at("10T03:00").await, 1);
        world.run_jobs().await;
        assert_eq!(world.backups_of(&vault).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn many_schedulers_take_a_start_up_once() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        world.clock.set(january("01T03:00"));
        let runs = (0..8).map(|_| schedules::run_due(&world.app, world.app.now()));
        for answer in join_all(runs).await {
            answer.unwrap();
        }
        world.run_jobs().await;
        assert_eq!(world.backups_of(&vault).await.len(), 1);
        assert_eq!(world.logs_of(&policy).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_made_up_for_that_was_due_before_a_policy_applied() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        let change = |change: PolicyChange| {
            let (world, policy) = (&world, &policy);
            async move { world.change_policy(policy, change).await.unwrap() }
        };
        let enabled = |enabled: bool| PolicyChange {
            enabled: Some(enabled),
            ..PolicyChange::default()
        };
        change(enabled(false)).await;
        assert_eq!(world.run_due_at("01T04:00").await, 0);
        change(enabled(true)).await;
        assert_eq!(world.run_due_at("01T05:00").await, 0);
        // Another schedule, whose hour of today is past.
        change(PolicyChange {
            patterns: Some(vec![
                "FREQ=DAILY;INTERVAL=1;BYHOUR=04;BYMINUTE=30".to_owned(),
            ]),
            ..PolicyChange::default()
        })
        .await;
        assert_eq!(world.run_due_at("01T06:00").await, 0);
        world.take_off(&vault, &policy).await.unwrap();
        assert_eq!(world.run_due_at("02T05:00").await, 0);
        world.apply(&vault, &policy).await.unwrap();
        assert_eq!(world.run_due_at("02T06:00").await, 0);
        assert_eq!(world.run_due_at("03T04:30").await, 1);
        policies::delete(&world.app, &world.caller, &world.project, &policy)
            .await
            .unwrap();
        assert_eq!(world.run_due_at("09T06:00").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_run_is_skipped_while_the_previous_one_goes_on() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        assert_eq!(world.run_due_at("01T03:00").await, 1);
        assert_eq!(world.run_due_at("02T03:00").await, 1);
        assert_eq!(world.run_due_at("02T03:01").await, 0);
        let logs = world.logs_of(&policy).await;
        assert_eq!(
            only(&logs[1..]),
            (
                OperationStatus::Skipped,
                Some(Trouble::BackupRunning),
                "the policy's previous run has not ended"
            )
        );
        assert_eq!(logs[1].operation_type, OperationType::Backup);
        world.run_jobs().await;
        assert_eq!(world.run_due_at("03T03:00").await, 1);
        world.run_jobs().await;
        assert_eq!(world.backups_of(&vault).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_vault_that_takes_no_backups_says_so_once_for_each_start() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        world
            .set_vault(&vault, |row| row.used_bytes = 200 << 30)
            .await;
        assert_eq!(world.run_due_at("02T03:00").await, 1);
        assert_eq!(world.run_due_at("02T03:05").await, 0);
        let logs = world.logs_of(&policy).await;
        let expected = (
            OperationStatus::Failed,
            Some(Trouble::VaultFull),
            "the vault is full",
        );
        assert_eq!(only(&logs), expected);

        world
            .set_vault(&vault, |row| row.status = VaultStatus::Frozen)
            .await;
        assert_eq!(world.run_due_at("03T03:00").await, 1);
        let logs = world.logs_of(&policy).await;
        assert_eq!(logs[1].status, OperationStatus::Failed);
        assert_eq!(logs[1].trouble, Some(Trouble::VaultState));
        assert!(world.backups_of(&vault).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_backed_up_now_has_a_task_that_says_why() {
    on_each_database(|world| async move {
        let (web, mail) = (world.server("web", 1).await, world.server("mail", 1).await);
        let vault = world.server_vault("vault", &[&web, &mail]).await;
        let policy = world.policy(backup_policy("daily")).await;
        world.apply(&vault, &policy).await.unwrap();
        world.set_disk("/mail/0", World::running(10));
        world.run_due_at("01T03:00").await;
        world.run_jobs().await;
        let backups = world.backups_of(&vault).await;
        let names: Vec<_> = backups.iter().map(|b| b.resource_name.as_str()).collect();
        assert_eq!(names, ["web"]);
        let state = world.state().await;
        assert!(
            state.contains("backup mail skipped 0% server_running: the server is running"),
            "{state}"
        );
        world.set_disk("/web/0", World::running(10));
        world.run_due_at("02T03:00").await;
        let logs = world.logs_of(&policy).await;
        let last = std::slice::from_ref(logs.last().unwrap());
        let (status, trouble, message) = only(last);
        assert_eq!(status, OperationStatus::Skipped);
        assert_eq!(trouble, Some(Trouble::NothingToBackUp));
        assert!(message.contains("the server is running"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn suspended_resources_and_empty_vaults_are_passed_over() {
    on_each_database(|world| async move {
        let (a, b) = (world.volume("a").await, world.volume("b").await);
        let vault = world.disk_vault("vault", &[&a, &b]).await;
        let empty = world.disk_vault("empty", &[]).await;
        let policy = world.policy(backup_policy("daily")).await;
        world.apply(&vault, &policy).await.unwrap();
        world.apply(&empty, &policy).await.unwrap();
        let suspend = |id: &ResourceId| {
            let (world, vault, id) = (&world, vault.clone(), id.clone());
            async move {
                let mut tx = world.app.db.begin().await.unwrap();
                let set = tx.update_vault_resource_auto_protect(&vault, &id, false);
                assert!(set.await.unwrap());
                tx.commit().await.unwrap();
            }
        };
        suspend(&a.clone().into()).await;
        assert_eq!(world.run_due_at("01T03:00").await, 2);
        world.run_jobs().await;
        suspend(&b.clone().into()).await;
        assert_eq!(world.run_due_at("02T03:00").await, 2);
        assert_eq!(world.run_due_at("02T03:01").await, 0);
        let state = world.state().await;
        let logs: Vec<_> = state
            .lines()
            .filter(|line| line.starts_with("backup"))
            .collect();
        assert_eq!(logs, ["backup b success 100%"]);
        // A person who asks for the whole vault gets the whole vault.
        world.backed_up(&vault).await;
        assert_eq!(world.backups_of(&vault).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_window_spreads_the_starts_of_the_vaults() {
    on_each_database(|world| async move {
        let policy = world
            .policy(NewPolicy {
                start_window_minutes: Some(120),
                ..backup_policy("spread")
            })
            .await;
        for number in 0..20 {
            let disk = world.volume(&format!("d{number}")).await;
            let vault = world.disk_vault(&format!("v{number}"), &[&disk]).await;
            world.apply(&vault, &policy).await.unwrap();
        }
        let starts = |day: &'static str| {
            let world = &world;
            async move {
                let mut starts = Vec::new();
                for minute in 0..120 {
                    let moment = format!("{day}T{:02}:{:02}", 3 + minute / 60, minute % 60);
                    for _ in 0..world.run_due_at(&moment).await {
                        starts.push(minute);
                    }
                }
                world.run_jobs().await;
                starts
            }
        };
        assert_eq!(world.run_due_at("01T02:59").await, 0);
        let first = starts("01").await;
        assert_eq!(first.len(), 20);
        let halves = first.iter().filter(|minute| **minute < 60).count();
        assert!((4..=16).contains(&halves), "{first:?}");
        assert_eq!(first, starts("02").await);
    })
    .await;
}

#[tokio::test]
async fn a_replication_policy_says_that_no_peer_is_known() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let policy = world.policy(replication_policy("away")).await;
        let far = VaultId::random(&*world.app.ids);
        world
            .associate(&vault, replicated(&policy, Some(far)))
            .await
            .unwrap();
        assert_eq!(world.run_due_at("02T03:00").await, 1);
        assert_eq!(world.run_due_at("02T03:01").await, 0);
        let logs = world.logs_of(&policy).await;
        assert_eq!(
            only(&logs),
            (
                OperationStatus::Skipped,
                Some(Trouble::NoPeer),
                "no peer is configured for the region far-away"
            )
        );
        assert_eq!(logs[0].operation_type, OperationType::Replication);
    })
    .await;
}

#[tokio::test]
async fn after_so_many_incremental_backups_the_next_is_full_but_one_a_day() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        let every = |interval: u32, hours: u32| {
            let mut definition = super::policies::definition();
            definition.full_interval = Some(interval);
            let pattern = |hour| format!("FREQ=DAILY;INTERVAL=1;BYHOUR={hour};BYMINUTE=0");
            PolicyChange {
                definition: Some(definition),
                patterns: Some((0..24).step_by(hours as usize).map(pattern).collect()),
                ..PolicyChange::default()
            }
        };
        world.change_policy(&policy, every(2, 24)).await.unwrap();
        for day in 2..9 {
            world.run_due_at(&format!("{day:02}T00:00")).await;
            world.run_jobs().await;
        }
        let kinds = |backups: Vec<Backup>| -> String {
            let kind = |backup: Backup| if backup.incremental { 'i' } else { 'F' };
            backups.into_iter().map(kind).collect()
        };
        assert_eq!(kinds(world.backups_of(&vault).await), "FiiFiiF");
        // Every six hours, and no incremental ones between: still one full backup a day.
        world.change_policy(&policy, every(0, 6)).await.unwrap();
        for moment in ["08T06:00", "08T12:00", "08T18:00", "09T00:01", "09T06:00"] {
            world.run_due_at(moment).await;
            world.run_jobs().await;
        }
        assert_eq!(kinds(world.backups_of(&vault).await), "FiiFiiFiiiFi");
    })
    .await;
}

#[tokio::test]
async fn an_automatic_backup_that_somebody_asks_for_belongs_to_a_policy_of_the_vault() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        let other = world.policy(backup_policy("other")).await;
        let away = world.policy(replication_policy("away")).await;
        let automatic = |policy: Option<&PolicyId>| NewCheckpoint {
            auto_trigger: true,
            policy_id: policy.cloned(),
            ..World::new_checkpoint(&vault)
        };
        let unknown = PolicyId::random(&*world.app.ids);
        refused!(
            world.back_up(automatic(Some(&unknown))).await,
            Error::PolicyNotFound { .. }
        );
        refused!(
            world.back_up(automatic(Some(&other))).await,
            Error::PolicyNotApplied { .. }
        );
        refused!(
            world.back_up(automatic(Some(&away))).await,
            Error::PolicyDoesNotFit { .. }
        );
        let manual = NewCheckpoint {
            auto_trigger: false,
            ..automatic(Some(&policy))
        };
        refused!(world.back_up(manual).await, Error::Invalid { .. });
        for asked in [Some(&policy), None] {
            world.back_up(automatic(asked)).await.unwrap();
            world.run_jobs().await;
        }
        let backups = world.backups_of(&vault).await;
        let ids: Vec<_> = backups
            .iter()
            .map(|b| b.policy_id.clone().unwrap())
            .collect();
        assert_eq!(ids, [policy.clone(), policy]);
    })
    .await;
}

#[tokio::test]
async fn a_vault_that_is_deleted_beside_its_policy_leaves_nothing_behind() {
    on_each_database(|world| async move {
        let (vault, policy, _) = protected(&world).await;
        crate::vaults::delete(&world.app, &world.caller, &world.project, &vault)
            .await
            .unwrap();
        assert_eq!(world.run_due_at("02T03:00").await, 1);
        let logs = world.logs_of(&policy).await;
        let (status, trouble, _) = only(&logs);
        assert_eq!(status, OperationStatus::Failed);
        assert_eq!(trouble, Some(Trouble::VaultState));
        world.run_jobs().await;
        assert_eq!(world.run_due_at("03T03:00").await, 0);
        assert_state(
            &world.state().await,
            "vault_delete  success 100%
             backup  failed 0% vault_state: the vault is deleting and takes no backups",
        );
    })
    .await;
}

//! Rows of policies, what the scheduler remembers, and the pages of what has had its time.

use std::time::Duration;

use strongroom_testkit::MockClock;
use strongroom_types::*;

use super::on_each_database;
use super::protection::{Scene, scene};
use crate::*;

const NOW: Timestamp = MockClock::START;

fn later(hours: u64) -> Timestamp {
    NOW.plus(Duration::from_hours(hours))
}

fn rules() -> PolicyRules {
    let terms = RetentionTerms {
        newest: Some(3),
        of_weeks: 2,
        zone: Some("UTC-03:30".parse().unwrap()),
        marks: vec![Mark {
            on: MarkedDays::Weekdays(vec![Weekday::Friday]),
            kept_for: Periods::Weeks(9),
        }],
        ..RetentionTerms::default()
    };
    PolicyRules {
        retention: Retention::try_from(terms).unwrap(),
        full_interval: Some(7),
        destination: Some(Destination {
            region: "far".to_owned(),
            project_id: "p".to_owned(),
            accelerate: true,
        }),
    }
}

/// A policy that is applied to the scene's vault.
async fn applied(tx: &mut Tx, scene: &Scene) -> (Policy, VaultPolicy) {
    let pattern = "FREQ=WEEKLY;BYDAY=MO,SU;BYHOUR=06;BYMINUTE=00".to_owned();
    let policy = Policy {
        id: PolicyId::random(&scene.ids),
        project_id: scene.vault.project_id.clone(),
        name: "p".to_owned(),
        operation_type: PolicyOperation::Backup,
        policy_type: PolicyOrigin::Custom,
        enabled: true,
        definition: r#"{"max_backups":3}"#.to_owned(),
        rules: JsonText(rules()),
        trigger_id: TriggerId::random(&scene.ids),
        schedule: JsonText(Schedule::try_from(vec![pattern]).unwrap()),
        start_window_minutes: Some(60),
        options: JsonText(PolicyOptions {
            on_failed_freeze: FailedFreeze::Fail,
            prove: Some(ProveOption { every_days: 7 }),
        }),
        schedule_since: NOW,
        version: 0,
        created_at: NOW,
        updated_at: NOW,
    };
    tx.insert_policy(&policy).await.unwrap();
    let row = VaultPolicy {
        vault_id: scene.vault.id.clone(),
        policy_id: policy.id.clone(),
        destination_vault_id: Some(VaultId::random(&scene.ids)),
        associated_at: NOW,
        last_due_at: None,
    };
    tx.insert_vault_policy(&row).await.unwrap();
    (policy, row)
}

#[tokio::test]
async fn policies_come_back_as_they_were_written() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let (mut policy, row) = applied(&mut tx, &scene).await;
        let found = tx.find_policy(&policy.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&policy));
        let rows = tx.enabled_policies_of_vaults(None, 10).await.unwrap();
        let both = AppliedPolicy {
            policy: policy.clone(),
            applied: row.clone(),
        };
        assert_eq!(rows, [both]);
        let after = Some((&row.vault_id, &row.policy_id));
        let rows = tx.enabled_policies_of_vaults(after, 10).await.unwrap();
        assert!(rows.is_empty());

        let written = tx.update_policy(&policy).await.unwrap();
        assert!(written, "the version is that of the row");
        policy.enabled = false;
        let locked = tx.lock_policy(&policy.id).await.unwrap().unwrap();
        assert!(
            !tx.update_policy(&policy).await.unwrap(),
            "it is one behind"
        );
        policy.version = locked.version;
        assert!(tx.update_policy(&policy).await.unwrap());
        let rows = tx.enabled_policies_of_vaults(None, 10).await.unwrap();
        assert!(rows.is_empty());
        assert!(tx.delete_policy(&policy.id).await.unwrap());
        assert!(!tx.delete_policy(&policy.id).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_vault_has_a_policy_once() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let (_, row) = applied(&mut tx, &scene).await;
        let error = tx.insert_vault_policy(&row).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn starts_are_taken_up_forwards_and_once() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let (mut policy, row) = applied(&mut tx, &scene).await;
        let (vault, id) = (&row.vault_id, &row.policy_id);
        assert!(!tx.take_up_start(vault, id, NOW).await.unwrap());
        assert!(tx.take_up_start(vault, id, later(2)).await.unwrap());
        assert!(!tx.take_up_start(vault, id, later(2)).await.unwrap());
        assert!(!tx.take_up_start(vault, id, later(1)).await.unwrap());
        assert!(tx.take_up_start(vault, id, later(3)).await.unwrap());
        policy.enabled = false;
        assert!(tx.update_policy(&policy).await.unwrap());
        assert!(!tx.take_up_start(vault, id, later(4)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn expired_backups_are_read_page_by_page() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        for hours in [3, 1, 2, 2, 50] {
            let backup = Backup {
                status: BackupStatus::Available,
                expired_at: Some(later(hours)),
                ..scene.backup()
            };
            tx.insert_backup(&backup).await.unwrap();
        }
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let from = after.as_ref().map(|(end, id)| (*end, id));
            let page = tx.expired_backups(later(3), from, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.expired_at.unwrap(), last.id.clone()));
            read.extend(page.into_iter().map(|backup| backup.expired_at.unwrap()));
        }
        assert_eq!(read, [later(1), later(2), later(2), later(3)]);
    })
    .await;
}

#[tokio::test]
async fn of_failed_backups_the_oldest_and_the_old_are_surplus() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        for hours in 0..5 {
            let backup = Backup {
                status: BackupStatus::Error,
                auto_trigger: hours != 4,
                created_at: later(hours),
                ..scene.backup()
            };
            tx.insert_backup(&backup).await.unwrap();
        }
        let surplus = async |tx: &mut Tx, kept, before| {
            let rows = tx.surplus_failed_backups(kept, before, 10).await.unwrap();
            rows.into_iter()
                .map(|row| row.created_at)
                .collect::<Vec<_>>()
        };
        assert_eq!(surplus(&mut tx, 3, NOW).await, [later(0)]);
        assert_eq!(surplus(&mut tx, 9, later(2)).await, [later(0), later(1)]);
        assert!(surplus(&mut tx, 4, NOW).await.is_empty());
    })
    .await;
}

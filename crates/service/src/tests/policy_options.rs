//! What policies choose for their backups: what a failed freeze means, and which backups are proven by themselves.

use std::time::Duration;

use strongroom_db::{NoticeEvent, PolicyOptions, Proof, ProveOption};
use strongroom_types::{
    BackupId, FailedFreeze, JobKind, PolicyId, ProofState, ProofVerdict, Role, VaultId,
};

use super::notices::{telling, told};
use super::policies::{backup_policy, replication_policy};
use super::world::protect_server;
use super::{World, on_each_database, refused};
use crate::checkpoints::{NewCheckpoint, Selection};
use crate::policies::{OptionsChange, change_options, get_options};
use crate::progress::{self, BackupOutcome, ProofOutcome};
use crate::resources::NewResource;
use crate::{Caller, Error, backups, proofs};

impl World {
    pub(super) async fn choose(
        &self,
        id: &PolicyId,
        change: OptionsChange,
    ) -> Result<PolicyOptions, Error> {
        change_options(&self.app, &self.caller, &self.project, id, change).await
    }

    async fn chosen(&self, id: &PolicyId) -> PolicyOptions {
        let found = get_options(&self.app, &self.caller, &self.project, id).await;
        found.unwrap()
    }

    async fn proofs_of(&self, backup: &BackupId) -> Vec<Proof> {
        let listed = proofs::list(&self.app, &self.caller, &self.project, backup).await;
        listed.unwrap()
    }

    /// Which backups of a vault have proofs, the oldest first.
    async fn proven(&self, vault: &VaultId) -> Vec<bool> {
        let mut proven = Vec::new();
        for backup in self.backups_of(vault).await {
            proven.push(!self.proofs_of(&backup.id).await.is_empty());
        }
        proven
    }

    /// A vault with one server and a policy at three that has it proven every so many days.
    async fn proving(&self, every_days: u32) -> (VaultId, PolicyId) {
        let web = self.server("web", 2).await;
        let vault = self.server_vault("vault", &[&web]).await;
        let policy = self.policy(backup_policy("daily")).await;
        self.choose(&policy, every(every_days)).await.unwrap();
        self.apply(&vault, &policy).await.unwrap();
        (vault, policy)
    }
}

fn every(every_days: u32) -> OptionsChange {
    OptionsChange {
        prove: Some(Some(ProveOption { every_days })),
        ..OptionsChange::default()
    }
}

pub(super) fn fail() -> OptionsChange {
    OptionsChange {
        on_failed_freeze: Some(FailedFreeze::Fail),
        ..OptionsChange::default()
    }
}

fn automatic(vault: &VaultId) -> NewCheckpoint {
    NewCheckpoint {
        auto_trigger: true,
        ..World::new_checkpoint(vault)
    }
}

#[tokio::test]
async fn options_are_changed_in_parts_and_only_where_they_mean_something() {
    on_each_database(async |world| {
        let policy = world.policy(backup_policy("daily")).await;
        assert_eq!(world.chosen(&policy).await, PolicyOptions::default());
        world.choose(&policy, fail()).await.unwrap();
        let both = PolicyOptions {
            on_failed_freeze: FailedFreeze::Fail,
            prove: Some(ProveOption { every_days: 7 }),
        };
        assert_eq!(world.choose(&policy, every(7)).await.unwrap(), both);
        // The definition is another matter.
        let change = crate::policies::PolicyChange {
            definition: Some(super::policies::definition()),
            ..Default::default()
        };
        world.change_policy(&policy, change).await.unwrap();
        assert_eq!(world.chosen(&policy).await, both);
        let no_proofs = OptionsChange {
            prove: Some(None),
            ..OptionsChange::default()
        };
        let left = world.choose(&policy, no_proofs).await.unwrap();
        assert_eq!(
            (left.on_failed_freeze, left.prove),
            (both.on_failed_freeze, None)
        );

        let away = world.policy(replication_policy("away")).await;
        refused!(world.choose(&away, fail()).await, Error::Invalid { .. });
        assert_eq!(world.chosen(&away).await, PolicyOptions::default());
        let other = world.other_project("other").await;
        refused!(
            other.choose(&policy, every(1)).await,
            Error::PolicyNotFound { .. }
        );
        let user = Caller {
            role: Some(Role::BackupUser),
            ..world.caller.clone()
        };
        let by_user = change_options(&world.app, &user, &world.project, &policy, every(1)).await;
        refused!(by_user, Error::Forbidden);
        assert_eq!(world.chosen(&policy).await.prove, None);
    })
    .await;
}

#[tokio::test]
async fn a_failed_freeze_means_what_the_policy_of_the_backup_says() {
    on_each_database(async |world| {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let policy = world.policy(backup_policy("daily")).await;
        world.choose(&policy, fail()).await.unwrap();
        world.apply(&vault, &policy).await.unwrap();
        // Whoever backs up by hand has chosen nothing.
        for (new, expected) in [
            (World::new_checkpoint(&vault), FailedFreeze::CrashConsistent),
            (automatic(&vault), FailedFreeze::Fail),
        ] {
            world.back_up(new).await.unwrap();
            let (job, lease) = world.claim_some().await;
            let id = job.subject_id.parse().unwrap();
            let work = progress::start_backup(&world.app, &lease, &id)
                .await
                .unwrap();
            assert_eq!(work.on_failed_freeze(), expected);
            world.finish(&lease, &id).await;
        }
        world.back_up(automatic(&vault)).await.unwrap();
        world.take_off(&vault, &policy).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        let work = progress::start_backup(&world.app, &lease, &id)
            .await
            .unwrap();
        assert_eq!(work.on_failed_freeze(), FailedFreeze::CrashConsistent);
    })
    .await;
}

#[tokio::test]
async fn the_first_backup_in_so_many_days_is_proven_even_if_the_last_proof_is_gone() {
    on_each_database(async |world| {
        let (vault, _) = world.proving(3).await;
        for day in 2..10 {
            world.run_due_at(&format!("{day:02}T03:00")).await;
            world.run_jobs().await;
            if day == 3 {
                let first = world.backups_of(&vault).await.remove(0).id;
                assert_eq!(world.proofs_of(&first).await[0].state, ProofState::Done);
                backups::delete(&world.app, &world.caller, &world.project, &first)
                    .await
                    .unwrap();
                world.run_jobs().await;
            }
        }
        // Of the 2nd to the 9th, without the first: the 5th and the 8th.
        let expected = [false, false, true, false, false, true, false];
        assert_eq!(world.proven(&vault).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_daily_start_that_comes_earlier_than_that_of_the_day_before_is_proven_too() {
    on_each_database(async |world| {
        let (vault, policy) = world.proving(1).await;
        for moment in ["02T03:07", "03T03:00"] {
            world.run_due_at(moment).await;
            world.run_jobs().await;
        }
        world.back_up(automatic(&vault)).await.unwrap();
        world.run_jobs().await;
        assert_eq!(world.proven(&vault).await, [true, true, false]);
        let no_proofs = OptionsChange {
            prove: Some(None),
            ..OptionsChange::default()
        };
        world.choose(&policy, no_proofs).await.unwrap();
        world.run_due_at("04T03:00").await;
        world.run_jobs().await;
        assert_eq!(world.proven(&vault).await, [true, true, false, false]);
    })
    .await;
}

#[tokio::test]
async fn a_proof_begins_with_the_backup_that_is_published_and_not_without_it() {
    on_each_database(async |world| {
        let (vault, _) = world.proving(1).await;
        world.backed_up(&vault).await;
        world.back_up(automatic(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        assert_eq!(job.kind, JobKind::BackUp);
        let id: BackupId = job.subject_id.parse().unwrap();
        // One attempt comes to nothing, and the one after it to an error.
        world.save(&lease, &id).await;
        assert!(world.proofs_of(&id).await.is_empty());
        let (outcome, usage) = world.save(&lease, &id).await;
        let disks = outcome.disks.into_iter().map(|mut disk| {
            disk.result = Err(super::world::failure());
            disk
        });
        let nothing = BackupOutcome {
            disks: disks.collect(),
            ..outcome
        };
        let usage = progress::VaultUsage {
            points: usage.points[..2].to_vec(),
            ..usage
        };
        progress::finish_backup(&world.app, &lease, &id, nothing, usage)
            .await
            .unwrap();
        assert!(world.proofs_of(&id).await.is_empty());
        assert!(world.claim().await.is_none());

        // What failed has not had its server's turn.
        world.back_up(automatic(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let id: BackupId = job.subject_id.parse().unwrap();
        world.finish(&lease, &id).await;
        assert_eq!(world.proofs_of(&id).await[0].state, ProofState::Waiting);
        let (job, _) = world.claim_some().await;
        assert_eq!(job.kind, JobKind::Prove);
    })
    .await;
}

#[tokio::test]
async fn disks_that_are_backed_up_by_themselves_are_not_proven() {
    on_each_database(async |world| {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let policy = world.policy(backup_policy("daily")).await;
        world.choose(&policy, every(1)).await.unwrap();
        world.apply(&vault, &policy).await.unwrap();
        world.run_due_at("02T03:00").await;
        world.run_jobs().await;
        assert_eq!(world.proven(&vault).await, [false]);
    })
    .await;
}

#[tokio::test]
async fn a_server_without_its_system_disk_is_not_proven() {
    on_each_database(async |world| {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let policy = world.policy(backup_policy("daily")).await;
        world.choose(&policy, every(1)).await.unwrap();
        world.apply(&vault, &policy).await.unwrap();
        let data_alone = NewResource {
            exclude_volumes: Some(vec![web.volumes[0].id.clone()]),
            ..protect_server(&web.server.id)
        };
        let new = NewCheckpoint {
            selection: Selection::Details(vec![data_alone]),
            ..automatic(&vault)
        };
        world.back_up(new).await.unwrap();
        world.run_jobs().await;
        assert_eq!(world.proven(&vault).await, [false]);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_stood_ahead_puts_no_proof_off() {
    on_each_database(async |world| {
        let (vault, _) = world.proving(7).await;
        world.backed_up(&vault).await;
        let server = world.backups_of(&vault).await.remove(0).resource_id;
        let ahead = world.app.now().plus(Duration::from_hours(400 * 24));
        let mut tx = world.app.db.begin().await.unwrap();
        assert!(tx.take_up_proof(&server, ahead, ahead).await.unwrap());
        tx.commit().await.unwrap();
        world.run_due_at("02T03:00").await;
        world.run_jobs().await;
        assert_eq!(world.proven(&vault).await, [false, true]);
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_does_not_boot_is_told() {
    on_each_database(async |world| {
        let world = telling(world);
        let (vault, _) = world.proving(1).await;
        world.back_up(automatic(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let backup: BackupId = job.subject_id.parse().unwrap();
        world.finish(&lease, &backup).await;
        let (_, lease) = world.claim_some().await;
        let work = progress::start_proof(&world.app, &lease).await.unwrap();
        let outcome = ProofOutcome {
            verdict: ProofVerdict::DoesNotBoot,
            reason: "its firmware found nothing to boot".to_owned(),
            accelerator: None,
            file_systems: Vec::new(),
            console: String::new(),
            screen: None,
        };
        progress::finish_proof(&world.app, &lease, &work.proof, outcome)
            .await
            .unwrap();
        let notices = told(&world).await;
        assert_eq!(notices.len(), 2);
        let NoticeEvent::BackupDoesNotBoot {
            backup_id,
            resource_name,
            proof_id,
            reason,
            ..
        } = &notices[0].event.0
        else {
            panic!("{notices:?}");
        };
        assert_eq!((backup_id, proof_id), (&backup, &work.proof.id));
        assert_eq!(resource_name, "web");
        assert_eq!(reason, "its firmware found nothing to boot");
    })
    .await;
}

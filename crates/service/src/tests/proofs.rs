use std::time::Duration;

use strongroom_db::{Backup, Proof};
use strongroom_types::ProofState::{Done, Failed, Running, Waiting};
use strongroom_types::{
    BackupId, Firmware, JobKind, MachineRecord, MachineSource, ProofState, ProofVerdict,
};

use super::world::{World, failure};
use super::{on_each_database, refused};
use crate::{Error, backups, inventory, progress, proofs};

impl World {
    async fn prove(&self, backup: &BackupId) -> Result<Proof, Error> {
        self.clock.advance(Duration::from_secs(1));
        proofs::start(&self.app, &self.caller, &self.project, backup).await
    }

    async fn proofs(&self, backup: &BackupId) -> Result<Vec<Proof>, Error> {
        proofs::list(&self.app, &self.caller, &self.project, backup).await
    }

    async fn states(&self, backups: &[Backup]) -> Vec<ProofState> {
        let mut states = Vec::new();
        for backup in backups {
            states.extend(
                self.proofs(&backup.id)
                    .await
                    .unwrap()
                    .iter()
                    .map(|p| p.state),
            );
        }
        states
    }

    /// Two servers with a backup each.
    async fn two_backups(&self) -> Vec<Backup> {
        let servers = [self.server("web", 2).await, self.server("db", 1).await];
        let vault = self.server_vault("daily", &servers.each_ref()).await;
        let mut backups = self.backed_up(&vault).await;
        backups.retain(|backup| backup.parent_id.is_none());
        backups
    }
}

#[tokio::test]
async fn one_machine_runs_at_a_time_and_the_next_proof_comes_by_itself() {
    on_each_database(async |world| {
        let backups = world.two_backups().await;
        for backup in &backups {
            world.prove(&backup.id).await.unwrap();
        }
        refused!(world.prove(&backups[0].id).await, Error::ProofRunning);
        let (job, lease) = world.claim_some().await;
        assert_eq!(job.kind, JobKind::Prove);
        assert!(world.claim().await.is_none());
        let work = progress::start_proof(&world.app, &lease).await.unwrap();
        assert_eq!(work.proof.backup_id, backups[0].id);
        let disks: Vec<_> = work.disks.iter().map(|disk| disk.system_disk).collect();
        assert!(disks[0] && work.disks.iter().all(|disk| disk.point_id.is_some()));
        assert_eq!(disks.len(), world.children(&backups[0].id).await.len());

        // An attempt that comes after one that died goes on with the same.
        let again = progress::start_proof(&world.app, &lease).await.unwrap();
        assert_eq!(again.proof.id, work.proof.id);
        assert_eq!(world.states(&backups).await, [Running, Waiting]);
        progress::fail_proof(&world.app, &lease, failure())
            .await
            .unwrap();
        assert_eq!(world.states(&backups).await, [Failed, Waiting]);
        world.run_jobs().await;
        assert_eq!(world.states(&backups).await, [Failed, Done]);
        assert!(world.claim().await.is_none());
        let failed = world.proofs(&backups[0].id).await.unwrap().remove(0);
        assert_eq!(
            (failed.verdict, &*failed.reason),
            (None, "input/output error")
        );
    })
    .await;
}

#[tokio::test]
async fn a_machine_is_run_with_the_firmware_that_its_backup_tells() {
    on_each_database(async |world| {
        let backups = world.two_backups().await;
        let uefi = MachineRecord {
            firmware: Some(Firmware::Uefi),
            ..MachineRecord::unknown(MachineSource::Qemu)
        };
        let mut tx = world.app.db.begin().await.unwrap();
        tx.insert_backup_machine(&backups[0].id, &uefi)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        for (backup, firmware) in backups.iter().zip([Some(Firmware::Uefi), None]) {
            world.prove(&backup.id).await.unwrap();
            let (_, lease) = world.claim_some().await;
            let work = progress::start_proof(&world.app, &lease).await.unwrap();
            assert_eq!(work.firmware, firmware);
            progress::fail_proof(&world.app, &lease, failure())
                .await
                .unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_was_proven_when_a_backup_of_it_booted_last() {
    on_each_database(async |world| {
        let backups = world.two_backups().await;
        world.prove(&backups[0].id).await.unwrap();
        world.run_jobs().await;
        let proof = world.proofs(&backups[0].id).await.unwrap().remove(0);
        assert_eq!(proof.verdict, Some(ProofVerdict::Boots));
        let servers = inventory::list_servers(&world.app, &world.caller, &world.project).await;
        for view in servers.unwrap() {
            let is_proven = view.server.name == backups[0].resource_name;
            assert_eq!(view.proven_at, proof.ended_at.filter(|_| is_proven));
        }
    })
    .await;
}

#[tokio::test]
async fn proofs_go_with_their_backup_and_old_ones_before() {
    on_each_database(async |world| {
        let backups = world.two_backups().await;
        let backup = &backups[0].id;
        for _ in 0..12 {
            world.prove(backup).await.unwrap();
            world.run_jobs().await;
        }
        let kept = world.proofs(backup).await.unwrap();
        assert_eq!(kept.len(), 11);
        assert!(kept.is_sorted_by(|newer, older| newer.created_at > older.created_at));

        world.prove(backup).await.unwrap();
        let (_, lease) = world.claim_some().await;
        let work = progress::start_proof(&world.app, &lease).await.unwrap();
        backups::delete(&world.app, &world.caller, &world.project, backup)
            .await
            .unwrap();
        refused!(
            world.prove(backup).await,
            Error::BackupStateForbidsProof { .. }
        );
        world.run_jobs().await;
        refused!(world.proofs(backup).await, Error::BackupNotFound { .. });
        // Whoever ran the machine meanwhile has nobody to tell.
        let outcome = progress::ProofOutcome {
            verdict: ProofVerdict::Unknown,
            reason: String::new(),
            accelerator: Some(strongroom_types::Accelerator::Kvm),
            file_systems: Vec::new(),
            console: String::new(),
            screen: Some(vec![1, 2, 3]),
        };
        progress::finish_proof(&world.app, &lease, &work.proof, outcome)
            .await
            .unwrap();
        assert!(world.claim().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn what_a_machine_shows_is_for_the_owner_of_its_backup() {
    on_each_database(async |world| {
        let backup = world.two_backups().await.remove(0).id;
        let other = world.other_project("other").await;
        refused!(other.prove(&backup).await, Error::BackupNotFound { .. });
        let shared = crate::sharing::add(
            &world.app,
            &world.caller,
            &world.project,
            &backup,
            vec![other.project.to_string()],
        );
        shared.await.unwrap();
        refused!(other.prove(&backup).await, Error::SharedBackup);
        refused!(other.proofs(&backup).await, Error::SharedBackup);
        let proof = world.prove(&backup).await.unwrap();
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let screen = proofs::screen(app, caller, project, &backup, &proof.id).await;
        refused!(screen, Error::ProofWithoutScreen);
        let (_, lease) = world.claim_some().await;
        let work = progress::start_proof(app, &lease).await.unwrap();
        let outcome = progress::ProofOutcome {
            verdict: ProofVerdict::Unknown,
            reason: "look".to_owned(),
            accelerator: Some(strongroom_types::Accelerator::Kvm),
            file_systems: Vec::new(),
            console: "hello".to_owned(),
            screen: Some(vec![1, 2, 3]),
        };
        progress::finish_proof(app, &lease, &work.proof, outcome)
            .await
            .unwrap();
        let shown = proofs::get(app, caller, project, &backup, &proof.id)
            .await
            .unwrap();
        assert!(shown.has_screen && shown.console == "hello");
        let screen = proofs::screen(app, caller, project, &backup, &proof.id).await;
        assert_eq!(screen.unwrap(), [1, 2, 3]);
    })
    .await;
}

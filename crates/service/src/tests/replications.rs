use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use strongroom_db::{OperationExtra, OperationLogFilter, Page, VaultFilter};
use strongroom_types::{
    BackupId, BackupStatus, ImageType, JobKind, ObjectType, OperationStatus, OperationType,
    ProjectId, ProtectType, ReplicationId, ReplicationStatus, VaultId,
};

use super::policies::replication_policy;
use super::world::{World, failure};
use super::{on_each_database, refused};
use crate::peers::{
    self, BegunReplica, Comparison, DiskDigest, ExternalVault, ExternalVaultList, ExternalVaults,
    NewReplica, NewReplicaDisk, PeerCaller, PeerError, PeerSetting, Peers, ProjectPair,
    ReplicaState, Stretch,
};
use crate::progress::{self, ReplicationTurn};
use crate::replications::{self, Destination, NewReplication, NewVaultReplication};
use crate::retention::expire_backups;
use crate::vaults::{self, NewVault};
use crate::{Error, Settings, backups, replicas};

const WEST: &str = "west";
const TOKEN: &str = "a token that both sides know, and nobody else";

/// A peer that has one vault, as a test says.
#[derive(Debug)]
pub(super) struct OneVault(Mutex<Result<Option<ExternalVault>, PeerError>>);

impl OneVault {
    const FITTING: ExternalVault = ExternalVault {
        takes_replicas: true,
        is_available: true,
        is_full: false,
    };
}

fn never<T>() -> Result<T, PeerError> {
    Err(PeerError::Unavailable {
        region: WEST.to_owned(),
        detail: "a test".to_owned(),
    })
}

#[async_trait]
impl Peers for OneVault {
    async fn list_vaults(
        &self,
        _: &str,
        _: &ExternalVaults,
    ) -> Result<ExternalVaultList, PeerError> {
        Ok(ExternalVaultList {
            vaults: vec![serde_json::json!({})],
            count: 1,
        })
    }

    async fn find_vault(
        &self,
        _: &str,
        _: &ProjectId,
        _: &VaultId,
    ) -> Result<Option<ExternalVault>, PeerError> {
        self.0.lock().unwrap().clone()
    }

    async fn begin(&self, _: &str, _: &NewReplica) -> Result<BegunReplica, PeerError> {
        never()
    }

    async fn compare(&self, _: &str, _: &Stretch) -> Result<Comparison, PeerError> {
        never()
    }

    async fn send(&self, _: &str, _: &Stretch, _: Vec<u8>) -> Result<(), PeerError> {
        never()
    }

    async fn commit(&self, _: &str, _: &BackupId, _: &[DiskDigest]) -> Result<(), PeerError> {
        never()
    }

    async fn status(&self, _: &str, _: &BackupId) -> Result<ReplicaState, PeerError> {
        never()
    }
}

fn there() -> ProjectId {
    "fedcba9876543210fedcba9876543210".parse().unwrap()
}

fn somewhere() -> VaultId {
    "00000000-0000-4000-8000-000000000007".parse().unwrap()
}

fn to_west() -> Destination {
    Destination {
        region: WEST.to_owned(),
        project_id: there(),
        vault_id: somewhere(),
    }
}

impl World {
    /// The project is joined with one in the west, where there is a fitting vault.
    pub(super) fn join_west(&mut self) -> Arc<OneVault> {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, TOKEN.as_bytes());
        let peer = PeerSetting {
            region: WEST.to_owned(),
            token_sha256: hash.as_ref().try_into().unwrap(),
            projects: vec![ProjectPair {
                here: self.project.clone(),
                there: there(),
            }],
        };
        let settings = Settings {
            peers: vec![peer],
            ..Settings::default()
        };
        self.app.settings = settings.into();
        let vault = Arc::new(OneVault(Mutex::new(Ok(Some(OneVault::FITTING)))));
        self.app.peers = vault.clone();
        vault
    }

    async fn copy_to(
        &self,
        backup: &BackupId,
        destination: Destination,
    ) -> Result<strongroom_db::Replication, Error> {
        let new = NewReplication {
            destination,
            name: None,
            description: None,
        };
        replications::copy_backup(&self.app, &self.caller, &self.project, backup, new).await
    }

    async fn copy_vault(&self, vault: &VaultId) -> Result<usize, Error> {
        let new = NewVaultReplication {
            destination: to_west(),
            auto_trigger: false,
        };
        let (app, caller) = (&self.app, &self.caller);
        let copied = replications::copy_vault(app, caller, &self.project, vault, new).await;
        copied.map(|(_, copies)| copies.len())
    }

    async fn record(&self, id: &ReplicationId) -> strongroom_db::Replication {
        let mut tx = self.app.db.read().await.unwrap();
        tx.find_replication(id).await.unwrap().unwrap()
    }

    pub(super) fn west(&self) -> PeerCaller {
        peers::authenticate(&self.app, WEST, TOKEN, "request").unwrap()
    }

    /// A vault that takes copies.
    pub(super) async fn replication_vault(&self) -> VaultId {
        let new = NewVault {
            protect_type: ProtectType::Replication,
            ..Self::new_vault("copies", ObjectType::Server)
        };
        self.vault_of(new).await.vault.id
    }

    pub(super) fn new_replica(&self, vault: &VaultId, n: u8) -> NewReplica {
        let id = |kind: u8| format!("00000000-0000-4000-8000-0000000{kind:02}{n:03}");
        NewReplica {
            replication_id: id(1).parse().unwrap(),
            source_project_id: there(),
            source_checkpoint_id: id(2).parse().unwrap(),
            source_backup_id: id(3).parse().unwrap(),
            destination_project_id: self.project.clone(),
            destination_vault_id: vault.clone(),
            name: "nightly".to_owned(),
            description: String::new(),
            auto_trigger: false,
            rules: None,
            server_id: "00000000-0000-4000-8000-000000000009".parse().unwrap(),
            server_name: "web".to_owned(),
            protected_at: self.app.now(),
            disks: vec![NewReplicaDisk {
                source_backup_id: id(4).parse().unwrap(),
                volume_id: "00000000-0000-4000-8000-000000000010".parse().unwrap(),
                name: "system".to_owned(),
                size_bytes: 1 << 30,
                system_disk: true,
            }],
        }
    }
}

/// A vault with a server that was backed up once.
async fn backed_up(world: &World) -> (VaultId, BackupId) {
    let server = world.server("web", 2).await;
    let vault = world.server_vault("gold", &[&server]).await;
    let backups = world.backed_up(&vault).await;
    (vault, backups[0].id.clone())
}

#[tokio::test]
async fn a_copy_is_recorded_and_ends_with_its_task() {
    on_each_database(async |mut world| {
        world.join_west();
        let (_, backup) = backed_up(&world).await;
        let copy = world.copy_to(&backup, to_west()).await.unwrap();
        assert_eq!(copy.status, ReplicationStatus::Waiting);
        refused!(
            world.copy_to(&backup, to_west()).await,
            Error::ReplicatedAlready { .. }
        );
        let refused_deletion =
            backups::delete(&world.app, &world.caller, &world.project, &backup).await;
        refused!(refused_deletion, Error::BackupInUse);
        world.run_jobs().await;
        let view = backups::get(&world.app, &world.caller, &world.project, &backup).await;
        let records = view.unwrap().replications;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].status, ReplicationStatus::Success);
        let mut tx = world.app.db.read().await.unwrap();
        let logs = tx
            .list_operation_logs(&world.project, &OperationLogFilter::default(), &Page::first(1))
            .await
            .unwrap();
        let log = &logs.rows[0];
        assert_eq!(log.operation_type, OperationType::Replication);
        assert_eq!(log.status, OperationStatus::Success);
        assert!(matches!(&log.extra.0, OperationExtra::Replication(task) if task.destination_region == WEST));
        drop(tx);
        // It stays when the original goes.
        backups::delete(&world.app, &world.caller, &world.project, &backup)
            .await
            .unwrap();
        world.run_jobs().await;
        assert_eq!(world.backup(&backup).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_has_expired_stays_until_it_is_copied() {
    on_each_database(async |mut world| {
        world.join_west();
        let (_, backup) = backed_up(&world).await;
        let mut tx = world.app.db.begin().await.unwrap();
        let now = world.app.now();
        tx.update_backup_end(&backup, now, now).await.unwrap();
        tx.commit().await.unwrap();
        world.copy_to(&backup, to_west()).await.unwrap();
        world.clock.advance(Duration::from_mins(1));
        let expire = async || expire_backups(&world.app, world.app.now()).await.unwrap();
        assert_eq!(expire().await, 0);
        world.run_jobs().await;
        assert_eq!(expire().await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_fails_can_be_copied_again() {
    on_each_database(async |mut world| {
        world.join_west();
        let (vault, backup) = backed_up(&world).await;
        let copy = world.copy_to(&backup, to_west()).await.unwrap();
        let (job, lease) = world.claim_some().await;
        assert_eq!(job.kind, JobKind::Replicate);
        refused!(world.copy_vault(&vault).await, Error::VaultBeingReplicated);
        progress::fail_replication(&world.app, &lease, &copy.id, failure())
            .await
            .unwrap();
        let record = world.record(&copy.id).await;
        assert_eq!(record.status, ReplicationStatus::Fail);
        assert_eq!(record.trouble_message, failure().message);
        assert_eq!(world.copy_vault(&vault).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_destination_that_does_not_fit_is_refused_before_anything_is_promised() {
    on_each_database(async |mut world| {
        let (_, backup) = backed_up(&world).await;
        refused!(
            world.copy_to(&backup, to_west()).await,
            Error::RegionNotReplicable { .. }
        );
        let west = world.join_west();
        let elsewhere = Destination {
            project_id: world.project.clone(),
            ..to_west()
        };
        refused!(
            world.copy_to(&backup, elsewhere).await,
            Error::ProjectNotReplicable { .. }
        );
        let says = |vault: Result<Option<ExternalVault>, PeerError>| {
            *west.0.lock().unwrap() = vault;
        };
        says(Ok(None));
        refused!(
            world.copy_to(&backup, to_west()).await,
            Error::DestinationNotFound { .. }
        );
        says(Ok(Some(ExternalVault {
            takes_replicas: false,
            ..OneVault::FITTING
        })));
        refused!(
            world.copy_to(&backup, to_west()).await,
            Error::DestinationTakesNoReplicas
        );
        says(Ok(Some(ExternalVault {
            is_full: true,
            ..OneVault::FITTING
        })));
        refused!(
            world.copy_to(&backup, to_west()).await,
            Error::DestinationFull
        );
        says(never());
        refused!(
            world.copy_to(&backup, to_west()).await,
            Error::DestinationUnchecked { .. }
        );
        let mut tx = world.app.db.read().await.unwrap();
        assert!(tx.list_open_jobs().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn only_whole_backups_of_servers_are_copied() {
    on_each_database(async |mut world| {
        world.join_west();
        let (_, backup) = backed_up(&world).await;
        let child = world.children(&backup).await.remove(0);
        refused!(
            world.copy_to(&child.id, to_west()).await,
            Error::NotServerBackup
        );
        let volume = world.volume("d").await;
        let disks = world.disk_vault("disks", &[&volume]).await;
        let of_disk = world.backed_up(&disks).await.remove(0);
        refused!(
            world.copy_to(&of_disk.id, to_west()).await,
            Error::NotServerBackup
        );
        refused!(world.copy_vault(&disks).await, Error::ReplicationOfDisks);
        let copies = world.replication_vault().await;
        refused!(world.copy_vault(&copies).await, Error::VaultNotReplicable);
    })
    .await;
}

#[tokio::test]
async fn copies_of_one_server_go_one_after_the_other() {
    on_each_database(async |mut world| {
        world.join_west();
        let (vault, _) = backed_up(&world).await;
        world.backed_up(&vault).await;
        assert_eq!(world.copy_vault(&vault).await.unwrap(), 2);
        let mut turns = Vec::new();
        for _ in 0..2 {
            let (job, lease) = world.claim_some().await;
            let id = job.subject_id.parse().unwrap();
            let turn = progress::start_replication(&world.app, &lease, &id).await;
            turns.push(matches!(turn.unwrap(), ReplicationTurn::Now(_)));
        }
        turns.sort_unstable();
        assert_eq!(turns, [false, true]);
    })
    .await;
}

#[tokio::test]
async fn a_due_policy_copies_what_is_left_and_no_more() {
    on_each_database(async |mut world| {
        world.join_west();
        let (vault, backup) = backed_up(&world).await;
        let vault = world.get_vault(&vault).await.unwrap().vault;
        let mut new = replication_policy("to the west");
        new.definition.retention.newest = Some(3);
        let policy = world.try_policy(new).await.unwrap().policy;
        let run =
            async || replications::run_policy(&world.app, &policy, &vault, to_west(), "r").await;
        assert_eq!(run().await.unwrap(), 1);
        let copies = async || {
            let mut tx = world.app.db.read().await.unwrap();
            tx.replications_of_backups(std::slice::from_ref(&backup))
                .await
                .unwrap()
        };
        // It goes by the rules of the moment when it was begun.
        let copy = copies().await.remove(0);
        assert_eq!(copy.policy_id.as_ref(), Some(&policy.id));
        assert_eq!(copy.retention.unwrap().0, policy.rules.0.retention);
        assert_eq!(run().await.unwrap(), 0, "a copy is still on its way");
        world.run_jobs().await;
        assert_eq!(run().await.unwrap(), 0, "nothing is left");
    })
    .await;
}

#[tokio::test]
async fn a_vault_is_not_deleted_under_a_copy() {
    on_each_database(async |mut world| {
        world.join_west();
        let (vault, backup) = backed_up(&world).await;
        world.copy_to(&backup, to_west()).await.unwrap();
        let refusal = vaults::delete(&world.app, &world.caller, &world.project, &vault).await;
        refused!(refusal, Error::VaultBusy);
    })
    .await;
}

#[tokio::test]
async fn a_peer_shows_its_own_token_and_nothing_else_lets_it_in() {
    on_each_database(async |mut world| {
        world.join_west();
        world.west();
        for (region, token) in [(WEST, "wrong"), ("east", TOKEN), (WEST, "")] {
            let refusal = peers::authenticate(&world.app, region, token, "request");
            refused!(refusal, Error::Unauthenticated);
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_sees_and_fills_only_vaults_of_joined_projects() {
    on_each_database(async |mut world| {
        world.join_west();
        let vault = world.replication_vault().await;
        let plain = world.server_vault("gold", &[]).await;
        let west = world.west();
        let filter = VaultFilter::default();
        let page = Page::first(10);
        let (listed, _) = replicas::list_vaults(&world.app, &west, &world.project, &filter, &page)
            .await
            .unwrap();
        assert_eq!(listed.len(), 2);
        let (none, _) = replicas::list_vaults(&world.app, &west, &there(), &filter, &page)
            .await
            .unwrap();
        assert!(none.is_empty());

        let mut foreign = world.new_replica(&vault, 1);
        foreign.source_project_id = world.project.clone();
        refused!(
            replicas::begin(&world.app, &west, foreign).await,
            Error::ProjectNotReplicable { .. }
        );
        let into_plain = world.new_replica(&plain, 1);
        refused!(
            replicas::begin(&world.app, &west, into_plain).await,
            Error::DestinationTakesNoReplicas
        );
        let into_nothing = world.new_replica(&somewhere(), 1);
        refused!(
            replicas::begin(&world.app, &west, into_nothing).await,
            Error::DestinationNotFound { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn a_replica_is_begun_once_and_published_when_it_is_whole() {
    on_each_database(async |mut world| {
        world.join_west();
        let vault = world.replication_vault().await;
        let west = world.west();
        let new = world.new_replica(&vault, 1);
        let begun = replicas::begin(&world.app, &west, new.clone())
            .await
            .unwrap();
        let again = replicas::begin(&world.app, &west, new).await.unwrap();
        assert_eq!(begun, again);
        assert!(!begun.is_committed);
        // Another copy of the same server may arrive beside it.
        let other = world.new_replica(&vault, 2);
        replicas::begin(&world.app, &west, other).await.unwrap();

        let digest = DiskDigest {
            backup_id: begun.disks[0].backup_id.clone(),
            digest: [7; 32],
        };
        refused!(
            replicas::commit(&world.app, &west, &begun.backup_id, &[]).await,
            Error::Invalid { .. }
        );
        for _ in 0..2 {
            replicas::commit(
                &world.app,
                &west,
                &begun.backup_id,
                std::slice::from_ref(&digest),
            )
            .await
            .unwrap();
        }
        world.run_jobs().await;
        let state = replicas::state(&world.app, &west, &begun.backup_id).await;
        assert_eq!(state.unwrap().status, BackupStatus::Available);
        let row = world.backup(&begun.backup_id).await.unwrap();
        assert_eq!(row.image_type, ImageType::Replication);
        let copy = world.copy_to(&begun.backup_id, to_west()).await;
        refused!(copy, Error::BackupNotReplicable { .. });
    })
    .await;
}

#[tokio::test]
async fn what_a_peer_sends_that_has_lost_its_records_is_there_already() {
    on_each_database(async |mut world| {
        world.join_west();
        let vault = world.replication_vault().await;
        let west = world.west();
        let new = world.new_replica(&vault, 1);
        let begin = async |new| replicas::begin(&world.app, &west, new).await.unwrap();
        let under_way = begin(new.clone()).await;
        let forgotten = NewReplica {
            replication_id: ReplicationId::random(&*world.app.ids),
            ..new
        };
        assert_eq!(begin(forgotten.clone()).await, under_way);
        let digest = DiskDigest {
            backup_id: under_way.disks[0].backup_id.clone(),
            digest: [7; 32],
        };
        replicas::commit(&world.app, &west, &under_way.backup_id, &[digest])
            .await
            .unwrap();
        world.run_jobs().await;
        let again = begin(forgotten.clone()).await;
        assert_eq!(again.backup_id, under_way.backup_id);
        assert!(again.is_committed);
        // What was deleted there is sent again.
        backups::delete(
            &world.app,
            &world.caller,
            &world.project,
            &under_way.backup_id,
        )
        .await
        .unwrap();
        assert_ne!(begin(forgotten).await.backup_id, under_way.backup_id);
    })
    .await;
}

#[tokio::test]
async fn a_transfer_of_another_peer_is_unknown() {
    on_each_database(async |mut world| {
        world.join_west();
        let vault = world.replication_vault().await;
        let west = world.west();
        let new = world.new_replica(&vault, 1);
        let begun = replicas::begin(&world.app, &west, new).await.unwrap();
        let mut east = west;
        east.peer.region = "east".to_owned();
        refused!(
            replicas::state(&world.app, &east, &begun.backup_id).await,
            Error::BackupNotFound { .. }
        );
        refused!(
            replicas::commit(&world.app, &east, &begun.backup_id, &[]).await,
            Error::BackupNotFound { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn a_transfer_that_fell_silent_is_given_up() {
    on_each_database(async |mut world| {
        world.join_west();
        let vault = world.replication_vault().await;
        let new = world.new_replica(&vault, 1);
        let begun = replicas::begin(&world.app, &world.west(), new)
            .await
            .unwrap();
        let give_up = async || {
            replicas::give_up_silent(&world.app, world.app.now())
                .await
                .unwrap()
        };
        assert_eq!(give_up().await, 0);
        world
            .clock
            .advance(std::time::Duration::from_hours(15 * 24));
        assert_eq!(give_up().await, 1);
        let (job, _) = world.claim_some().await;
        assert_eq!(
            (job.kind, job.subject_id),
            (JobKind::ReceiveReplica, begun.backup_id.to_string())
        );
        let digests = replicas::digests(&world.app, &begun.backup_id).await;
        assert_eq!(digests.unwrap(), None, "the job can only fail it");
    })
    .await;
}

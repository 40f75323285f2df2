//! Guards of the rows behind vaults and backups: who comes second is told so by the database itself.

use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::*;

use super::on_each_database;
use crate::*;

const NOW: Timestamp = MockClock::START;

/// A project with one vault, one volume in it, and one checkpoint.
pub(super) struct Scene {
    pub(super) ids: SeededIds,
    pub(super) vault: Vault,
    volume: Volume,
    checkpoint: Checkpoint,
}

pub(super) async fn scene(tx: &mut Tx) -> Scene {
    let ids = SeededIds::default();
    let domain_id = DomainId::random(&ids);
    let project_id = ProjectId::random(&ids);
    tx.insert_domain(&Domain {
        id: domain_id.clone(),
        name: "d".to_owned(),
        created_at: NOW,
    })
    .await
    .unwrap();
    tx.insert_project(&Project {
        id: project_id.clone(),
        domain_id,
        name: "p".to_owned(),
        created_at: NOW,
    })
    .await
    .unwrap();
    let vault = vault(&ids, &project_id);
    tx.insert_vault(&vault).await.unwrap();
    let volume = Volume {
        id: VolumeId::random(&ids),
        project_id: project_id.clone(),
        name: "v".to_owned(),
        path: "/v".to_owned(),
        format: VolumeFormat::Raw,
        size_bytes: u64::MAX >> 1,
        version: 0,
        created_at: NOW,
    };
    tx.insert_volume(&volume).await.unwrap();
    let checkpoint = Checkpoint {
        id: CheckpointId::random(&ids),
        project_id,
        vault_id: vault.id.clone(),
        name: "c".to_owned(),
        description: String::new(),
        status: CheckpointStatus::Protecting,
        retention_days: -1,
        skipped_resources: JsonText(Vec::new()),
        created_at: NOW,
    };
    tx.insert_checkpoint(&checkpoint).await.unwrap();
    Scene {
        ids,
        vault,
        volume,
        checkpoint,
    }
}

fn vault(ids: &SeededIds, project_id: &ProjectId) -> Vault {
    Vault {
        id: VaultId::random(ids),
        project_id: project_id.clone(),
        user_id: UserId::random(ids),
        name: "v".to_owned(),
        description: None,
        object_type: ObjectType::Disk,
        protect_type: ProtectType::Backup,
        consistent_level: ConsistentLevel::Crash,
        cloud_type: CloudType::Public,
        charging_mode: ChargingMode::PostPaid,
        size_gb: 10,
        used_bytes: 0,
        status: VaultStatus::Available,
        auto_bind: false,
        auto_expand: true,
        bind_rules: Some(JsonText(vec![Tag {
            key: "k".to_owned(),
            value: "\u{6f22}\"'".to_owned(),
        }])),
        smn_notify: true,
        threshold: 80,
        locked: false,
        is_multi_az: false,
        demand_billing: false,
        backup_name_prefix: None,
        enterprise_project_id: "0".to_owned(),
        availability_zone: String::new(),
        sys_lock_source_service: String::new(),
        order_id: None,
        term_ends_at: None,
        version: 0,
        created_at: NOW,
        updated_at: NOW,
    }
}

impl Scene {
    pub(super) fn backup(&self) -> Backup {
        Backup {
            id: BackupId::random(&self.ids),
            project_id: self.vault.project_id.clone(),
            vault_id: self.vault.id.clone(),
            checkpoint_id: self.checkpoint.id.clone(),
            parent_id: None,
            resource_id: self.volume.id.clone().into(),
            resource_type: ResourceType::Volume,
            resource_name: "v".to_owned(),
            resource_size_gb: 1,
            name: "b".to_owned(),
            description: String::new(),
            status: BackupStatus::WaitingProtect,
            image_type: ImageType::Backup,
            incremental: false,
            auto_trigger: false,
            system_disk: false,
            progress: 0,
            point_id: None,
            size_bytes: 1,
            stored_bytes: 0,
            trouble: None,
            trouble_message: String::new(),
            created_at: NOW,
            updated_at: NOW,
            protected_at: None,
            expired_at: None,
            policy_id: None,
            retention: None,
            quiesce: None,
        }
    }
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let vault = tx.find_vault(&scene.vault.id).await.unwrap();
        assert_eq!(vault.as_ref(), Some(&scene.vault));
        let volume = tx.find_volume(&scene.volume.id).await.unwrap();
        assert_eq!(volume.as_ref(), Some(&scene.volume));
        let checkpoint = tx.find_checkpoint(&scene.checkpoint.id).await.unwrap();
        assert_eq!(checkpoint.as_ref(), Some(&scene.checkpoint));
        let backup = scene.backup();
        tx.insert_backup(&backup).await.unwrap();
        assert_eq!(tx.find_backup(&backup.id).await.unwrap(), Some(backup));
    })
    .await;
}

#[tokio::test]
async fn a_resource_has_one_active_backup() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let first = scene.backup();
        tx.insert_backup(&first).await.unwrap();
        tx.commit().await.unwrap();

        let mut tx = db.begin().await.unwrap();
        let error = tx.insert_backup(&scene.backup()).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error:?}");
        drop(tx);

        let mut tx = db.begin().await.unwrap();
        let (from, to) = ([BackupStatus::Protecting], BackupStatus::Available);
        assert!(!tx.move_backup(&first.id, &from, to, NOW).await.unwrap());
        let from = [BackupStatus::WaitingProtect, BackupStatus::Protecting];
        assert!(tx.move_backup(&first.id, &from, to, NOW).await.unwrap());
        tx.insert_backup(&scene.backup()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_vault_that_changed_since_it_was_read_is_not_overwritten() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let id = &scene.vault.id;
        let read = tx.lock_vault(id).await.unwrap().unwrap();
        assert_eq!(read.version, 1);
        assert!(!tx.update_vault(&scene.vault).await.unwrap());
        assert!(tx.update_vault(&read).await.unwrap());
        assert!(tx.lock_volume(&scene.volume.id).await.unwrap());
        let unknown = VolumeId::random(&scene.ids);
        assert!(!tx.lock_volume(&unknown).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_path_and_an_order_are_taken_once() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let order = VaultOrder {
            id: OrderId::random(&scene.ids),
            project_id: scene.vault.project_id.clone(),
            user_id: scene.vault.user_id.clone(),
            vault_id: scene.vault.id.clone(),
            kind: OrderKind::Create,
            request: "{}".to_owned(),
            status: OrderStatus::Waiting,
            created_at: NOW,
            decided_at: None,
        };
        tx.insert_order(&order).await.unwrap();
        assert!(
            tx.decide_order(&order.id, OrderStatus::Completed, NOW)
                .await
                .unwrap()
        );
        assert!(
            !tx.decide_order(&order.id, OrderStatus::Rejected, NOW)
                .await
                .unwrap()
        );
        tx.commit().await.unwrap();

        let mut tx = db.begin().await.unwrap();
        let same_path = Volume {
            id: VolumeId::random(&scene.ids),
            ..scene.volume
        };
        let error = tx.insert_volume(&same_path).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_list_parameter_may_hold_anything() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        let (known, unknown) = (scene.vault.id.clone(), VaultId::random(&scene.ids));
        assert!(tx.vaults_by_id(&[]).await.unwrap().is_empty());
        let found = tx
            .vaults_by_id(&[unknown, known.clone(), known])
            .await
            .unwrap();
        assert_eq!(found, std::slice::from_ref(&scene.vault));
        let many: Vec<_> = (0..5000).map(|_| VaultId::random(&scene.ids)).collect();
        assert!(tx.vaults_by_id(&many).await.unwrap().is_empty());
    })
    .await;
}

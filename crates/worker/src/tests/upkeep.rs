//! The loop that makes things happen by themselves, with a clock that a test moved.

use std::sync::Arc;
use std::time::Duration;

use strongroom_db::Db;
use strongroom_service::identity::{bootstrap, prepare_bootstrap};
use strongroom_service::inventory::{self, NewVolume};
use strongroom_service::peers::NoPeers;
use strongroom_service::policies::{self, Definition, NewPolicy};
use strongroom_service::resources::NewResource;
use strongroom_service::vaults::{self, Charging, NewVault};
use strongroom_service::{App, Caller, NoMachines, SecretSeal, Settings};
use strongroom_testkit::{MockClock, SeededIds, test_databases};
use strongroom_types::{
    CloudType, ConsistentLevel, JobKind, ObjectType, PolicyId, PolicyOperation, PolicyOrigin,
    ProjectId, ProtectType, ResourceType, RetentionTerms, Role, SystemIds, VolumeId,
};
use tokio_util::sync::CancellationToken;

use crate::{LocalDisks, LocalGuests, upkeep};

/// Far longer than a look takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

async fn installation(db: &Db, clock: &Arc<MockClock>) -> (App, Caller, ProjectId) {
    let app = App {
        db: db.clone(),
        clock: clock.clone(),
        ids: Arc::new(SeededIds::default()),
        disks: Arc::new(LocalDisks),
        guests: Arc::new(LocalGuests::new(Arc::new(SystemIds))),
        machines: Arc::new(NoMachines),
        peers: Arc::new(NoPeers),
        settings: Arc::new(Settings::default()),
        wake: Arc::default(),
        seal: Arc::new(SecretSeal::new(&[7; 32])),
    };
    let first = prepare_bootstrap(&app).await.unwrap().unwrap();
    assert!(bootstrap(&app, &first).await.unwrap());
    let caller = Caller {
        user_id: first.user_id,
        user_name: first.user_name,
        domain_id: first.domain_id,
        project_id: Some(first.project_id.clone()),
        role: Some(Role::Admin),
        request_id: String::new(),
    };
    (app, caller, first.project_id)
}

/// Backs up at three.
fn new_policy() -> NewPolicy {
    NewPolicy {
        name: "daily".to_owned(),
        operation_type: PolicyOperation::Backup,
        policy_type: PolicyOrigin::Custom,
        enabled: true,
        definition: Definition {
            text: "{}".to_owned(),
            retention: RetentionTerms::default(),
            full_interval: None,
            destination_region: None,
            destination_project_id: None,
            accelerate: false,
        },
        patterns: vec!["FREQ=DAILY;BYHOUR=3;BYMINUTE=0".to_owned()],
        start_window_minutes: None,
    }
}

fn new_vault(volume: VolumeId, policy: PolicyId) -> NewVault {
    NewVault {
        name: "vault".to_owned(),
        description: None,
        backup_name_prefix: None,
        object_type: ObjectType::Disk,
        protect_type: ProtectType::Backup,
        consistent_level: ConsistentLevel::Crash,
        cloud_type: CloudType::Public,
        size_gb: 10,
        charging: Charging::PostPaid,
        auto_bind: false,
        auto_expand: false,
        bind_rules: None,
        smn_notify: true,
        threshold: 80,
        locked: false,
        is_multi_az: false,
        demand_billing: false,
        enterprise_project_id: "0".to_owned(),
        availability_zone: String::new(),
        sys_lock_source_service: String::new(),
        tags: Vec::new(),
        resources: vec![NewResource {
            id: volume.into(),
            resource_type: ResourceType::Volume,
            name: None,
            exclude_volumes: None,
            include_volumes: None,
        }],
        backup_policy_id: Some(policy),
    }
}

#[tokio::test]
async fn a_policy_that_is_due_wakes_the_workers() {
    for database in test_databases().await {
        eprintln!("on {}", database.kind);
        let db = Db::open(&database.address).await.unwrap();
        let clock = Arc::new(MockClock::default());
        let (app, caller, project) = installation(&db, &clock).await;
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(1 << 20).unwrap();
        let new = NewVolume {
            id: None,
            name: "data".to_owned(),
            path: disk.path().to_str().unwrap().to_owned(),
            tags: Vec::new(),
        };
        let volume = inventory::add_volume(&app, &caller, &project, new).await;
        let policy = policies::create(&app, &caller, &project, new_policy()).await;
        let new = new_vault(volume.unwrap().volume.id, policy.unwrap().policy.id);
        vaults::create(&app, &caller, &project, new).await.unwrap();
        clock.advance(Duration::from_hours(3));

        let stop = CancellationToken::new();
        let upkeep = tokio::spawn(upkeep::run(app.clone(), stop.clone()));
        tokio::time::timeout(PATIENCE, app.wake.notified())
            .await
            .unwrap();
        stop.cancel();
        tokio::time::timeout(PATIENCE, upkeep)
            .await
            .unwrap()
            .unwrap();
        let jobs = db.read().await.unwrap().list_open_jobs().await.unwrap();
        let kinds: Vec<_> = jobs.iter().map(|job| job.kind).collect();
        assert_eq!(kinds, [JobKind::BackUp]);
        db.close().await;
    }
}

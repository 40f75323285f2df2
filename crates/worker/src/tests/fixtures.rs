//! An installation's rules without a server around them.

use std::sync::Arc;

use strongroom_db::Db;
use strongroom_service::identity::{bootstrap, prepare_bootstrap};
use strongroom_service::peers::NoPeers;
use strongroom_service::policies::{Definition, NewPolicy};
use strongroom_service::resources::NewResource;
use strongroom_service::vaults::{Charging, NewVault};
use strongroom_service::{App, Caller, Machines, SecretSeal, Settings};
use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::{
    CloudType, ConsistentLevel, ObjectType, PolicyOperation, PolicyOrigin, ProjectId, ProtectType,
    ResourceId, ResourceType, RetentionTerms, Role, SystemIds,
};

use crate::{LocalDisks, LocalGuests};

/// The rules over this database, whose disks and agents are this host's.
pub(super) fn app(db: Db, clock: &Arc<MockClock>, machines: Arc<dyn Machines>) -> App {
    App {
        db,
        clock: clock.clone(),
        ids: Arc::new(SeededIds::default()),
        disks: Arc::new(LocalDisks),
        guests: Arc::new(LocalGuests::new(Arc::new(SystemIds))),
        machines,
        peers: Arc::new(NoPeers),
        settings: Arc::new(Settings::default()),
        wake: Arc::default(),
        attachments_changed: Arc::default(),
        readers: Arc::default(),
        seal: Arc::new(SecretSeal::new(&[7; 32])),
    }
}

/// The first account, which may do everything in the first project.
pub(super) async fn administrator(app: &App) -> (Caller, ProjectId) {
    let first = prepare_bootstrap(app).await.unwrap().unwrap();
    assert!(bootstrap(app, &first).await.unwrap());
    let caller = Caller {
        user_id: first.user_id,
        user_name: first.user_name,
        domain_id: first.domain_id,
        project_id: Some(first.project_id.clone()),
        role: Some(Role::Admin),
        request_id: String::new(),
    };
    (caller, first.project_id)
}

/// A vault for one disk.
pub(super) fn vault(resource: ResourceId) -> NewVault {
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
        resources: vec![whole(resource, ResourceType::Volume)],
        backup_policy_id: None,
    }
}

/// A resource with all its disks.
pub(super) fn whole(id: ResourceId, resource_type: ResourceType) -> NewResource {
    NewResource {
        id,
        resource_type,
        name: None,
        exclude_volumes: None,
        include_volumes: None,
    }
}

/// Backs up at three.
pub(super) fn daily_policy() -> NewPolicy {
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

//! Policies and their application to vaults.

use std::time::Duration;

use strongroom_db::{PolicyFilter, VaultFilter};
use strongroom_types::{
    ObjectType, PolicyId, PolicyOperation, PolicyOrigin, ProjectId, ProtectType, RetentionTerms,
    Role, VaultId,
};

use super::{World, on_each_database, refused};
use crate::policies::{self, Definition, NewPolicy, PolicyChange, PolicyView, WindowChange};
use crate::vault_policies::{self, NewAssociation};
use crate::vaults::NewVault;
use crate::{Caller, Error, vaults};

pub(super) fn definition() -> Definition {
    Definition {
        text: "{}".to_owned(),
        retention: RetentionTerms::default(),
        full_interval: None,
        destination_region: None,
        destination_project_id: None,
        accelerate: false,
    }
}

fn to_region(region: &str) -> Definition {
    Definition {
        destination_region: Some(region.to_owned()),
        destination_project_id: Some("0".repeat(32)),
        ..definition()
    }
}

/// Backs up every day at three.
pub(super) fn backup_policy(name: &str) -> NewPolicy {
    NewPolicy {
        name: name.to_owned(),
        operation_type: PolicyOperation::Backup,
        policy_type: PolicyOrigin::Custom,
        enabled: true,
        definition: definition(),
        patterns: vec!["FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00".to_owned()],
        start_window_minutes: None,
    }
}

pub(super) fn replication_policy(name: &str) -> NewPolicy {
    NewPolicy {
        operation_type: PolicyOperation::Replication,
        definition: to_region("far-away"),
        ..backup_policy(name)
    }
}

pub(super) fn instead(policy: &PolicyId) -> NewAssociation {
    NewAssociation {
        policy_id: Some(policy.clone()),
        ..NewAssociation::default()
    }
}

pub(super) fn beside(policies: Vec<PolicyId>) -> NewAssociation {
    NewAssociation {
        add_policy_ids: Some(policies),
        ..NewAssociation::default()
    }
}

/// A replication policy with the vault that its replicas go to.
pub(super) fn replicated(policy: &PolicyId, destination: Option<VaultId>) -> NewAssociation {
    NewAssociation {
        destination_vault_id: destination,
        ..instead(policy)
    }
}

impl World {
    pub(super) async fn try_policy(&self, new: NewPolicy) -> Result<PolicyView, Error> {
        self.clock.advance(Duration::from_secs(1));
        policies::create(&self.app, &self.caller, &self.project, new).await
    }

    pub(super) async fn policy(&self, new: NewPolicy) -> PolicyId {
        self.try_policy(new).await.unwrap().policy.id
    }

    pub(super) async fn change_policy(
        &self,
        id: &PolicyId,
        change: PolicyChange,
    ) -> Result<PolicyView, Error> {
        policies::update(&self.app, &self.caller, &self.project, id, change).await
    }

    pub(super) async fn apply(&self, vault: &VaultId, policy: &PolicyId) -> Result<(), Error> {
        self.associate(vault, instead(policy)).await
    }

    pub(super) async fn associate(
        &self,
        vault: &VaultId,
        new: NewAssociation,
    ) -> Result<(), Error> {
        vault_policies::associate(&self.app, &self.caller, &self.project, vault, new)
            .await
            .map(|_| ())
    }

    pub(super) async fn take_off(&self, vault: &VaultId, policy: &PolicyId) -> Result<(), Error> {
        vault_policies::dissociate(&self.app, &self.caller, &self.project, vault, policy).await
    }

    /// The names of the policies of a vault, newest first.
    async fn policies_of(&self, vault: &VaultId) -> Vec<String> {
        let filter = PolicyFilter {
            vault_id: Some(vault.clone()),
            operation_type: None,
        };
        let (views, count) = policies::list(
            &self.app,
            &self.caller,
            &self.project,
            &filter,
            &Self::everything(),
        )
        .await
        .unwrap();
        assert_eq!(count, views.len() as u64);
        views.into_iter().map(|view| view.policy.name).collect()
    }
}

#[tokio::test]
async fn a_policy_is_changed_in_parts_and_its_definition_as_a_whole() {
    on_each_database(|world| async move {
        let mut new = backup_policy("daily");
        new.definition.text = r#"{"max_backups":5}"#.to_owned();
        new.definition.retention.newest = Some(5);
        new.start_window_minutes = Some(60);
        let id = world.policy(new).await;
        let get = || async {
            let view = policies::get(&world.app, &world.caller, &world.project, &id).await;
            view.unwrap().policy
        };
        let before = get().await;

        let change = PolicyChange {
            name: Some("renamed".to_owned()),
            ..PolicyChange::default()
        };
        world.change_policy(&id, change).await.unwrap();
        let renamed = get().await;
        assert_eq!(renamed.name, "renamed");
        assert_eq!(renamed.definition, before.definition);
        assert_eq!(renamed.schedule, before.schedule);
        assert_eq!(renamed.start_window_minutes, Some(60));
        assert_eq!(renamed.schedule_since, before.schedule_since);

        let change = PolicyChange {
            definition: Some(definition()),
            patterns: Some(vec!["FREQ=WEEKLY;BYDAY=MO;BYHOUR=1;BYMINUTE=30".to_owned()]),
            start_window: WindowChange::Remove,
            ..PolicyChange::default()
        };
        world.clock.advance(Duration::from_mins(1));
        world.change_policy(&id, change).await.unwrap();
        let changed = get().await;
        assert_eq!(changed.definition, "{}");
        assert_eq!(changed.rules.0.retention.newest(), None);
        assert_eq!(changed.start_window_minutes, None);
        assert_eq!(changed.schedule_since, world.app.now());
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_kept_is_refused() {
    on_each_database(|world| async move {
        let mut cases = Vec::new();
        let mut case = |change: fn(&mut NewPolicy)| {
            let mut new = backup_policy("bad");
            change(&mut new);
            cases.push(new);
        };
        case(|new| new.patterns.clear());
        case(|new| {
            let too_close = "FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=59";
            new.patterns.push(too_close.to_owned());
        });
        case(|new| new.patterns = vec!["FREQ=HOURLY".to_owned()]);
        case(|new| new.start_window_minutes = Some(59));
        case(|new| new.definition = to_region("far-away"));
        case(|new| new.operation_type = PolicyOperation::Replication);
        case(|new| {
            new.operation_type = PolicyOperation::Replication;
            new.definition = to_region("region-1");
        });
        case(|new| {
            new.definition.retention.days = Some(7);
            new.definition.retention.newest = Some(7);
        });
        case(|new| new.definition.retention.of_weeks = 1);
        for new in cases {
            refused!(world.try_policy(new).await, Error::Invalid { .. });
        }
    })
    .await;
}

#[tokio::test]
async fn a_project_has_32_policies_of_each_kind() {
    on_each_database(|world| async move {
        for number in 0..32 {
            world.policy(backup_policy(&format!("b{number}"))).await;
        }
        let one_more = world.try_policy(backup_policy("more")).await;
        refused!(one_more, Error::TooManyPolicies { max: 32, .. });
        let id = world.policy(replication_policy("other")).await;
        policies::delete(&world.app, &world.caller, &world.project, &id)
            .await
            .unwrap();
        let found = policies::get(&world.app, &world.caller, &world.project, &id).await;
        refused!(found, Error::PolicyNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn operators_change_policies_and_backup_users_only_apply_them() {
    on_each_database(|world| async move {
        let id = world.policy(backup_policy("daily")).await;
        let vault = world.server_vault("vault", &[]).await;
        let act = |role: Role| {
            let caller = Caller {
                role: Some(role),
                ..world.caller.clone()
            };
            let (app, project, id, vault) = (&world.app, &world.project, &id, &vault);
            async move {
                let made = policies::create(app, &caller, project, backup_policy("p")).await;
                let changed =
                    policies::update(app, &caller, project, id, PolicyChange::default()).await;
                let new = instead(id);
                let applied = vault_policies::associate(app, &caller, project, vault, new).await;
                let shown = policies::get(app, &caller, project, id).await;
                (
                    made.is_ok(),
                    changed.is_ok(),
                    applied.is_ok(),
                    shown.is_ok(),
                )
            }
        };
        assert_eq!(act(Role::Operator).await, (true, true, true, true));
        assert_eq!(act(Role::BackupUser).await, (false, false, true, true));
        assert_eq!(act(Role::Reader).await, (false, false, false, true));
    })
    .await;
}

#[tokio::test]
async fn one_policy_of_a_kind_takes_the_place_of_the_other() {
    on_each_database(|world| async move {
        let daily = world.policy(backup_policy("daily")).await;
        let weekly = world.policy(backup_policy("weekly")).await;
        let away = world.policy(replication_policy("away")).await;
        let vault = world.server_vault("vault", &[]).await;
        world.apply(&vault, &daily).await.unwrap();
        let far = VaultId::random(&*world.app.ids);
        let new = replicated(&away, Some(far.clone()));
        world.associate(&vault, new).await.unwrap();
        assert_eq!(world.policies_of(&vault).await, ["away", "daily"]);
        world.apply(&vault, &weekly).await.unwrap();
        assert_eq!(world.policies_of(&vault).await, ["away", "weekly"]);

        let both = beside(vec![daily.clone(), weekly.clone()]);
        world.associate(&vault, both).await.unwrap();
        assert_eq!(world.policies_of(&vault).await, ["away", "weekly", "daily"]);
        let view = policies::get(&world.app, &world.caller, &world.project, &away).await;
        assert_eq!(view.unwrap().vaults[0].destination_vault_id, Some(far));

        let filter = VaultFilter {
            policy_id: Some(daily.clone()),
            ..VaultFilter::default()
        };
        let listed = || async {
            let page = World::everything();
            vaults::list(&world.app, &world.caller, &world.project, &filter, &page)
                .await
                .unwrap()
                .1
        };
        assert_eq!(listed().await, 1);
        world.take_off(&vault, &daily).await.unwrap();
        assert_eq!(listed().await, 0);
        let again = world.take_off(&vault, &daily).await;
        refused!(again, Error::PolicyNotApplied { .. });
    })
    .await;
}

#[tokio::test]
async fn a_vault_has_at_most_ten_policies_of_a_kind() {
    on_each_database(|world| async move {
        let mut ids = Vec::new();
        for number in 0..11 {
            ids.push(world.policy(backup_policy(&format!("b{number}"))).await);
        }
        let vault = world.server_vault("vault", &[]).await;
        let last = ids.pop().unwrap();
        world.associate(&vault, beside(ids)).await.unwrap();
        let eleven = world.associate(&vault, beside(vec![last.clone()])).await;
        refused!(eleven, Error::Invalid { .. });
        world.apply(&vault, &last).await.unwrap();
        assert_eq!(world.policies_of(&vault).await, ["b10"]);
    })
    .await;
}

#[tokio::test]
async fn policies_and_vaults_must_fit() {
    on_each_database(|world| async move {
        let daily = world.policy(backup_policy("daily")).await;
        let away = world.policy(replication_policy("away")).await;
        let servers = world.server_vault("servers", &[]).await;
        let disks = world.disk_vault("disks", &[]).await;
        let replicas = NewVault {
            protect_type: ProtectType::Replication,
            ..World::new_vault("replicas", ObjectType::Server)
        };
        let replicas = world.vault_of(replicas).await.vault.id;
        let to = |vault: VaultId, destination: Option<VaultId>| {
            let new = replicated(&away, destination);
            let world = &world;
            async move { world.associate(&vault, new).await }
        };
        let far = Some(VaultId::random(&*world.app.ids));
        refused!(
            world.apply(&replicas, &daily).await,
            Error::PolicyDoesNotFit { .. }
        );
        refused!(
            to(replicas.clone(), far.clone()).await,
            Error::VaultNotReplicable
        );
        refused!(to(disks.clone(), far).await, Error::ReplicationOfDisks);
        refused!(to(servers.clone(), None).await, Error::Invalid { .. });
        refused!(
            to(servers.clone(), Some(replicas)).await,
            Error::DestinationNotFound { .. }
        );
        let unknown = PolicyId::random(&*world.app.ids);
        refused!(
            world.apply(&servers, &unknown).await,
            Error::PolicyNotFound { .. }
        );
        let with_policy = |policy: PolicyId| NewVault {
            backup_policy_id: Some(policy),
            ..World::new_vault("born", ObjectType::Disk)
        };
        refused!(
            world.create(with_policy(unknown)).await,
            Error::PolicyNotFound { .. }
        );
        refused!(
            world.create(with_policy(away.clone())).await,
            Error::PolicyDoesNotFit { .. }
        );
        let born = world.vault_of(with_policy(daily)).await.vault.id;
        assert_eq!(world.policies_of(&born).await, ["daily"]);
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_is_deleted_leaves_its_vaults_and_a_vault_its_policies() {
    on_each_database(|world| async move {
        let daily = world.policy(backup_policy("daily")).await;
        let kept = world.server_vault("kept", &[]).await;
        let gone = world.server_vault("gone", &[]).await;
        world.apply(&kept, &daily).await.unwrap();
        world.apply(&gone, &daily).await.unwrap();
        vaults::delete(&world.app, &world.caller, &world.project, &gone)
            .await
            .unwrap();
        let other = world.policy(backup_policy("other")).await;
        refused!(world.apply(&gone, &other).await, Error::VaultState { .. });
        world.run_jobs().await;
        let view = policies::get(&world.app, &world.caller, &world.project, &daily).await;
        assert_eq!(view.unwrap().vaults.len(), 1);
        policies::delete(&world.app, &world.caller, &world.project, &daily)
            .await
            .unwrap();
        assert!(world.policies_of(&kept).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_region_of_a_policy_that_is_applied_cannot_change() {
    on_each_database(|world| async move {
        let away = world.policy(replication_policy("away")).await;
        let to = |region: &str| PolicyChange {
            definition: Some(to_region(region)),
            ..PolicyChange::default()
        };
        world.change_policy(&away, to("farther")).await.unwrap();
        let vault = world.server_vault("vault", &[]).await;
        let far = Some(VaultId::random(&*world.app.ids));
        world
            .associate(&vault, replicated(&away, far))
            .await
            .unwrap();
        refused!(
            world.change_policy(&away, to("far-away")).await,
            Error::DestinationInUse
        );
        world.change_policy(&away, to("farther")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_policy_of_another_project_is_unknown() {
    on_each_database(|world| async move {
        let id = world.policy(backup_policy("daily")).await;
        let other = ProjectId::random(&*world.app.ids);
        let found = policies::get(&world.app, &world.caller, &other, &id).await;
        refused!(found, Error::PolicyNotFound { .. });
        let made = policies::create(&world.app, &world.caller, &other, backup_policy("p")).await;
        refused!(made, Error::ProjectNotFound { .. });
    })
    .await;
}

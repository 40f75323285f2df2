use std::time::Duration;

use strongroom_db::Tag;
use strongroom_types::{
    CloudType, ConsistentLevel, GIB, ObjectType, PolicyId, ProjectId, ProtectType, Role, VaultId,
    VaultStatus,
};

use super::world::{STORED, protect_server};
use super::{World, on_each_database, refused};
use crate::vaults::{self, NewVault, VaultChange};
use crate::{Caller, Error};

fn server_vault() -> NewVault {
    World::new_vault("vault", ObjectType::Server)
}

async fn update(world: &World, id: &VaultId, change: VaultChange) -> Result<(), Error> {
    vaults::update(&world.app, &world.caller, &world.project, id, change)
        .await
        .map(|_| ())
}

async fn delete(world: &World, id: &VaultId) -> Result<(), Error> {
    vaults::delete(&world.app, &world.caller, &world.project, id).await
}

/// Writes a vault's row behind the rules' back.
async fn set(world: &World, id: &VaultId, change: impl Fn(&mut strongroom_db::Vault)) {
    let mut tx = world.app.db.begin().await.unwrap();
    let mut vault = tx.lock_vault(id).await.unwrap().unwrap();
    change(&mut vault);
    assert!(tx.update_vault(&vault).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_vault_holds_its_resources_and_tags() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let tag = |key: &str, value: &str| Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let new = NewVault {
            resources: vec![protect_server(&web.server.id)],
            tags: vec![tag("team", "blue"), tag("env", "")],
            ..server_vault()
        };
        let created = world.vault_of(new).await;
        assert_eq!(created.allocated_gb, 30);
        assert_eq!(created.resources[0].name, "web");
        assert_eq!(created.tags, [tag("env", ""), tag("team", "blue")]);
        assert_eq!(created.vault.status, VaultStatus::Available);
        assert_eq!(created.vault.bind_rules, None);

        let found = world.get_vault(&created.vault.id).await.unwrap();
        assert_eq!(found.resources, created.resources);
        assert_eq!(found.tags, created.tags);
    })
    .await;
}

#[tokio::test]
async fn a_vault_of_another_project_is_unknown() {
    on_each_database(|world| async move {
        let id = world.server_vault("vault", &[]).await;
        let other = ProjectId::random(&*world.app.ids);
        let caller = Caller {
            project_id: Some(other.clone()),
            role: Some(Role::Operator),
            ..world.caller.clone()
        };
        let found = vaults::get(&world.app, &caller, &other, &id).await;
        refused!(found, Error::VaultNotFound { .. });
        let found = vaults::get(&world.app, &caller, &world.project, &id).await;
        refused!(found, Error::Forbidden);
        // An administrator may act everywhere, but not in a project that does not exist.
        let made = vaults::create(&world.app, &world.caller, &other, server_vault()).await;
        refused!(made, Error::ProjectNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    on_each_database(|world| async move {
        let create = |set: fn(&mut NewVault)| {
            let mut new = server_vault();
            set(&mut new);
            world.create(new)
        };
        let not_offered: [fn(&mut NewVault); 6] = [
            |new| new.object_type = ObjectType::Turbo,
            |new| new.object_type = ObjectType::Rds,
            |new| new.object_type = ObjectType::Vmware,
            |new| new.object_type = ObjectType::File,
            |new| new.protect_type = ProtectType::Hybrid,
            |new| new.cloud_type = CloudType::Hybrid,
        ];
        for set in not_offered {
            refused!(create(set).await, Error::VaultTypeNotOffered { .. });
        }
        let sizes: [fn(&mut NewVault); 4] = [
            |new| new.size_gb = 0,
            |new| new.size_gb = 9,
            |new| new.size_gb = 10_485_761,
            |new| new.size_gb = u64::MAX,
        ];
        for set in sizes {
            refused!(create(set).await, Error::VaultSize { .. });
        }
        let contradictions: [fn(&mut NewVault); 7] = [
            |new| new.demand_billing = true,
            |new| new.is_multi_az = true,
            |new| new.threshold = 0,
            |new| new.threshold = 101,
            |new| new.description = Some("<b>".to_owned()),
            |new| new.description = Some("d".repeat(256)),
            |new| {
                new.object_type = ObjectType::Disk;
                new.consistent_level = ConsistentLevel::App;
            },
        ];
        for set in contradictions {
            refused!(create(set).await, Error::Invalid { .. });
        }
    })
    .await;
}

#[tokio::test]
async fn tags_are_few_and_unique_and_policies_unknown() {
    on_each_database(|world| async move {
        let tagged = |keys: &[&str]| {
            let tag = |key: &&str| Tag {
                key: (*key).to_owned(),
                value: String::new(),
            };
            world.create(NewVault {
                tags: keys.iter().map(tag).collect(),
                ..server_vault()
            })
        };
        let eleven = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
        refused!(tagged(&eleven).await, Error::TooManyTags { max: 10 });
        refused!(tagged(&["a", "a"]).await, Error::Invalid { .. });
        tagged(&eleven[..10]).await.unwrap();

        let policy = PolicyId::random(&*world.app.ids);
        let new = NewVault {
            backup_policy_id: Some(policy),
            ..server_vault()
        };
        refused!(world.create(new).await, Error::PolicyNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn a_replication_vault_starts_empty_and_takes_nothing() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let replicas = NewVault {
            protect_type: ProtectType::Replication,
            ..server_vault()
        };
        let resources = vec![protect_server(&web.server.id)];
        let made = world
            .create(NewVault {
                resources,
                ..replicas.clone()
            })
            .await;
        refused!(made, Error::VaultTakesNoResources);
        let id = world.vault_of(replicas).await.vault.id;
        let added = world.add(&id, vec![protect_server(&web.server.id)]).await;
        refused!(added, Error::VaultTakesNoResources);
        let run = world.back_up(World::new_checkpoint(&id)).await;
        refused!(run, Error::VaultCannotBackUp);
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    on_each_database(|world| async move {
        let id = world.server_vault("vault", &[]).await;
        let change = VaultChange {
            name: Some("renamed".to_owned()),
            size_gb: Some(1),
            consistent_level: Some(ConsistentLevel::App),
            auto_expand: Some(true),
            bind_rules: Some(Vec::new()),
            threshold: Some(50),
            locked: Some(true),
            ..VaultChange::default()
        };
        update(&world, &id, change).await.unwrap();
        let vault = world.get_vault(&id).await.unwrap().vault;
        assert_eq!(
            (vault.name.as_str(), vault.size_gb, vault.threshold),
            ("renamed", 1, 50)
        );
        assert_eq!(vault.consistent_level, ConsistentLevel::App);
        assert_eq!(vault.bind_rules.unwrap().0, []);
        assert!(vault.auto_expand && vault.locked && vault.smn_notify && !vault.auto_bind);
    })
    .await;
}

#[tokio::test]
async fn updates_that_break_a_rule_are_refused() {
    on_each_database(|world| async move {
        let id = world.server_vault("vault", &[]).await;
        set(&world, &id, |vault| {
            vault.locked = true;
            vault.used_bytes = 5 * GIB + 1;
        })
        .await;
        let unlock = VaultChange {
            locked: Some(false),
            ..VaultChange::default()
        };
        assert_eq!(
            update(&world, &id, unlock).await.unwrap_err().to_string(),
            "vault not support to modify locked attribute from true to false."
        );
        let resize = |size_gb| VaultChange {
            size_gb: Some(size_gb),
            ..VaultChange::default()
        };
        let too_small = update(&world, &id, resize(5)).await;
        refused!(too_small, Error::VaultNotChangeable { .. });
        update(&world, &id, resize(6)).await.unwrap();
        refused!(
            update(&world, &id, resize(0)).await,
            Error::VaultSize { .. }
        );

        let level = |level| VaultChange {
            consistent_level: Some(level),
            ..VaultChange::default()
        };
        let (crash, app) = (ConsistentLevel::Crash, ConsistentLevel::App);
        update(&world, &id, level(app)).await.unwrap();
        refused!(
            update(&world, &id, level(crash)).await,
            Error::Invalid { .. }
        );
        let disks = world.disk_vault("disks", &[]).await;
        refused!(
            update(&world, &disks, level(app)).await,
            Error::Invalid { .. }
        );

        set(&world, &id, |vault| vault.status = VaultStatus::Deleting).await;
        let changed = update(&world, &id, VaultChange::default()).await;
        refused!(
            changed,
            Error::VaultState {
                status: VaultStatus::Deleting
            }
        );
    })
    .await;
}

#[tokio::test]
async fn a_deleted_vault_shows_deleting_until_it_is_gone() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let id = world.server_vault("vault", &[&web]).await;
        world.backed_up(&id).await;
        assert_eq!(
            world.get_vault(&id).await.unwrap().vault.used_bytes,
            2 * STORED
        );

        delete(&world, &id).await.unwrap();
        let vault = world.get_vault(&id).await.unwrap().vault;
        assert_eq!(vault.status, VaultStatus::Deleting);
        refused!(delete(&world, &id).await, Error::VaultDeleting);
        world.run_jobs().await;
        refused!(world.get_vault(&id).await, Error::VaultNotFound { .. });
        super::state::assert_state(
            &world.state().await,
            "backup web success 100%
             vault_delete  success 100%",
        );
        // The server is free for another vault.
        world.server_vault("next", &[&web]).await;
    })
    .await;
}

#[tokio::test]
async fn a_vault_that_is_needed_cannot_be_deleted() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let id = world.server_vault("vault", &[&web]).await;
        world.back_up(World::new_checkpoint(&id)).await.unwrap();
        refused!(delete(&world, &id).await, Error::VaultBusy);
        world.run_jobs().await;

        let automatic = crate::checkpoints::NewCheckpoint {
            auto_trigger: true,
            ..World::new_checkpoint(&id)
        };
        world.back_up(automatic).await.unwrap();
        world.run_jobs().await;
        set(&world, &id, |vault| vault.locked = true).await;
        refused!(delete(&world, &id).await, Error::LockedBackups);

        set(&world, &id, |vault| {
            vault.locked = false;
            vault.status = VaultStatus::Frozen;
        })
        .await;
        refused!(delete(&world, &id).await, Error::VaultState { .. });
        set(&world, &id, |vault| vault.status = VaultStatus::Error).await;
        world.clock.advance(Duration::from_secs(1));
        delete(&world, &id).await.unwrap();
    })
    .await;
}

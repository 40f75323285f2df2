//! Vaults that take in by themselves what nobody protects.

use std::time::Duration;

use strongroom_db::{Attachment, Tag, Volume};
use strongroom_types::{
    BackupStatus, GIB, ObjectType, ResourceId, ServerId, VaultId, VolumeFormat, VolumeId,
};

use super::world::protect_server;
use super::{World, on_each_database, refused};
use crate::auto_bind::bind_unprotected;
use crate::resources::NewResource;
use crate::vaults::NewVault;
use crate::{Error, inventory};

fn tag(key: &str, value: &str) -> Tag {
    Tag {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

async fn vault(
    world: &World,
    name: &str,
    object_type: ObjectType,
    rules: Option<Vec<Tag>>,
) -> VaultId {
    let new = NewVault {
        auto_bind: true,
        bind_rules: rules,
        ..World::new_vault(name, object_type)
    };
    world.vault_of(new).await.vault.id
}

/// Names of what a vault protects, in the order in which it came.
async fn held(world: &World, vault: &VaultId) -> Vec<String> {
    let view = world.get_vault(vault).await.unwrap();
    let mut names: Vec<_> = view.resources.into_iter().map(|row| row.name).collect();
    names.sort();
    names
}

async fn set_tags(world: &World, id: ResourceId, tags: &[(&str, &str)]) {
    let tags = tags.iter().map(|(key, value)| tag(key, value)).collect();
    inventory::set_tags(&world.app, &world.caller, &world.project, &id, tags)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_vault_takes_in_what_nobody_protects_as_far_as_it_fits() {
    on_each_database(|world| async move {
        let mut servers = Vec::new();
        for (name, disks) in [("a", 4), ("b", 5), ("c", 7), ("d", 3)] {
            world.clock.advance(Duration::from_secs(1));
            servers.push(world.server(name, disks).await);
        }
        world.server_vault("other", &[&servers[0]]).await;
        // b has 90 GB, c 130, d 50: b and d fit into 200 GB, c does not any more.
        let auto = vault(&world, "auto", ObjectType::Server, None).await;
        assert_eq!(bind_unprotected(&world.app).await.unwrap(), 2);
        assert_eq!(held(&world, &auto).await, ["b", "d"]);
        assert_eq!(bind_unprotected(&world.app).await.unwrap(), 0);

        // Disks of protected servers are protected; the others may go to a vault for disks.
        world.volume("alone").await;
        let disks = vault(&world, "disks", ObjectType::Disk, None).await;
        bind_unprotected(&world.app).await.unwrap();
        let names = held(&world, &disks).await;
        assert!(names.contains(&"alone".to_owned()), "{names:?}");
        assert!(
            names
                .iter()
                .all(|name| name == "alone" || name.starts_with("c-disk")),
            "{names:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn rules_choose_by_any_of_their_tags() {
    on_each_database(|world| async move {
        let (web, db, dev) = (
            world.server("web", 1).await,
            world.server("db", 1).await,
            world.server("dev", 1).await,
        );
        set_tags(
            &world,
            web.server.id.clone().into(),
            &[("env", "prod"), ("team", "x")],
        )
        .await;
        set_tags(&world, db.server.id.clone().into(), &[("env", "live")]).await;
        set_tags(
            &world,
            dev.server.id.clone().into(),
            &[("env", "dev"), ("prod", "env")],
        )
        .await;
        let rules = vec![tag("env", "prod"), tag("tier", "gold")];
        let auto = vault(&world, "auto", ObjectType::Server, Some(rules)).await;
        bind_unprotected(&world.app).await.unwrap();
        assert_eq!(held(&world, &auto).await, ["web"]);
        set_tags(&world, db.server.id.clone().into(), &[("tier", "gold")]).await;
        bind_unprotected(&world.app).await.unwrap();
        assert_eq!(held(&world, &auto).await, ["db", "web"]);

        let unknown = ResourceId::from(VolumeId::random(&*world.app.ids));
        let tags = inventory::tags(&world.app, &world.caller, &world.project, &unknown).await;
        refused!(tags, Error::ResourceNotFound { .. });
        let id = dev.server.id.into();
        let twice = vec![tag("a", "1"), tag("a", "2")];
        let set = inventory::set_tags(&world.app, &world.caller, &world.project, &id, twice);
        refused!(set.await, Error::Invalid { .. });
    })
    .await;
}

#[tokio::test]
async fn a_backup_of_the_whole_vault_takes_in_first() {
    on_each_database(|world| async move {
        world.server("web", 1).await;
        let auto = vault(&world, "auto", ObjectType::Server, None).await;
        let backups = world.backed_up(&auto).await;
        assert_eq!(backups.len(), 1);
        assert_eq!(held(&world, &auto).await, ["web"]);
    })
    .await;
}

/// The server gets another disk of 20 GiB, at `/later/POSITION`.
async fn attach(world: &World, server: &ServerId, position: u64, id: &VolumeId) {
    let path = format!("/later/{position}");
    world.set_disk(&path, World::idle(20));
    let volume = Volume {
        id: id.clone(),
        project_id: world.project.clone(),
        name: format!("later-{position}"),
        path,
        format: VolumeFormat::Raw,
        size_bytes: 20 * GIB,
        version: 0,
        created_at: world.app.now(),
    };
    let attachment = Attachment {
        volume_id: id.clone(),
        server_id: server.clone(),
        position,
    };
    let mut tx = world.app.db.begin().await.unwrap();
    tx.insert_volume(&volume).await.unwrap();
    tx.insert_attachment(&attachment).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_outgrows_its_vault_is_backed_up_and_leaves_room_for_less() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let new = NewVault {
            auto_bind: true,
            size_gb: 35,
            ..World::new_vault("auto", ObjectType::Server)
        };
        let auto = world.vault_of(new).await.vault.id;
        world.backed_up(&auto).await;
        let allocated = async || world.get_vault(&auto).await.unwrap().allocated_gb;
        assert_eq!(allocated().await, 10);
        for position in 1..=2 {
            let id = VolumeId::random(&*world.app.ids);
            attach(&world, &web.server.id, position, &id).await;
            let backup = world.backed_up(&auto).await.remove(0);
            assert_eq!(backup.status, BackupStatus::Available);
            assert_eq!(allocated().await, 10 + 20 * position);
            // With 10 GiB it would have fitted beside the server as it was bound.
            world.server(&format!("db-{position}"), 1).await;
            assert_eq!(bind_unprotected(&world.app).await.unwrap(), 0);
        }
        assert_eq!(held(&world, &auto).await, ["web"]);
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_a_server_gets_later_joins_unless_it_is_excluded() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let (joins, excluded) = (
            VolumeId::random(&*world.app.ids),
            VolumeId::random(&*world.app.ids),
        );
        let vault = world.server_vault("vault", &[]).await;
        let protected = NewResource {
            exclude_volumes: Some(vec![excluded.clone()]),
            ..protect_server(&web.server.id)
        };
        world.add(&vault, vec![protected]).await.unwrap();
        attach(&world, &web.server.id, 1, &joins).await;
        attach(&world, &web.server.id, 2, &excluded).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let disks = world.children(&backup.id).await;
        let disks: Vec<_> = disks
            .iter()
            .map(|disk| disk.resource_name.as_str())
            .collect();
        assert_eq!(disks, ["web-disk-0", "later-1"]);
        let view = world.get_vault(&vault).await.unwrap();
        assert_eq!((view.resources[0].size_gb, view.allocated_gb), (30, 30));
    })
    .await;
}

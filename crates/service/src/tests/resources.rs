use strongroom_db::{IncludedVolume, JsonText};
use strongroom_types::{ResourceId, ResourceType, ServerId, VaultId};

use super::world::{protect_server, protect_volume};
use super::{World, on_each_database, refused};
use crate::resources::{self, NewResource};
use crate::vaults::VaultChange;
use crate::{App, Error, Settings, vaults};

async fn remove(world: &World, vault: &VaultId, ids: &[&ResourceId]) -> Result<(), Error> {
    let ids = ids.iter().map(|id| (*id).clone()).collect();
    resources::remove(&world.app, &world.caller, &world.project, vault, ids)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn resources_must_exist_fit_and_be_free() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let data = world.volume("data").await;
        let vault = world.server_vault("servers", &[]).await;
        let disks = world.disk_vault("disks", &[]).await;

        let server = protect_server(&web.server.id);
        let unknown = protect_server(&ServerId::random(&*world.app.ids));
        let added = world
            .add(&vault, vec![server.clone(), unknown.clone()])
            .await;
        let message = added.unwrap_err().to_string();
        assert!(message.contains(unknown.id.as_str()), "{message}");
        assert_eq!(world.get_vault(&vault).await.unwrap().resources, []);

        let added = world.add(&vault, vec![protect_volume(&data)]).await;
        refused!(added, Error::WrongResourceType { .. });
        let added = world.add(&disks, vec![server.clone()]).await;
        refused!(added, Error::WrongResourceType { .. });
        let wrong = NewResource {
            resource_type: ResourceType::Turbo,
            ..server.clone()
        };
        refused!(
            world.add(&vault, vec![wrong]).await,
            Error::WrongResourceType { .. }
        );
        let added = world
            .add(&vault, vec![server.clone(), server.clone()])
            .await;
        refused!(added, Error::DuplicateResource { .. });
        // A volume's id is no server.
        let confused = NewResource {
            resource_type: ResourceType::Server,
            ..protect_volume(&data)
        };
        refused!(
            world.add(&vault, vec![confused]).await,
            Error::ResourceNotFound { .. }
        );

        world.add(&vault, vec![server.clone()]).await.unwrap();
        let other = world.server_vault("others", &[]).await;
        let added = world.add(&other, vec![server.clone()]).await;
        refused!(added, Error::ResourceInOtherVault { resource_id } if resource_id == server.id);
    })
    .await;
}

#[tokio::test]
async fn adding_again_replaces_the_exclusions() {
    on_each_database(|world| async move {
        let web = world.server("web", 3).await;
        let vault = world.server_vault("servers", &[&web]).await;
        let excluding = |disks: &[usize]| NewResource {
            exclude_volumes: Some(disks.iter().map(|n| web.volumes[*n].id.clone()).collect()),
            name: Some("front".to_owned()),
            ..protect_server(&web.server.id)
        };
        world.add(&vault, vec![excluding(&[1])]).await.unwrap();
        let view = world.get_vault(&vault).await.unwrap();
        assert_eq!(view.allocated_gb, 30);
        assert_eq!(view.resources[0].name, "front");
        assert_eq!(
            view.resources[0].exclude_volumes,
            Some(JsonText(vec![web.volumes[1].id.clone()]))
        );

        world.add(&vault, vec![excluding(&[])]).await.unwrap();
        assert_eq!(world.get_vault(&vault).await.unwrap().allocated_gb, 50);

        let only = NewResource {
            include_volumes: Some(vec![IncludedVolume {
                id: web.volumes[0].id.clone(),
                os_version: None,
            }]),
            ..protect_server(&web.server.id)
        };
        world.add(&vault, vec![only]).await.unwrap();
        assert_eq!(world.get_vault(&vault).await.unwrap().allocated_gb, 10);
    })
    .await;
}

#[tokio::test]
async fn no_disk_is_protected_twice() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let (system, data) = (&web.volumes[0].id, &web.volumes[1].id);
        let servers = world.server_vault("servers", &[&web]).await;
        let disks = world.disk_vault("disks", &[]).await;
        let added = world.add(&disks, vec![protect_volume(data)]).await;
        refused!(added, Error::ResourceInOtherVault { .. });

        // What the server leaves out may be protected on its own, and then cannot be taken back.
        let without_data = NewResource {
            exclude_volumes: Some(vec![data.clone()]),
            ..protect_server(&web.server.id)
        };
        world.add(&servers, vec![without_data.clone()]).await.unwrap();
        world.add(&disks, vec![protect_volume(data)]).await.unwrap();
        let added = world.add(&disks, vec![protect_volume(system)]).await;
        refused!(added, Error::ResourceInOtherVault { .. });
        let added = world.add(&servers, vec![protect_server(&web.server.id)]).await;
        refused!(added, Error::ResourceInOtherVault { resource_id } if resource_id == data.clone().into());
    })
    .await;
}

#[tokio::test]
async fn a_vault_has_room_for_so_many() {
    on_each_database(|world| async move {
        let (a, b) = (world.volume("a").await, world.volume("b").await);
        let vault = world.disk_vault("disks", &[&a]).await;
        let app = App {
            settings: Settings {
                resources_per_vault_max: 1,
                ..Settings::default()
            }
            .into(),
            ..world.app.clone()
        };
        let add = |id| {
            resources::add(
                &app,
                &world.caller,
                &world.project,
                &vault,
                vec![protect_volume(id)],
            )
        };
        refused!(add(&b).await, Error::TooManyResources { max: 1 });
        add(&a).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_removed_resource_leaves_with_its_backups() {
    on_each_database(|world| async move {
        let (web, mail) = (world.server("web", 2).await, world.server("mail", 1).await);
        let vault = world.server_vault("vault", &[&web, &mail]).await;
        world.backed_up(&vault).await;
        remove(&world, &vault, &[&web.server.id.clone().into()])
            .await
            .unwrap();
        let again = remove(&world, &vault, &[&web.server.id.clone().into()]).await;
        refused!(again, Error::ResourceBeingRemoved { .. });
        let added = world
            .add(&vault, vec![protect_server(&web.server.id)])
            .await;
        refused!(added, Error::ResourceBeingRemoved { .. });
        assert!(world.state().await.contains("web removing"));
        world.run_jobs().await;
        super::state::assert_state(
            &world.state().await.replace("mail mail", "mail"),
            "vault vault available 100 MB of 200 GB
             mail available 10 GB, 1 backups, 100 MB
             backup nightly of mail available full, checkpoint available; mail-disk-0 available
             backup mail success 100%
             backup web success 100%
             remove_resource web success 100%",
        );
    })
    .await;
}

#[tokio::test]
async fn removals_that_break_a_rule_are_refused() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let id = ResourceId::from(web.server.id.clone());
        let vault = world.server_vault("vault", &[&web]).await;
        let other = world.server_vault("other", &[]).await;
        refused!(
            remove(&world, &other, &[&id]).await,
            Error::ResourceNotInVault { .. }
        );
        refused!(
            remove(&world, &vault, &[&id, &id]).await,
            Error::DuplicateResource { .. }
        );
        assert!(world.state().await.contains("web available"));

        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        refused!(remove(&world, &vault, &[&id]).await, Error::VaultBusy);
        world.run_jobs().await;

        let lock = VaultChange {
            locked: Some(true),
            ..VaultChange::default()
        };
        vaults::update(&world.app, &world.caller, &world.project, &vault, lock)
            .await
            .unwrap();
        refused!(remove(&world, &vault, &[&id]).await, Error::VaultLocked);
    })
    .await;
}

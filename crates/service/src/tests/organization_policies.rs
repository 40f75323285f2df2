use std::time::Duration;

use strongroom_db::PolicyFilter;
use strongroom_types::{
    DeploymentStatus, ObjectType, OrganizationPolicyId, PolicyOperation, PolicyOrigin,
};

use super::policies::{backup_policy, definition, instead};
use super::policy_options::fail;
use super::{World, on_each_database, refused};
use crate::organization_policies::{
    self, NewOrganizationPolicy, OrganizationPolicyChange, OrganizationPolicyView,
};
use crate::policies::{self, PolicyChange, PolicyView};
use crate::{Error, identity, vault_policies};

fn nightly(effective_scope: &str) -> NewOrganizationPolicy {
    NewOrganizationPolicy {
        name: "for all".to_owned(),
        description: String::new(),
        effective_scope: effective_scope.to_owned(),
        policy_name: "nightly".to_owned(),
        operation_type: PolicyOperation::Backup,
        enabled: true,
        definition: definition(),
        patterns: vec!["FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00".to_owned()],
        start_window_minutes: None,
    }
}

async fn push(world: &World, new: NewOrganizationPolicy) -> Result<OrganizationPolicyView, Error> {
    organization_policies::create(&world.app, &world.caller, &world.project, new).await
}

async fn change(
    world: &World,
    id: &OrganizationPolicyId,
    change: OrganizationPolicyChange,
) -> Result<OrganizationPolicyView, Error> {
    let (app, caller, project) = (&world.app, &world.caller, &world.project);
    organization_policies::update(app, caller, project, id, change).await
}

async fn copies(world: &World) -> Vec<PolicyView> {
    let (filter, page) = (PolicyFilter::default(), World::everything());
    let listed = policies::list(&world.app, &world.caller, &world.project, &filter, &page).await;
    listed.unwrap().0
}

async fn statuses(world: &World, id: &OrganizationPolicyId) -> Vec<DeploymentStatus> {
    let (app, caller, project) = (&world.app, &world.caller, &world.project);
    let found = organization_policies::deployments(app, caller, project, id).await;
    found.unwrap().1.into_iter().map(|row| row.status).collect()
}

async fn status(world: &World, id: &OrganizationPolicyId) -> DeploymentStatus {
    let (app, caller, project) = (&world.app, &world.caller, &world.project);
    let found = organization_policies::get(app, caller, project, id).await;
    found.unwrap().status
}

#[tokio::test]
async fn every_project_gets_a_copy_and_new_ones_too() {
    on_each_database(async |world| {
        let other = world.other_project("other").await;
        let pushed = push(&world, nightly("")).await.unwrap();
        let id = &pushed.policy.id;
        assert_eq!(
            (pushed.status, pushed.domain_name.as_str()),
            (DeploymentStatus::Syncing, "default")
        );
        assert_eq!(copies(&other).await.len(), 0);
        world.run_jobs().await;
        assert_eq!(status(&world, id).await, DeploymentStatus::Available);
        for place in [&world, &other] {
            let copies = copies(place).await;
            assert_eq!(copies.len(), 1);
            let copy = &copies[0].policy;
            assert_eq!((copy.name.as_str(), copy.enabled), ("nightly", true));
            assert_eq!(copy.policy_type, PolicyOrigin::OrganizationV1);
        }

        let name = "later".to_owned();
        let later = identity::create_project(&world.app, &world.caller, name)
            .await
            .unwrap();
        assert_eq!(status(&world, id).await, DeploymentStatus::Syncing);
        world.run_jobs().await;
        assert_eq!(statuses(&world, id).await, [DeploymentStatus::Available; 3]);
        let mut tx = world.app.db.read().await.unwrap();
        let kind = PolicyOperation::Backup;
        assert_eq!(tx.count_policies(&later.id, kind).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_change_reaches_the_copies_and_a_deletion_takes_them_away() {
    on_each_database(async |world| {
        let id = push(&world, nightly("all")).await.unwrap().policy.id;
        world.run_jobs().await;
        let before = copies(&world).await.remove(0).policy;
        let vault = world
            .vault_of(World::new_vault("vault", ObjectType::Server))
            .await;
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let applied = instead(&before.id);
        vault_policies::associate(app, caller, project, &vault.vault.id, applied)
            .await
            .unwrap();
        world.clock.advance(Duration::from_secs(1));
        let weekly = OrganizationPolicyChange {
            description: Some("weekly now".to_owned()),
            policy: PolicyChange {
                name: Some("weekly".to_owned()),
                patterns: Some(vec![
                    "FREQ=WEEKLY;BYDAY=SU;BYHOUR=03;BYMINUTE=00".to_owned(),
                ]),
                ..PolicyChange::default()
            },
            ..OrganizationPolicyChange::default()
        };
        let changed = change(&world, &id, weekly).await.unwrap();
        assert_eq!(changed.status, DeploymentStatus::Updating);
        assert_eq!(changed.policy.description, "weekly now");
        world.run_jobs().await;
        let after = copies(&world).await.remove(0);
        assert_eq!(
            (after.policy.id.clone(), after.policy.name.as_str()),
            (before.id.clone(), "weekly")
        );
        assert_ne!(after.policy.schedule, before.schedule);
        assert!(after.policy.schedule_since > before.schedule_since);
        assert_eq!(after.vaults.len(), 1, "it stays applied");

        organization_policies::delete(app, caller, project, &id)
            .await
            .unwrap();
        refused!(
            organization_policies::get(app, caller, project, &id).await,
            Error::OrganizationPolicyNotFound
        );
        assert_eq!(copies(&world).await.len(), 1);
        world.run_jobs().await;
        assert_eq!(copies(&world).await.len(), 0);
        let mut tx = app.db.read().await.unwrap();
        assert_eq!(tx.find_organization_policy(&id).await.unwrap(), None);
        assert_eq!(tx.list_open_jobs().await.unwrap().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_narrower_scope_takes_the_copy_from_the_others() {
    on_each_database(async |world| {
        let other = world.other_project("other").await;
        let id = push(&world, nightly(" ALL ")).await.unwrap().policy.id;
        world.run_jobs().await;
        let narrower = OrganizationPolicyChange {
            effective_scope: Some(other.project.to_string()),
            ..OrganizationPolicyChange::default()
        };
        change(&world, &id, narrower).await.unwrap();
        world.run_jobs().await;
        assert_eq!(
            (copies(&world).await.len(), copies(&other).await.len()),
            (0, 1)
        );
        assert_eq!(statuses(&world, &id).await, [DeploymentStatus::Available]);
        // Only what is for all reaches a project that is new.
        let name = "later".to_owned();
        identity::create_project(&world.app, &world.caller, name)
            .await
            .unwrap();
        assert_eq!(statuses(&world, &id).await.len(), 1);
        for scope in ["everybody", &"0".repeat(32)] {
            refused!(push(&world, nightly(scope)).await, Error::Invalid { .. });
        }
    })
    .await;
}

#[tokio::test]
async fn a_project_that_is_full_shows_an_error_until_there_is_room() {
    on_each_database(async |world| {
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let other = world.other_project("other").await;
        let mut own = Vec::new();
        for n in 0..32 {
            let new = backup_policy(&format!("own-{n}"));
            own.push(
                policies::create(app, caller, project, new)
                    .await
                    .unwrap()
                    .policy
                    .id,
            );
        }
        let id = push(&world, nightly("")).await.unwrap().policy.id;
        world.run_jobs().await;
        assert_eq!(status(&world, &id).await, DeploymentStatus::Error);
        assert_eq!(copies(&other).await.len(), 1, "the others are served");
        policies::delete(app, caller, project, &own[0])
            .await
            .unwrap();
        change(&world, &id, OrganizationPolicyChange::default())
            .await
            .unwrap();
        world.run_jobs().await;
        assert_eq!(status(&world, &id).await, DeploymentStatus::Available);
    })
    .await;
}

#[tokio::test]
async fn projects_cannot_change_or_delete_their_copies() {
    on_each_database(async |world| {
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        push(&world, nightly("")).await.unwrap();
        world.run_jobs().await;
        let copy = copies(&world).await.remove(0).policy.id;
        let off = PolicyChange {
            enabled: Some(false),
            ..PolicyChange::default()
        };
        let changed = policies::update(app, caller, project, &copy, off).await;
        refused!(changed, Error::PolicyOfOrganization);
        refused!(
            world.choose(&copy, fail()).await,
            Error::PolicyOfOrganization
        );
        let deleted = policies::delete(app, caller, project, &copy).await;
        refused!(deleted, Error::PolicyOfOrganization);
        let tenant = crate::Caller {
            role: Some(strongroom_types::Role::Operator),
            ..caller.clone()
        };
        let pushed = organization_policies::create(app, &tenant, project, nightly("")).await;
        refused!(pushed, Error::Forbidden);
    })
    .await;
}

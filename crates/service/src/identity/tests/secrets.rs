use std::time::Duration;

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use strongroom_testkit::SeededIds;
use strongroom_types::Role;

use super::super::passwords::NOBODY;
use super::super::{Secret, bootstrap, prepare_bootstrap};
use super::on_each_installation;
use crate::{Action, SealBroken, SecretSeal};

#[test]
fn a_sealed_secret_opens_with_its_key_and_name_only() {
    let ids = SeededIds::default();
    let seal = SecretSeal::new(&[1; 32]);
    let sealed = seal.seal(&ids, "AK", "secret");
    assert_eq!(seal.open("AK", &sealed).unwrap().as_str(), "secret");
    assert_eq!(seal.open("OTHER", &sealed), Err(SealBroken));
    assert_eq!(
        SecretSeal::new(&[2; 32]).open("AK", &sealed),
        Err(SealBroken)
    );
    for at in 0..sealed.len() {
        let mut broken = sealed.clone();
        broken[at] ^= 1;
        assert_eq!(seal.open("AK", &broken), Err(SealBroken), "byte {at}");
        assert_eq!(seal.open("AK", &sealed[..at]), Err(SealBroken));
    }
    assert_ne!(seal.seal(&ids, "AK", "secret"), sealed);
}

#[test]
fn nobodys_password_costs_what_anybodys_does() {
    let nobody = PasswordHash::new(NOBODY).unwrap();
    let params = Params::try_from(&nobody).unwrap();
    assert_eq!(params.m_cost(), Params::DEFAULT.m_cost());
    assert_eq!(params.t_cost(), Params::DEFAULT.t_cost());
    assert_eq!(params.p_cost(), Params::DEFAULT.p_cost());
    assert_eq!(
        nobody.hash.unwrap().as_bytes().len(),
        Params::DEFAULT_OUTPUT_LEN
    );
}

#[test]
fn secrets_are_not_printed() {
    let text = format!(
        "{:?} {:?}",
        Secret::new("hush".into()),
        SecretSeal::new(&[1; 32])
    );
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn roles_contain_each_other_and_only_reading_is_for_all() {
    for action in Action::ALL {
        let permitted = |role| action.permits(role);
        assert!(permitted(Role::Admin));
        assert!(!permitted(Role::Reader) || permitted(Role::BackupUser));
        assert!(!permitted(Role::BackupUser) || permitted(Role::Operator));
        let verb = action.name().rsplit(':').next().unwrap();
        let reads = ["get", "list", "show", "query"]
            .iter()
            .any(|word| verb.starts_with(word));
        // What concerns more than one project.
        let ours = ["strongroom:", "cbr:organizationPolicies:"]
            .iter()
            .any(|start| action.name().starts_with(start));
        // Of what we added, proofs, attachments, what is known of backups and what is copied out belong to projects.
        let of_projects = [
            "strongroom:proofs:",
            "strongroom:attachments:",
            "strongroom:backups:",
        ];
        let is_of_projects = of_projects
            .iter()
            .any(|start| action.name().starts_with(start));
        let ours = ours && !is_of_projects;
        assert_eq!(permitted(Role::Reader), reads && !ours, "{action:?}");
        assert_eq!(permitted(Role::Operator), !ours, "{action:?}");
    }
}

#[test]
fn every_action_is_documented() {
    let page = include_str!("../../../../../docs/identity.md");
    for action in Action::ALL {
        let name = format!("`{}`", action.name());
        assert!(page.contains(&name), "docs/identity.md lacks {name}");
    }
}

#[tokio::test]
async fn the_first_start_happens_once() {
    on_each_installation(|it| async move {
        assert!(prepare_bootstrap(&it.app).await.unwrap().is_none());
        assert!(!bootstrap(&it.app, &it.first).await.unwrap());
        assert_eq!(it.first.project_name, "region-1");
        assert_eq!(it.first.region, "region-1");
        assert!(it.admin.is_admin());
        it.clock.advance(Duration::from_hours(48));
        // The password outlives the tokens.
        it.sign_in("admin").await;
    })
    .await;
}

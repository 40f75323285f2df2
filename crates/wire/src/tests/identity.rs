//! The sign-in bodies are those of real clients.

use crate::identity::{AuthRequest, KeystoneTime, Scope, SecretText};

fn parse(body: &str) -> AuthRequest {
    serde_json::from_str(body).unwrap()
}

#[test]
fn every_clients_sign_in_is_understood() {
    let openstack = parse(
        r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"password":"pw","name":"user","domain":{"name":"dom"}}}},
            "scope":{"project":{"name":"region-1","domain":{"name":"dom"}}}}}"#,
    );
    let user = openstack.auth.identity.password.unwrap().user;
    assert_eq!(user.name.as_deref(), Some("user"));
    assert_eq!(user.password, SecretText("pw".into()));
    let Some(Scope::Part(part)) = openstack.auth.scope else {
        panic!("a scope")
    };
    assert_eq!(part.project.unwrap().name.as_deref(), Some("region-1"));

    let terraform = parse(
        r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"dom"},"name":"user","password":"pw"}}},
            "scope":{"domain":{"name":"dom"}}}}"#,
    );
    assert!(matches!(terraform.auth.scope, Some(Scope::Part(part)) if part.domain.is_some()));

    let token = parse(
        r#"{"auth":{"identity":{"methods":["token"],"token":{"id":"mytoken"}},"scope":"unscoped"}}"#,
    );
    assert!(matches!(token.auth.scope, Some(Scope::Word(word)) if word == "unscoped"));
}

#[test]
fn secrets_are_not_printed() {
    let request = parse(
        r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"u","password":"hush"}}}}}"#,
    );
    assert!(!format!("{request:?}").contains("hush"));
}

#[test]
fn times_end_in_z() {
    let time = KeystoneTime(strongroom_types::Timestamp::from_seconds(0));
    assert_eq!(
        serde_json::to_string(&time).unwrap(),
        r#""1970-01-01T00:00:00.000000Z""#
    );
}

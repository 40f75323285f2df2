//! Shapes that strict clients decode: what is text, what is a number, what is null and what is absent.

use serde_json::{Value, json};
use strongroom_types::{ConsistentLevel, ObjectType, ProtectType, Timestamp};

use crate::resources::ResourceExtra;
use crate::tags::BindRules;
use crate::vaults::{CreateVaultAnswer, OrderAnswer, OrderResult};
use crate::{CbrTime, Code, ErrorBody, vocabulary};

#[test]
fn times_are_naive_and_read_in_every_spelling() {
    let time = CbrTime(Timestamp::from_seconds(1_517_486_400));
    assert_eq!(
        serde_json::to_value(time).unwrap(),
        json!("2018-02-01T12:00:00.000000")
    );
    let read: CbrTime = serde_json::from_value(json!("2018-02-01T12:00:00Z")).unwrap();
    assert_eq!(read, time);
    assert!(serde_json::from_value::<CbrTime>(json!("soon")).is_err());
}

#[test]
fn bind_rules_are_empty_or_emptied() {
    let never_set = BindRules { tags: None };
    let emptied = BindRules { tags: Some(vec![]) };
    assert_eq!(serde_json::to_value(never_set).unwrap(), json!({}));
    assert_eq!(serde_json::to_value(emptied).unwrap(), json!({"tags": []}));
}

#[test]
fn a_resource_without_exclusions_has_an_empty_object() {
    assert_eq!(
        serde_json::to_value(ResourceExtra::default()).unwrap(),
        json!({})
    );
}

#[test]
fn an_order_is_answered_as_billing_systems_do() {
    let answer = CreateVaultAnswer::Ordered(OrderAnswer {
        orders: vec![OrderResult {
            order_id: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
            resource_id: "ea7b8717-2543-478a-a92d-3ca7ee448f67".parse().unwrap(),
            cloud_service_id: "cbr".to_owned(),
            subscribe_result: 1,
        }],
        ret_code: 0,
        error_code: "0".to_owned(),
        err_text: "success".to_owned(),
    });
    let expected = json!({
        "orders": [{
            "orderId": "11111111-2222-4333-8444-555555555555",
            "resourceId": "ea7b8717-2543-478a-a92d-3ca7ee448f67",
            "cloudServiceId": "cbr",
            "subscribeResult": 1,
        }],
        "retCode": 0,
        "error_code": "0",
        "errText": "success",
    });
    assert_eq!(serde_json::to_value(answer).unwrap(), expected);
}

#[test]
fn spec_codes_follow_the_kind() {
    let code = |object, protect, level| vocabulary::spec_code(object, protect, level);
    let (app, crash) = (ConsistentLevel::App, ConsistentLevel::Crash);
    let backup = ProtectType::Backup;
    assert_eq!(
        code(ObjectType::Server, backup, crash),
        "vault.backup.server.normal"
    );
    assert_eq!(
        code(ObjectType::Server, backup, app),
        "vault.backup.database.normal"
    );
    assert_eq!(
        code(ObjectType::Disk, backup, crash),
        "vault.backup.volume.normal"
    );
    let replication = ProtectType::Replication;
    assert_eq!(
        code(ObjectType::Server, replication, crash),
        "vault.replication.server.normal"
    );
}

#[test]
fn an_error_has_two_fields_and_a_gateway_s_has_three() {
    let body = |request_id| ErrorBody {
        error_code: Code::VaultNotFound.as_str().to_owned(),
        error_msg: "x".to_owned(),
        request_id,
    };
    let two: Value = serde_json::to_value(body(None)).unwrap();
    assert_eq!(
        two,
        json!({"error_code": "BackupService.6105", "error_msg": "x"})
    );
    let three: Value = serde_json::to_value(body(Some("r".to_owned()))).unwrap();
    assert_eq!(three["request_id"], "r");
}

#[test]
fn codes_are_well_formed() {
    for code in Code::ALL {
        let (family, number) = code.as_str().split_once('.').unwrap();
        assert!(
            ["BackupService", "APIGW", "Strongroom"].contains(&family),
            "{code:?}"
        );
        assert!(
            number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()),
            "{code:?}"
        );
        assert!((400..=504).contains(&code.status()), "{code:?}");
        let sentence = code.message();
        assert!(
            sentence.ends_with('.') && sentence.starts_with(char::is_uppercase),
            "{code:?}"
        );
    }
}

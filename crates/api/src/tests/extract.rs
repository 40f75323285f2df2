use serde::Deserialize;
use strongroom_types::BackupStatus;
use strongroom_wire::backups::ListBackupsQuery;
use strongroom_wire::checkpoints::CreateCheckpointRequest;
use strongroom_wire::vault_requests::CreateVaultRequest;
use strongroom_wire::vaults::ListVaultsQuery;

use crate::extract::{parse_body, parse_query};

fn query_error(query: &str) -> String {
    parse_query::<ListBackupsQuery>(query).unwrap_err().message
}

fn body_error(body: &str) -> String {
    parse_body::<CreateVaultRequest>(body.as_bytes())
        .unwrap_err()
        .message
}

#[test]
fn repeated_parameters_are_a_list_or_the_first() {
    let query: ListBackupsQuery =
        parse_query("status=available&limit=5&status=error&limit=7").unwrap();
    assert_eq!(query.status, [BackupStatus::Available, BackupStatus::Error]);
    assert_eq!(query.limit.unwrap().get(), 5);
}

#[test]
fn unknown_parameters_are_ignored() {
    let query: ListVaultsQuery = parse_query("color=red&color=&offset=3&&=").unwrap();
    assert_eq!(query.name, None);
    assert_eq!(query.offset.unwrap().get(), 3);
}

#[test]
fn escapes_and_python_booleans_are_read() {
    let query: ListBackupsQuery =
        parse_query("name=a%20b+c&incremental=True&start_time=2018-02-01T12%3A00%3A00Z").unwrap();
    assert_eq!(query.name.unwrap().as_str(), "a b c");
    assert_eq!(query.incremental, Some(true));
    assert!(query.start_time.is_some());
}

#[test]
fn a_bad_parameter_is_named() {
    let cases = [
        (
            "limit=0",
            "Invalid limit provided: it must be from 1 to 1000.",
        ),
        (
            "limit=1001",
            "Invalid limit provided: it must be from 1 to 1000.",
        ),
        (
            "limit=many",
            "Invalid limit provided: it must be a whole number.",
        ),
        (
            "limit=99999999999999999999",
            "Invalid limit provided: it must be a whole number.",
        ),
        (
            "offset=-1",
            "Invalid offset provided: it must be from 0 to 9223372036854775807.",
        ),
        ("marker=x", "Invalid marker provided."),
        ("vault_id=", "Invalid vault_id provided."),
        ("status=gone", "Invalid status[0] provided."),
        (
            "incremental=maybe",
            "Invalid incremental provided: it must be true or false.",
        ),
        (
            "start_time=yesterday",
            "Invalid start_time provided: it must be a time of the form 2018-02-01T12:00:00Z.",
        ),
        ("own_type=mine", "Invalid own_type provided."),
        ("name=a%00b", "The query holds a NUL character."),
    ];
    for (query, message) in cases {
        assert_eq!(query_error(query), message, "{query}");
    }
}

#[test]
fn a_bad_field_is_named_and_its_value_is_not_repeated() {
    let billing = |billing: &str| {
        format!(r#"{{"vault": {{"name": "v", "resources": [], "billing": {billing}}}}}"#)
    };
    let cases = [
        (String::new(), "The request body is not valid JSON."),
        ("\u{1}".to_owned(), "The request body is not valid JSON."),
        ("[".repeat(1000), "The request body is not valid JSON."),
        (
            "[]".to_owned(),
            "Invalid body provided: it must be an object.",
        ),
        ("{}".to_owned(), "Invalid body provided: vault is missing."),
        (
            r#"{"vault": {"name": "a\u0000"}}"#.to_owned(),
            "The request body holds a NUL character.",
        ),
        (
            r#"{"vault": ["v", {}, []]}"#.to_owned(),
            "Invalid vault provided: it must be an object.",
        ),
        (
            r#"{"vault": 7}"#.to_owned(),
            "Invalid vault provided: it must be an object.",
        ),
        (
            r#"{"vault": {"name": 7}}"#.to_owned(),
            "Invalid name provided: it must be a string.",
        ),
        (
            billing(r#"{"size": "100"}"#),
            "Invalid billing.size provided: it must be a whole number.",
        ),
        (
            billing(r#"{"size": 1e3}"#),
            "Invalid billing.size provided: it must be a whole number.",
        ),
        (
            billing(r#"{"size": 9}"#),
            "Invalid billing.size provided: it must be from 10 to 10485760.",
        ),
        (
            billing(r#"{"object_type": "secret"}"#),
            "Invalid billing.object_type provided.",
        ),
        (
            billing("{}"),
            "Invalid billing provided: consistent_level is missing.",
        ),
    ];
    for (body, message) in cases {
        assert_eq!(body_error(&body), message, "{body}");
    }
    let body = br#"{"checkpoint": {"vault_id": "my_vault"}}"#;
    let error = parse_body::<CreateCheckpointRequest>(body).unwrap_err();
    assert_eq!(error.message, "Invalid vault_id provided.");
}

#[test]
fn unknown_fields_and_nulls_are_accepted() {
    let body =
        br#"{"vault": {"name": "v", "resources": [], "description": null, "color": {"red": 1},
        "billing": {"size": 10, "object_type": "disk", "protect_type": "backup",
        "consistent_level": "crash_consistent", "extra_info": null, "console_url": "x"}}, "x": 1}"#;
    let request: CreateVaultRequest = parse_body(body).unwrap();
    assert_eq!(request.vault.description, None);
}

#[test]
fn every_scalar_can_be_a_parameter() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct All {
        text: String,
        number: i64,
        flag: bool,
        maybe: Option<String>,
        #[serde(default)]
        list: Vec<i64>,
    }
    let all: All = parse_query("text=a&number=-4&flag=FALSE&list=1").unwrap_or_else(|error| {
        panic!("{}", error.message);
    });
    assert_eq!((all.number, all.flag, all.maybe), (-4, false, None));
}

use std::path::PathBuf;

use crate::{Error, Place};

#[test]
fn places_are_read_and_shown_as_users_write_them() {
    let s3 = |bucket: &str, prefix: &str| Place::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    };
    for (text, place, shown) in [
        ("/var/x", Place::Folder(PathBuf::from("/var/x")), "/var/x"),
        ("s3", Place::Folder(PathBuf::from("s3")), "s3"),
        ("s3://bucket", s3("bucket", ""), "s3://bucket/"),
        ("s3://bucket/", s3("bucket", ""), "s3://bucket/"),
        ("s3://b.x/a/b-c/", s3("b.x", "a/b-c"), "s3://b.x/a/b-c"),
    ] {
        let parsed = Place::parse(text).unwrap();
        assert_eq!(parsed, place);
        assert_eq!(parsed.to_string(), shown);
    }
}

#[test]
fn what_names_no_place_is_refused() {
    for text in [
        "",
        "s3://",
        "s3:///prefix",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/a b",
        "ftp://host/x",
        "http://host/x",
    ] {
        let refused = Place::parse(text);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{text}");
    }
}

#[test]
fn a_project_has_its_own_place_within_another() {
    let joined = |text| Place::parse(text).unwrap().join("p").to_string();
    assert_eq!(joined("/var/x"), "/var/x/p");
    assert_eq!(joined("s3://bucket"), "s3://bucket/p");
    assert_eq!(joined("s3://bucket/a/b"), "s3://bucket/a/b/p");
}

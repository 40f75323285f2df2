//! Addresses as text.

use crate::{Address, Error, Target};

fn tcp(host: &str, port: u16, export: &str) -> Target {
    Target {
        address: Address::Tcp(host.to_owned(), port),
        export: export.to_owned(),
    }
}

fn tls(host: &str, port: u16, export: &str, certificates: Option<&str>) -> Target {
    Target {
        address: Address::Tls {
            host: host.to_owned(),
            port,
            certificates: certificates.map(Into::into),
        },
        export: export.to_owned(),
    }
}

#[test]
fn uris_of_the_specification_are_understood() {
    let cases = [
        ("nbd://example.com/disk", tcp("example.com", 10809, "disk")),
        ("nbd://example.com/", tcp("example.com", 10809, "")),
        ("nbd://example.com", tcp("example.com", 10809, "")),
        (
            "nbd://example.com//disk",
            tcp("example.com", 10809, "/disk"),
        ),
        (
            "nbd://example.com/hello%20world",
            tcp("example.com", 10809, "hello world"),
        ),
        ("nbd://[::1]:1234/a", tcp("::1", 1234, "a")),
        (
            "nbds://example.com/disk",
            tls("example.com", 10809, "disk", None),
        ),
        (
            "nbds://example.com/disk?tls-certificates=/etc/a%20b",
            tls("example.com", 10809, "disk", Some("/etc/a b")),
        ),
        ("nbd://[::1]", tcp("::1", 10809, "")),
        ("nbd+unix:///disk?socket=sock", Target::unix("sock", "disk")),
        (
            "nbd+unix:///?socket=/run/a%20b",
            Target::unix("/run/a b", ""),
        ),
    ];
    for (text, target) in cases {
        assert_eq!(text.parse::<Target>().unwrap(), target, "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "disk.qcow2",
        "http://example.com/",
        "nbd://",
        "nbd:///disk",
        "nbd://host:port/",
        "nbd://[::1/",
        "nbd://[::1]x/",
        "nbd://user@host/",
        "nbd://host/?socket=s",
        "nbd://host/?tls-verify-peer=0",
        "nbd://host/#part",
        "nbd://host/%",
        "nbd://host/%+1",
        "nbd://host/%ff",
        "nbd://host/%00",
        "nbd+unix:///disk",
        "nbd+unix:///disk?socket=",
        "nbd+unix:///disk?socket=%00abstract",
        "nbd+unix:///disk?socket=a&socket=b",
        "nbd+unix://host/disk?socket=a",
        "nbds://user@host/",
        "nbds://host/?tls-certificates=",
        "nbds://host/?tls-certificates=etc",
        "nbds://host/?tls-certificates=/etc&tls-verify-peer=0",
        "nbds://host/?socket=s",
        "nbds+unix:///?socket=a",
    ] {
        let parsed = text.parse::<Target>();
        assert!(matches!(parsed, Err(Error::Address { .. })), "{text}");
    }
}

#[test]
fn an_address_as_text_is_the_same_address() {
    let targets = [
        tcp("host", 1, "größe/?&#% x"),
        tcp("::1", 10809, ""),
        tls("::1", 10810, "x", None),
        tls("host", 10810, "", Some("/etc/a b&c")),
        Target::unix("/run/a b&c?d", "/x"),
    ];
    for target in targets {
        let text = target.to_string();
        assert_eq!(text.parse::<Target>().unwrap(), target, "{text}");
    }
}

//! Vectors are requests that real clients signed with well-known keys; everything else is derived from them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;
use strongroom_types::Timestamp;

use crate::signing::{Authorization, Request, SKEW_MAX, SignatureError, sign, verify};

#[derive(Debug, Clone, Deserialize)]
struct Vector {
    client: String,
    secret: String,
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    authorization: String,
    body: String,
}

impl Vector {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("signatures.json")).unwrap()
    }

    /// A request with an escaped slash, from the Python SDK.
    fn python() -> Self {
        Self::all().pop().unwrap()
    }

    /// One with a body in the scoped layout.
    fn scoped() -> Self {
        Self::all()
            .into_iter()
            .find(|vector| vector.client == "go" && vector.method == "POST")
            .unwrap()
    }

    fn signed_at(&self) -> Timestamp {
        Timestamp::from_compact(&self.headers["x-sdk-date"]).unwrap()
    }

    fn check(&self) -> Result<(), SignatureError> {
        self.check_at(self.signed_at())
    }

    fn check_at(&self, now: Timestamp) -> Result<(), SignatureError> {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: self.body.as_bytes(),
        };
        verify(
            &Authorization::parse(&self.authorization)?,
            &request,
            &self.secret,
            now,
        )
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

#[test]
fn every_clients_signature_verifies() {
    let vectors = Vector::all();
    for client in ["python", "go", "terraform"] {
        assert!(vectors.iter().any(|vector| vector.client == client));
    }
    for vector in vectors {
        assert_eq!(vector.check(), Ok(()), "{vector:?}");
    }
}

#[test]
fn whatever_is_signed_cannot_be_changed() {
    for vector in [Vector::python(), Vector::scoped()] {
        let changes: [fn(&mut Vector); 6] = [
            |v| v.method = "PATCH".into(),
            |v| v.path.push('x'),
            |v| v.query.push_str("a=b"),
            |v| v.body.push(' '),
            |v| v.secret.push('x'),
            |v| {
                let accept = v.headers.entry("host".into()).or_default();
                accept.push('1');
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let outcome = vector.clone().with(change).check();
            assert_eq!(outcome, Err(SignatureError::Mismatch), "change {number}");
        }
    }
}

#[test]
fn a_request_is_good_for_fifteen_minutes_either_way() {
    let vector = Vector::python();
    let signed_at = vector.signed_at();
    let late = SKEW_MAX + Duration::from_secs(1);
    for now in [signed_at.plus(SKEW_MAX), signed_at.minus(SKEW_MAX)] {
        assert_eq!(vector.check_at(now), Ok(()));
    }
    for now in [signed_at.plus(late), signed_at.minus(late)] {
        assert_eq!(vector.check_at(now), Err(SignatureError::Skewed));
    }
}

#[test]
fn the_scopes_day_is_the_requests_day() {
    let vector = Vector::scoped().with(|v| {
        v.authorization = v.authorization.replace("/20261123/", "/20261122/");
    });
    assert!(matches!(vector.check(), Err(SignatureError::Malformed(_))));
}

#[test]
fn unsigned_headers_may_change_and_missing_signed_ones_may_not() {
    let extra = Vector::python().with(|v| {
        v.headers.insert("via".into(), "proxy".into());
    });
    assert_eq!(extra.check(), Ok(()));
    let missing = Vector::python().with(|v| {
        v.headers.remove("host");
    });
    assert_eq!(
        missing.check(),
        Err(SignatureError::HeaderMissing("host".into()))
    );
}

#[test]
fn a_signed_header_that_occurs_twice_is_refused() {
    let request = Request {
        method: "GET",
        path: "/",
        query: "",
        headers: &[("Host", b"a"), ("host", b"b")],
        body: b"",
    };
    assert_eq!(
        sign(&request, "AK", "SK", Timestamp::from_seconds(0)),
        Err(SignatureError::HeaderRepeated("host".into()))
    );
}

#[test]
fn authorization_headers_that_are_not_ours_are_refused_by_name() {
    let digits = "0".repeat(64);
    let refused = |header: &str| Authorization::parse(header).unwrap_err();
    assert_eq!(refused("Bearer abc"), SignatureError::UnsupportedAlgorithm);
    assert_eq!(
        refused("SDK-HMAC-SM3 Access=a"),
        SignatureError::UnsupportedAlgorithm
    );
    for header in [
        "SDK-HMAC-SHA256 x".to_owned(),
        format!("SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature={digits}"),
        format!("SDK-HMAC-SHA256 Access=, SignedHeaders=x-sdk-date, Signature={digits}"),
        format!("SDK-HMAC-SHA256 Access=a, Access=b, SignedHeaders=x-sdk-date, Signature={digits}"),
        format!("SDK-HMAC-SHA256 Credential=a/b, SignedHeaders=x-sdk-date, Signature={digits}"),
        format!(
            "SDK-HMAC-SHA256 Access=a, SignedHeaders=x-sdk-date;X-Sdk-Date, Signature={digits}"
        ),
        "SDK-HMAC-SHA256 Access=a, SignedHeaders=x-sdk-date, Signature=12".to_owned(),
        format!("SDK-HMAC-SHA256 Access={}", "a".repeat(5000)),
    ] {
        assert!(
            matches!(refused(&header), SignatureError::Malformed(_)),
            "{header}"
        );
    }
}

/// Signs `request` at the epoch and verifies `seen` with that signature.
fn sign_then_see(request: &Request<'_>, seen: &Request<'_>) -> Result<(), SignatureError> {
    let now = Timestamp::from_seconds(0);
    let signed = sign(request, "AK", "SK", now).unwrap();
    let mut headers = seen.headers.to_vec();
    headers.push(("X-Sdk-Date", signed.date.as_bytes()));
    let seen = Request {
        headers: &headers,
        ..*seen
    };
    verify(
        &Authorization::parse(&signed.authorization).unwrap(),
        &seen,
        "SK",
        now,
    )
}

const PLAIN: Request<'static> = Request {
    method: "GET",
    path: "/v3/p/vaults",
    query: "",
    headers: &[("host", b"h")],
    body: b"",
};

#[test]
fn one_query_has_many_spellings() {
    let signed = Request {
        query: "b=2&a=x%20y&a=%2B&flag",
        ..PLAIN
    };
    for query in ["flag=&a=%2b&a=x+y&b=2", "a=x%20y&a=%2B&b=2&&flag"] {
        assert_eq!(sign_then_see(&signed, &Request { query, ..PLAIN }), Ok(()));
    }
    let other = Request {
        query: "b=2&a=x%20y&a=+&flag",
        ..PLAIN
    };
    assert_eq!(
        sign_then_see(&signed, &other),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn a_slash_inside_a_segment_is_accepted_in_each_spelling() {
    let seen = Request {
        path: "/tags/a%20b%2Fc",
        ..PLAIN
    };
    for path in ["/tags/a%20b%2Fc", "/tags/a%20b/c", "/tags/a%2520b%252Fc"] {
        let signed = Request { path, ..PLAIN };
        assert_eq!(sign_then_see(&signed, &seen), Ok(()), "{path}");
    }
}

#[test]
fn a_content_hash_must_be_the_bodys_unless_the_client_leaves_it_unsigned() {
    let with_hash = |hash: &'static [u8], body: &'static [u8]| {
        let headers: &[(&str, &[u8])] = &[("host", b"h"), ("X-Sdk-Content-Sha256", hash)];
        let seen = Request {
            headers,
            body,
            ..PLAIN
        };
        // Signing repeats the verifier's check, so it is the first to refuse.
        sign(&seen, "AK", "SK", Timestamp::from_seconds(0))?;
        sign_then_see(&seen, &seen)
    };
    let empty = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(with_hash(empty, b""), Ok(()));
    assert_eq!(with_hash(empty, b"x"), Err(SignatureError::BodyHash));
    assert_eq!(with_hash(b"UNSIGNED-PAYLOAD", b"x"), Ok(()));
    assert_eq!(with_hash(b"\xff", b"x"), Err(SignatureError::BodyHash));
}

proptest! {
    #[test]
    fn garbage_never_panics(header in "(SDK-HMAC-SHA256 )?[ -~é]{0,120}", path in ".{0,40}", query in ".{0,40}", value in any::<Vec<u8>>()) {
        let fixed = "SDK-HMAC-SHA256 Access=a, SignedHeaders=x;x-sdk-date, Signature=\
            0000000000000000000000000000000000000000000000000000000000000000";
        let headers: &[(&str, &[u8])] = &[("x", &value), ("x-sdk-date", b"20260101T000000Z")];
        let request = Request { method: "GET", path: &path, query: &query, headers, body: &value };
        for text in [header.as_str(), fixed] {
            if let Ok(authorization) = Authorization::parse(text) {
                prop_assert!(verify(&authorization, &request, "SK", Timestamp::from_seconds(1_767_225_600)).is_err());
            }
        }
    }

    #[test]
    fn what_is_signed_here_verifies_here(path in "/[!-~]{0,40}", query in "[ -~]{0,40}", value in "[ -~]{0,20}", body in any::<Vec<u8>>()) {
        let headers: &[(&str, &[u8])] = &[("Host", b"h:1"), ("X-Thing", value.as_bytes())];
        let request = Request { method: "post", path: &path, query: &query, headers, body: &body };
        prop_assert_eq!(sign_then_see(&request, &request), Ok(()));
    }
}

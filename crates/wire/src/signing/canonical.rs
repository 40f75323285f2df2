//! The text that is hashed: one spelling for every request that means the same.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};

use super::authorization::TERMINATOR;
use super::{
    ALGORITHM, CONTENT_HASH_HEADER, DATE_HEADER, Request, Scope, SignatureError, UNSIGNED_PAYLOAD,
};

/// Everything of the canonical request but the path, for which there is more than one spelling.
pub(super) struct Canonical {
    method: String,
    query: String,
    headers: Vec<u8>,
    signed_headers: String,
    body_hash: String,
}

impl Canonical {
    pub(super) fn new(
        request: &Request<'_>,
        signed_headers: &[String],
    ) -> Result<Self, SignatureError> {
        let mut headers = Vec::new();
        for name in signed_headers {
            let value = request
                .single_header(name)?
                .ok_or_else(|| SignatureError::HeaderMissing(name.clone()))?;
            headers.extend_from_slice(name.as_bytes());
            headers.push(b':');
            headers.extend_from_slice(value);
            headers.push(b'\n');
        }
        Ok(Self {
            method: request.method.to_ascii_uppercase(),
            query: canonical_query(request.query),
            headers,
            signed_headers: signed_headers.join(";"),
            body_hash: body_hash(request)?,
        })
    }

    /// Lower-case hex of the SHA-256 of the whole text.
    pub(super) fn hash(&self, canonical_path: &str) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [
            self.method.as_bytes(),
            b"\n",
            canonical_path.as_bytes(),
            b"\n",
            self.query.as_bytes(),
            b"\n",
            &self.headers,
            b"\n",
            self.signed_headers.as_bytes(),
            b"\n",
            self.body_hash.as_bytes(),
        ] {
            hash.update(part);
        }
        hex::encode(hash.finish())
    }
}

/// What is sealed with the key: the hash, bound to its time and, in the scoped layout, to its scope.
pub(super) fn string_to_sign(scope: Option<&Scope>, date: &str, request_hash: &str) -> String {
    match scope {
        None => format!("{ALGORITHM}\n{date}\n{request_hash}"),
        Some(scope) => format!("{ALGORITHM}\n{date}\n{}\n{request_hash}", scope.as_text()),
    }
}

pub(super) fn signing_key(secret: &str, scope: Option<&Scope>) -> hmac::Key {
    let Some(scope) = scope else {
        return hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    };
    let first = format!("SDK{secret}");
    let parts = [&scope.date, &scope.region, &scope.service];
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
    for part in parts.into_iter().map(String::as_str).chain([TERMINATOR]) {
        key = hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&key, part.as_bytes()).as_ref(),
        );
    }
    key
}

/// The spellings of the path that clients sign, without repeats. They differ for escaped characters only: most
/// clients decode the path whole (an escaped slash becomes a separator), some decode each segment, and one
/// escapes what is escaped already.
pub(super) fn canonical_paths(path: &str) -> Vec<String> {
    let whole = encode_segments(decode(path.as_bytes(), Plus::Literal).split(|b| *b == b'/'));
    if !path.contains('%') {
        return vec![whole];
    }
    let segments: Vec<Vec<u8>> = path
        .split('/')
        .map(|segment| decode(segment.as_bytes(), Plus::Literal))
        .collect();
    let by_segment = encode_segments(segments.iter().map(Vec::as_slice));
    let twice = encode_segments(path.as_bytes().split(|b| *b == b'/'));
    let mut paths = vec![whole, by_segment, twice];
    paths.dedup();
    paths
}

fn encode_segments<'a>(segments: impl Iterator<Item = &'a [u8]>) -> String {
    let mut path = segments.map(encode).collect::<Vec<_>>().join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| {
            (
                decode(key.as_bytes(), Plus::Space),
                decode(value.as_bytes(), Plus::Space),
            )
        })
        .collect();
    // Sorted before encoding, as the clients do: `[` comes after `a`, but `%5B` before it.
    pairs.sort();
    pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn body_hash(request: &Request<'_>) -> Result<String, SignatureError> {
    let actual = || hex::encode(digest::digest(&digest::SHA256, request.body));
    match request.single_header(CONTENT_HASH_HEADER)? {
        None => Ok(actual()),
        Some(value) if value == UNSIGNED_PAYLOAD.as_bytes() => Ok(UNSIGNED_PAYLOAD.to_owned()),
        Some(value) => {
            let claimed = std::str::from_utf8(value).map_err(|_| SignatureError::BodyHash)?;
            // The literal is what was signed, whatever its case.
            if claimed.eq_ignore_ascii_case(&actual()) {
                Ok(claimed.to_owned())
            } else {
                Err(SignatureError::BodyHash)
            }
        }
    }
}

/// The signed time as sent.
pub(super) fn date_text<'a>(request: &Request<'a>) -> Result<&'a str, SignatureError> {
    let value = request
        .single_header(DATE_HEADER)?
        .ok_or_else(|| SignatureError::HeaderMissing(DATE_HEADER.to_owned()))?;
    std::str::from_utf8(value).map_err(|_| SignatureError::InvalidDate)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Literal,
    Space,
}

/// Undoes percent-encoding; an escape that is none stands for itself.
fn decode(text: &[u8], plus: Plus) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let mut byte = [0u8];
        let escape = tail.get(..2).filter(|_| *first == b'%');
        if let Some(digits) = escape
            && hex::decode_to_slice(digits, &mut byte).is_ok()
        {
            decoded.push(byte[0]);
            rest = &tail[2..];
            continue;
        }
        decoded.push(match first {
            b'+' if plus == Plus::Space => b' ',
            other => *other,
        });
        rest = tail;
    }
    decoded
}

fn encode(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(*byte));
            }
            other => write!(encoded, "%{other:02X}").expect("a String takes every write"),
        }
    }
    encoded
}

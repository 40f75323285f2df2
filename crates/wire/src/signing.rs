//! Request signatures with an access key: `SDK-HMAC-SHA256` in both layouts that clients use.
//!
//! A signer hashes a canonical form of the request and seals the hash with its secret key; a verifier repeats
//! that over what arrived. The layouts differ in the key alone: `Access=AK` signs with the secret itself,
//! `Credential=AK/date/region/service/sdk_request` with a key derived from it for that scope.

mod authorization;
mod canonical;
mod sign;
mod verify;

pub use authorization::{Authorization, Scope};
pub use sign::{SignedHeaders, sign};
pub use verify::{SKEW_MAX, verify};

/// The one algorithm spoken here.
pub(crate) const ALGORITHM: &str = "SDK-HMAC-SHA256";
/// The header with the time of signing, `20260101T000000Z`.
pub const DATE_HEADER: &str = "x-sdk-date";
/// The header that may stand for the body's hash.
pub(crate) const CONTENT_HASH_HEADER: &str = "x-sdk-content-sha256";
/// The content hash of a client that does not sign its body.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// A request as it travels: nothing decoded, the host as the client wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    /// The path before `?`, percent-encoded as sent.
    pub path: &'a str,
    /// What follows `?`, empty when there is none.
    pub query: &'a str,
    /// Names in any case; a name may occur more than once.
    pub headers: &'a [(&'a str, &'a [u8])],
    pub body: &'a [u8],
}

/// Why a signature is refused. The texts name what the client can repair and never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signing algorithm is not SDK-HMAC-SHA256")]
    UnsupportedAlgorithm,
    #[error("malformed Authorization header: {0}")]
    Malformed(&'static str),
    #[error("the signed header `{0}` is missing")]
    HeaderMissing(String),
    #[error("the signed header `{0}` occurs more than once")]
    HeaderRepeated(String),
    #[error("X-Sdk-Date is not a time of the form 20260101T000000Z")]
    InvalidDate,
    #[error("X-Sdk-Date differs from the server's time by more than 15 minutes")]
    Skewed,
    #[error("X-Sdk-Content-Sha256 is not the hash of the body")]
    BodyHash,
    #[error("verify aksk signature fail")]
    Mismatch,
}

impl<'a> Request<'a> {
    /// The value of a header that must occur once, without surrounding blanks.
    pub(crate) fn single_header(&self, name: &str) -> Result<Option<&'a [u8]>, SignatureError> {
        let mut values = self
            .headers
            .iter()
            .filter(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim_ascii());
        let first = values.next();
        match values.next() {
            None => Ok(first),
            // Which of the two was signed cannot be known, and a handler might read the other one.
            Some(_) => Err(SignatureError::HeaderRepeated(name.to_owned())),
        }
    }
}

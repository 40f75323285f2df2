use aws_lc_rs::hmac;
use strongroom_types::Timestamp;

use super::canonical::{Canonical, canonical_paths, signing_key, string_to_sign};
use super::{ALGORITHM, DATE_HEADER, Request, SignatureError};

/// The two headers that make a request a signed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// The value of `X-Sdk-Date`.
    pub date: String,
    /// The value of `Authorization`.
    pub authorization: String,
}

/// Signs a request and every header it lists (`host` among them, as it will be sent) in the `Access=` layout.
///
/// Fails when a header is listed twice.
pub fn sign(
    request: &Request<'_>,
    access_key: &str,
    secret: &str,
    now: Timestamp,
) -> Result<SignedHeaders, SignatureError> {
    let date = now.to_compact();
    let mut headers = request.headers.to_vec();
    headers.push((DATE_HEADER, date.as_bytes()));
    let mut names: Vec<String> = headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    let dated = Request {
        headers: &headers,
        ..*request
    };
    let canonical = Canonical::new(&dated, &names)?;
    let path = &canonical_paths(request.path)[0];
    let text = string_to_sign(None, &date, &canonical.hash(path));
    let signature = hmac::sign(&signing_key(secret, None), text.as_bytes());
    let authorization = format!(
        "{ALGORITHM} Access={access_key}, SignedHeaders={}, Signature={}",
        names.join(";"),
        hex::encode(signature)
    );
    Ok(SignedHeaders {
        date,
        authorization,
    })
}

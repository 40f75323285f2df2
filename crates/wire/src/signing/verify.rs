use std::time::Duration;

use aws_lc_rs::hmac;
use strongroom_types::Timestamp;

use super::canonical::{Canonical, canonical_paths, date_text, signing_key, string_to_sign};
use super::{Authorization, Request, SignatureError};

/// How far a client's clock may be from ours, either way.
pub const SKEW_MAX: Duration = Duration::from_mins(15);

/// Checks that `request` was signed with `secret` about `now`, body included.
///
/// Exactly the headers that the client listed are verified: no set beyond the date is asked for.
pub fn verify(
    authorization: &Authorization,
    request: &Request<'_>,
    secret: &str,
    now: Timestamp,
) -> Result<(), SignatureError> {
    let date = date_text(request)?;
    check_date(authorization, date, now)?;
    let scope = authorization.scope.as_ref();
    let key = signing_key(secret, scope);
    let canonical = Canonical::new(request, &authorization.signed_headers)?;
    let matches = canonical_paths(request.path).iter().any(|path| {
        let text = string_to_sign(scope, date, &canonical.hash(path));
        // Compares in constant time.
        hmac::verify(&key, text.as_bytes(), &authorization.signature).is_ok()
    });
    if matches {
        Ok(())
    } else {
        Err(SignatureError::Mismatch)
    }
}

fn check_date(
    authorization: &Authorization,
    date: &str,
    now: Timestamp,
) -> Result<(), SignatureError> {
    let signed_at = Timestamp::from_compact(date).map_err(|_| SignatureError::InvalidDate)?;
    // `since` is zero for the direction that does not apply.
    if now.since(signed_at) > SKEW_MAX || signed_at.since(now) > SKEW_MAX {
        return Err(SignatureError::Skewed);
    }
    match &authorization.scope {
        Some(scope) if !date.starts_with(&scope.date) || scope.date.len() != 8 => Err(
            SignatureError::Malformed("the scope's date is not that of X-Sdk-Date"),
        ),
        _ => Ok(()),
    }
}

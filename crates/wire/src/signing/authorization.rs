use super::{ALGORITHM, DATE_HEADER, SignatureError};

/// Longer headers are not signatures; the bound keeps the work before authentication small.
const LENGTH_MAX: usize = 4096;
const SIGNATURE_BYTES: usize = 32;

/// What a signed request claims in its `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    pub access_key: String,
    /// Present in the `Credential=` layout.
    pub scope: Option<Scope>,
    /// Lower-case names in the order in which they were signed.
    pub signed_headers: Vec<String>,
    pub(crate) signature: [u8; SIGNATURE_BYTES],
}

/// What a derived key is good for. Region and service may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `YYYYMMDD`, the day of the request.
    pub date: String,
    pub region: String,
    pub service: String,
}

/// The last part of every scope.
pub(crate) const TERMINATOR: &str = "sdk_request";

impl Scope {
    pub(crate) fn as_text(&self) -> String {
        format!(
            "{}/{}/{}/{TERMINATOR}",
            self.date, self.region, self.service
        )
    }
}

impl Authorization {
    /// Whether a header value claims to be a signature of any kind, readable here or not.
    pub fn is_signature(header: &str) -> bool {
        header.starts_with("SDK-") || header.starts_with("V11-HMAC-")
    }

    /// Reads `SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…` or the same with `Credential=…`.
    pub fn parse(header: &str) -> Result<Self, SignatureError> {
        if header.len() > LENGTH_MAX {
            return Err(SignatureError::Malformed("too long"));
        }
        let (algorithm, fields) = header
            .trim()
            .split_once(' ')
            .ok_or(SignatureError::UnsupportedAlgorithm)?;
        if algorithm != ALGORITHM {
            return Err(SignatureError::UnsupportedAlgorithm);
        }
        let [
            mut access,
            mut credential,
            mut signed_headers,
            mut signature,
        ] = [None; 4];
        for field in fields.split(',') {
            let (name, value) = field
                .trim()
                .split_once('=')
                .ok_or(SignatureError::Malformed("a field has no value"))?;
            let place = match name {
                "Access" => &mut access,
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(SignatureError::Malformed("unknown field")),
            };
            if place.replace(value).is_some() {
                return Err(SignatureError::Malformed("a field is repeated"));
            }
        }
        let (access_key, scope) = match (access, credential) {
            (Some(access_key), None) => (access_key.to_owned(), None),
            (None, Some(credential)) => parse_credential(credential)?,
            _ => {
                return Err(SignatureError::Malformed(
                    "one of Access and Credential is needed",
                ));
            }
        };
        if access_key.is_empty() {
            return Err(SignatureError::Malformed("the access key is empty"));
        }
        Ok(Self {
            access_key,
            scope,
            signed_headers: parse_signed_headers(signed_headers.unwrap_or_default())?,
            signature: parse_signature(signature.unwrap_or_default())?,
        })
    }
}

fn parse_credential(text: &str) -> Result<(String, Option<Scope>), SignatureError> {
    let parts: Vec<&str> = text.split('/').collect();
    let [access_key, date, region, service, TERMINATOR] = parts[..] else {
        return Err(SignatureError::Malformed(
            "Credential is not AK/date/region/service/sdk_request",
        ));
    };
    let scope = Scope {
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    };
    Ok((access_key.to_owned(), Some(scope)))
}

fn parse_signed_headers(text: &str) -> Result<Vec<String>, SignatureError> {
    let names: Vec<String> = text.split(';').map(str::to_ascii_lowercase).collect();
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    if distinct.len() != names.len() {
        return Err(SignatureError::Malformed("SignedHeaders repeats a name"));
    }
    // Without the date in the signature an intercepted request could be sent again for ever.
    if !names.iter().any(|name| name == DATE_HEADER) {
        return Err(SignatureError::Malformed("SignedHeaders lacks x-sdk-date"));
    }
    Ok(names)
}

fn parse_signature(text: &str) -> Result<[u8; SIGNATURE_BYTES], SignatureError> {
    let mut signature = [0; SIGNATURE_BYTES];
    hex::decode_to_slice(text, &mut signature)
        .map_err(|_| SignatureError::Malformed("Signature is not 64 hex digits"))?;
    Ok(signature)
}

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::local::{Create, open_local};
use crate::s3::{Limits, S3Access, open_s3};
use crate::{Error, Result, Storage};

const S3_SCHEME: &str = "s3";

/// Where objects lie, as users write it: a folder, or `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Folder(PathBuf),
    S3 {
        bucket: String,
        /// Without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
}

impl Place {
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some((S3_SCHEME, rest)) => parse_s3(text, rest),
            Some((scheme, _)) => Err(Error::Invalid(format!(
                "`{scheme}://` is no place for a repository; use a folder or s3://BUCKET/PREFIX"
            ))),
            None if text.is_empty() => Err(Error::Invalid("an empty name is no folder".to_owned())),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }

    /// The place of this name within this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Folder(folder) => Self::Folder(folder.join(name)),
            Self::S3 { bucket, prefix } => Self::S3 {
                bucket: bucket.clone(),
                prefix: match prefix.as_str() {
                    "" => name.to_owned(),
                    prefix => format!("{prefix}/{name}"),
                },
            },
        }
    }

    /// Opens the place. `create` is about folders (a bucket must be there), `limits` about servers.
    pub fn open(&self, create: Create, limits: Limits) -> Result<Storage> {
        match self {
            Self::Folder(folder) => open_local(folder, create),
            Self::S3 { bucket, prefix } => open_s3(bucket, prefix, &S3Access::Environment, limits),
        }
    }
}

fn parse_s3(text: &str, rest: &str) -> Result<Place> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let part_ok =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
    if !part_ok(bucket) || !(prefix.is_empty() || prefix.split('/').all(part_ok)) {
        return Err(Error::Invalid(format!(
            "`{text}` is not of the form s3://BUCKET/PREFIX; names are of letters, digits and `-_.`"
        )));
    }
    Ok(Place::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::S3 { bucket, prefix } => write!(f, "{S3_SCHEME}://{bucket}/{prefix}"),
        }
    }
}

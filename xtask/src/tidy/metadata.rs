//! The part of `cargo metadata` that the rules look at.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shell;

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    /// Absent for members of this workspace.
    pub(super) source: Option<String>,
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Option<Kind>,
    pub(super) optional: bool,
}

/// Ordinary dependencies have no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Dev,
    Build,
}

impl Package {
    pub(super) fn is_member(&self) -> bool {
        self.source.is_none()
    }
}

pub(super) fn load() -> Result<Vec<Package>> {
    let text = shell::output(&mut shell::cargo(&["metadata", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cargo metadata prints JSON")?;
    Ok(metadata.packages)
}

//! `credentials.json`: what a client needs to reach a server.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Written by the first start of `serve`, readable by its owner alone. Verbs need the address, the project and the access
/// key; a file that somebody writes for a user may have those alone.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Credentials {
    pub(crate) endpoint: String,
    #[serde(default)]
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) domain_id: String,
    #[serde(default)]
    pub(crate) domain_name: String,
    pub(crate) project_id: String,
    #[serde(default)]
    pub(crate) project_name: String,
    #[serde(default)]
    pub(crate) user_id: String,
    #[serde(default)]
    pub(crate) user_name: String,
    #[serde(default)]
    pub(crate) password: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the credentials file {} cannot be read", path.display()))?;
        let text = Zeroizing::new(text);
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a credentials file", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = Zeroizing::new(serde_json::to_string_pretty(self)?);
        text.push('\n');
        crate::data_dir::write_private(path, text.as_bytes())
    }

    /// The file a client verb uses when none is named: the one beside the default data directory's database.
    pub(crate) fn default_path() -> PathBuf {
        crate::config::Config::default()
            .data_dir
            .join("credentials.json")
    }
}

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use strongroom_repo::{Create, Env, Options, Repository, Secret, generate_key_file, open_local};
use strongroom_types::{SystemClock, SystemIds};

use super::{Place, Profile};
use crate::data_dir::write_private;

impl Place {
    pub(super) async fn init(&self, profile: Profile) -> anyhow::Result<Repository> {
        let folder = self.folder()?;
        let new_key = self.key_file.as_deref().filter(|file| !file.exists());
        if let Some(file) = new_key {
            write_private(
                &std::path::absolute(file)?,
                generate_key_file(&SystemIds).as_bytes(),
            )?;
        }
        let made = self.init_in(folder, profile).await;
        if let (Err(_), Some(file)) = (&made, new_key) {
            // Nobody shall keep a key that opens nothing.
            std::fs::remove_file(file)
                .with_context(|| format!("{} cannot be removed", file.display()))?;
        }
        made.with_context(|| format!("no repository was made in {}", self.repository))
    }

    async fn init_in(&self, folder: &Path, profile: Profile) -> anyhow::Result<Repository> {
        let profile = match profile {
            Profile::Default => strongroom_repo::Profile::Default,
            Profile::Dense => strongroom_repo::Profile::Dense,
            Profile::Archive => strongroom_repo::Profile::Archive,
        };
        let options = Options {
            profile,
            ..Options::default()
        };
        let store = open_local(folder, Create::IfMissing)?;
        Ok(Repository::init(store, &self.secret()?, options, env()).await?)
    }

    pub(super) async fn open(&self) -> anyhow::Result<Repository> {
        let open = async {
            Repository::open(
                open_local(self.folder()?, Create::Never)?,
                &self.secret()?,
                env(),
            )
            .await
            .map_err(anyhow::Error::from)
        };
        open.await
            .with_context(|| format!("the repository {} cannot be opened", self.repository))
    }

    fn folder(&self) -> anyhow::Result<&Path> {
        if let Some((scheme, _)) = self.repository.split_once("://") {
            bail!("repositories on `{scheme}://` are not supported by this version; use a folder");
        }
        Ok(Path::new(&self.repository))
    }

    fn secret(&self) -> anyhow::Result<Secret> {
        let read = |file: &Path| {
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
        };
        if let Some(file) = &self.key_file {
            return Ok(Secret::KeyFile(read(file)?));
        }
        let file = self
            .passphrase_file
            .as_deref()
            .context("a key file or a passphrase file is needed")?;
        let text = String::from_utf8(read(file)?)
            .with_context(|| format!("{} is not text", file.display()))?;
        let passphrase = text.lines().next().unwrap_or_default().to_owned();
        if passphrase.is_empty() {
            bail!("the first line of {} is empty", file.display());
        }
        Ok(Secret::Passphrase(passphrase))
    }
}

fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    }
}

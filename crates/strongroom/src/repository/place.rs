use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use strongroom_repo::{Env, Options, Repository, Secret, generate_key_file};
use strongroom_store::{Create, Storage};
use strongroom_types::{SystemClock, SystemIds};

use super::{Parity, Place, Profile};
use crate::data_dir::write_private;

impl Place {
    pub(super) async fn init(
        &self,
        profile: Profile,
        parity: Option<Parity>,
    ) -> anyhow::Result<Repository> {
        let new_key = self.key_file.as_deref().filter(|file| !file.exists());
        if let Some(file) = new_key {
            write_private(
                &std::path::absolute(file)?,
                generate_key_file(&SystemIds).as_bytes(),
            )?;
        }
        let made = self.init_in(profile, parity).await;
        if let (Err(_), Some(file)) = (&made, new_key) {
            // Nobody shall keep a key that opens nothing.
            std::fs::remove_file(file)
                .with_context(|| format!("{} cannot be removed", file.display()))?;
        }
        made.with_context(|| format!("no repository was made in {}", self.repository))
    }

    async fn init_in(
        &self,
        profile: Profile,
        parity: Option<Parity>,
    ) -> anyhow::Result<Repository> {
        let profile = match profile {
            Profile::Default => strongroom_repo::Profile::Default,
            Profile::Dense => strongroom_repo::Profile::Dense,
            Profile::Archive => strongroom_repo::Profile::Archive,
        };
        let storage = self.storage(Create::IfMissing).await?;
        let suited = Options::suited_to(&storage);
        let options = Options {
            profile,
            parity: parity.map_or(suited.parity, |parity| parity == Parity::On),
            ..suited
        };
        Ok(Repository::init(storage, &self.secret()?, options, env()).await?)
    }

    pub(super) async fn open(&self) -> anyhow::Result<Repository> {
        let open = async {
            let storage = self.storage(Create::Never).await?;
            let opened = Repository::open(storage, &self.secret()?, env()).await;
            opened.map_err(anyhow::Error::from)
        };
        open.await
            .with_context(|| format!("the repository {} cannot be opened", self.repository))
    }

    async fn storage(&self, create: Create) -> Result<Storage, strongroom_repo::Error> {
        let place = strongroom_store::Place::parse(&self.repository)?;
        Ok(place.open(create).await?)
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

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use strongroom_repo::{Env, Error, Options, Repository};
use strongroom_store::{Create, Limits, Storage};
use strongroom_types::{SystemClock, SystemIds};

use super::secret::make_key_file;
use super::{Location, Parity, Place, Profile};

impl Place {
    pub(super) async fn init(
        &self,
        profile: Profile,
        parity: Option<Parity>,
    ) -> anyhow::Result<Repository> {
        let key_file = self.secret.key_file.as_deref();
        let new_key = key_file.filter(|file| !file.exists());
        let failed = || format!("no repository was made in {}", self.location.repository);
        if let Some(file) = new_key {
            if self.exists().await.with_context(failed)? {
                return Err(Error::Exists).with_context(failed);
            }
            make_key_file(file)?;
        }
        let made = self.init_in(profile, parity).await;
        let Some(file) = new_key.filter(|_| made.is_err()) else {
            return made.with_context(failed);
        };
        // What was made may be there although its making failed, and then this is its only key.
        if !matches!(self.exists().await, Ok(false)) {
            let kept = || {
                let repository = &self.location.repository;
                let file = file.display();
                format!(
                    "{repository} may have been made all the same; keep {file} until another key opens it"
                )
            };
            return made.with_context(kept);
        }
        // Nobody shall keep a key that opens nothing.
        std::fs::remove_file(file)
            .with_context(|| format!("{} cannot be removed", file.display()))?;
        made.with_context(failed)
    }

    async fn exists(&self) -> Result<bool, Error> {
        match self.location.storage(Create::Never) {
            Ok(storage) => Repository::exists(storage).await,
            Err(Error::NotARepository) => Ok(false),
            Err(error) => Err(error),
        }
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
        let storage = self.location.storage(Create::IfMissing)?;
        let suited = Options::suited_to(&storage);
        let options = Options {
            profile,
            parity: parity.map_or(suited.parity, |parity| parity == Parity::On),
            ..suited
        };
        Ok(Repository::init(storage, &self.secret.read_for_new()?, options, env()).await?)
    }

    pub(super) async fn open(&self) -> anyhow::Result<Repository> {
        let open = async {
            let storage = self.location.storage(Create::Never)?;
            let opened = Repository::open(storage, &self.secret.read()?, env()).await;
            opened.map_err(anyhow::Error::from)
        };
        open.await.with_context(|| {
            format!(
                "the repository {} cannot be opened",
                self.location.repository
            )
        })
    }
}

impl Location {
    pub(super) fn storage(&self, create: Create) -> Result<Storage, Error> {
        let place = strongroom_store::Place::parse(&self.repository)?;
        let limits = Limits {
            patience: Duration::from_secs(self.s3_patience),
            ..Limits::default()
        };
        let storage = place.open(create, limits)?;
        Ok(match cache_folder() {
            Some(cache) => storage.with_cache(cache),
            None => storage,
        })
    }
}

/// Where copies of remote objects may be kept between two runs.
fn cache_folder() -> Option<PathBuf> {
    let of_user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache"));
    let folder = of_user.filter(|folder| folder.is_absolute());
    Some(folder.or_else(of_home)?.join("strongroom"))
}

fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    }
}

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use strongroom_repo::{Env, Error, Options, Repository, Secret, generate_key_file};
use strongroom_service::App;
use strongroom_service::imports::unit_of_vault;
use strongroom_store::{Create, Limits, Place, Storage};
use strongroom_types::{ProjectId, VaultId};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::private_file::{rename, write_private};

/// The repositories of this installation: one per project, made when the project first needs it.
///
/// `PLACE/PROJECT/` holds the bytes, `KEYS/PROJECT.key` what unlocks them, `CACHE/PROJECT/` copies of what lies far away.
#[derive(Debug)]
pub struct Repositories {
    place: Place,
    limits: Limits,
    keys: PathBuf,
    cache: PathBuf,
    env: Env,
    units: BTreeMap<String, StorageUnit>,
    open: Mutex<HashMap<ProjectId, Repository>>,
}

/// A repository that another installation writes.
#[derive(Debug, Clone)]
pub struct StorageUnit {
    pub place: Place,
    pub key_file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("the key file {} cannot be read or written", path.display())]
    Key {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The configuration names it no more.
    #[error("the storage unit {0} is not configured")]
    UnknownUnit(String),
    #[error("the storage unit {unit} cannot be opened")]
    OpenUnit {
        unit: String,
        #[source]
        source: Error,
    },
    #[error("the repository of project {project} cannot be opened")]
    Open {
        project: ProjectId,
        #[source]
        source: Error,
    },
}

impl Repositories {
    pub fn new(place: Place, limits: Limits, keys: PathBuf, cache: PathBuf, env: Env) -> Self {
        Self {
            place,
            limits,
            keys,
            cache,
            env,
            units: BTreeMap::new(),
            open: Mutex::default(),
        }
    }

    /// With what other installations write, by the name of each unit.
    #[must_use]
    pub fn with_units(self, units: BTreeMap<String, StorageUnit>) -> Self {
        Self { units, ..self }
    }

    /// Where a vault's points lie: in its project's repository, or in what another installation writes.
    pub(crate) async fn of_vault<E>(
        &self,
        app: &App,
        vault: &VaultId,
        project: &ProjectId,
    ) -> Result<Repository, E>
    where
        E: From<strongroom_service::Error> + From<RepositoryError>,
    {
        match unit_of_vault(app, vault).await? {
            Some(unit) => Ok(self.get_unit(&unit).await?),
            None => Ok(self.get(project).await?),
        }
    }

    /// What another installation writes; opened anew each time, since its keys and points change without us.
    pub async fn get_unit(&self, name: &str) -> Result<Repository, RepositoryError> {
        let unit = self
            .units
            .get(name)
            .ok_or_else(|| RepositoryError::UnknownUnit(name.to_owned()))?;
        let failed = |source| RepositoryError::OpenUnit {
            unit: name.to_owned(),
            source,
        };
        let secret = secret(&unit.key_file)?;
        let storage = unit.place.open(Create::Never, self.limits);
        let storage = storage.map_err(|error| failed(error.into()))?;
        let storage = storage.with_cache(self.cache.join("units").join(name));
        Repository::open(storage, &secret, self.env.clone())
            .await
            .map_err(failed)
    }

    /// The project's repository, opened once and kept.
    pub async fn get(&self, project: &ProjectId) -> Result<Repository, RepositoryError> {
        // Held while opening, so that two jobs of a new project do not both make its repository.
        let mut open = self.open.lock().await;
        if let Some(repository) = open.get(project) {
            match repository.refresh_keys().await {
                Ok(()) => return Ok(repository.clone()),
                // The administrator has changed the key, and has put the new one in the old one's place.
                Err(Error::KeysChanged) => {}
                Err(source) => return Err(open_failed(project, source)),
            }
        }
        let repository = self.open_or_make(project).await?;
        open.insert(project.clone(), repository.clone());
        Ok(repository)
    }

    /// The project's repository, which must be there with its key.
    pub async fn get_existing(&self, project: &ProjectId) -> Result<Repository, RepositoryError> {
        let key = self.keys.join(format!("{project}.key"));
        self.open(project, &key).await
    }

    /// `PROJECT.key` says that the repository was made. Its key is called `PROJECT.key.new` until then, so that a
    /// repository that is not there (a disk that is not mounted, say) is told from one that never was.
    async fn open_or_make(&self, project: &ProjectId) -> Result<Repository, RepositoryError> {
        let key = self.keys.join(format!("{project}.key"));
        let new_key = self.keys.join(format!("{project}.key.new"));
        if key.exists() || (!new_key.exists() && self.is_there(project).await?) {
            return self.open(project, &key).await;
        }
        let repository = self.make(project, &new_key).await?;
        rename(&new_key, &key).map_err(|source| RepositoryError::Key { path: key, source })?;
        Ok(repository)
    }

    fn storage(&self, project: &ProjectId, create: Create) -> Result<Storage, Error> {
        let place = self.place.join(project.as_str());
        let storage = place.open(create, self.limits)?;
        Ok(storage.with_cache(self.cache.join(project.as_str())))
    }

    /// Whether there is a repository, whatever its key is.
    async fn is_there(&self, project: &ProjectId) -> Result<bool, RepositoryError> {
        let storage = match self.storage(project, Create::Never) {
            Err(Error::NotARepository) => return Ok(false),
            storage => storage.map_err(|source| open_failed(project, source))?,
        };
        let found = Repository::exists(storage).await;
        found.map_err(|source| open_failed(project, source))
    }

    async fn open(&self, project: &ProjectId, key: &Path) -> Result<Repository, RepositoryError> {
        let secret = secret(key)?;
        let failed = |source| open_failed(project, source);
        let storage = self.storage(project, Create::Never).map_err(failed)?;
        let opened = Repository::open(storage, &secret, self.env.clone()).await;
        opened.map_err(failed)
    }

    /// Also finishes what a process began that died meanwhile. The key is durable before anything is sealed with it.
    async fn make(
        &self,
        project: &ProjectId,
        new_key: &Path,
    ) -> Result<Repository, RepositoryError> {
        if !new_key.exists() {
            let content = Zeroizing::new(generate_key_file(self.env.ids.as_ref()));
            write_private(new_key, content.as_bytes()).map_err(|source| RepositoryError::Key {
                path: new_key.to_owned(),
                source,
            })?;
        }
        let secret = secret(new_key)?;
        let failed = |source| open_failed(project, source);
        let storage = self.storage(project, Create::IfMissing).map_err(failed)?;
        match Repository::open(storage.clone(), &secret, self.env.clone()).await {
            Err(Error::NotARepository) => {}
            opened => return opened.map_err(failed),
        }
        let options = Options::suited_to(&storage);
        Repository::init(storage, &secret, options, self.env.clone())
            .await
            .map_err(failed)
    }
}

fn open_failed(project: &ProjectId, source: Error) -> RepositoryError {
    RepositoryError::Open {
        project: project.clone(),
        source,
    }
}

fn secret(key: &Path) -> Result<Secret, RepositoryError> {
    let content = std::fs::read(key).map_err(|source| RepositoryError::Key {
        path: key.to_owned(),
        source,
    })?;
    Ok(Secret::KeyFile(content))
}

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use strongroom_repo::{
    Create, Env, Error, Options, Repository, Secret, generate_key_file, open_local,
};
use strongroom_types::ProjectId;
use tokio::sync::Mutex;

use crate::private_file::write_private;

/// The repositories of this installation: one per project, made when the project first needs it.
///
/// `FOLDER/PROJECT/` holds the bytes, `KEYS/PROJECT.key` what unlocks them.
#[derive(Debug)]
pub struct Repositories {
    folder: PathBuf,
    keys: PathBuf,
    env: Env,
    open: Mutex<HashMap<ProjectId, Repository>>,
}

#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("the key file {} cannot be read or written", path.display())]
    Key {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the repository of project {project} cannot be opened")]
    Open {
        project: ProjectId,
        #[source]
        source: Error,
    },
}

impl Repositories {
    pub fn new(folder: PathBuf, keys: PathBuf, env: Env) -> Self {
        Self {
            folder,
            keys,
            env,
            open: Mutex::default(),
        }
    }

    /// The project's repository, opened once and kept.
    pub async fn get(&self, project: &ProjectId) -> Result<Repository, RepositoryError> {
        // Held while opening, so that two jobs of a new project do not both make its repository.
        let mut open = self.open.lock().await;
        if let Some(repository) = open.get(project) {
            return Ok(repository.clone());
        }
        let repository = self.open_or_make(project).await?;
        open.insert(project.clone(), repository.clone());
        Ok(repository)
    }

    async fn open_or_make(&self, project: &ProjectId) -> Result<Repository, RepositoryError> {
        let secret = self.key(project)?;
        let failed = |source| RepositoryError::Open {
            project: project.clone(),
            source,
        };
        let store =
            open_local(&self.folder.join(project.as_str()), Create::IfMissing).map_err(failed)?;
        match Repository::open(store.clone(), &secret, self.env.clone()).await {
            Err(Error::NotARepository) => {}
            opened => return opened.map_err(failed),
        }
        Repository::init(store, &secret, Options::default(), self.env.clone())
            .await
            .map_err(failed)
    }

    /// The key is durable before anything is sealed with it. A repository whose key is gone is not given another:
    /// that would open nothing, and hide from the operator which file to bring back.
    fn key(&self, project: &ProjectId) -> Result<Secret, RepositoryError> {
        let path = self.keys.join(format!("{project}.key"));
        let failed = |source| RepositoryError::Key {
            path: path.clone(),
            source,
        };
        let is_new = !self.folder.join(project.as_str()).exists();
        if is_new && !path.exists() {
            write_private(&path, generate_key_file(self.env.ids.as_ref()).as_bytes())
                .map_err(failed)?;
        }
        Ok(Secret::KeyFile(read(&path).map_err(failed)?))
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use strongroom_repo::{Env, Error, Repository};
use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::ProjectId;

use crate::repositories::{Repositories, RepositoryError};

/// The keys and the repository of one project, as processes that come and go see them.
struct Place {
    _temporary: tempfile::TempDir,
    keys: PathBuf,
    folder: PathBuf,
    project: ProjectId,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("repositories");
        let keys = temporary.path().join("keys");
        fs::create_dir(&keys).unwrap();
        Self {
            _temporary: temporary,
            keys,
            folder,
            project: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        }
    }

    async fn open(&self) -> Result<Repository, RepositoryError> {
        let env = Env {
            clock: Arc::new(MockClock::default()),
            ids: Arc::new(SeededIds::default()),
        };
        let repositories = Repositories::new(
            strongroom_store::Place::Folder(self.folder.clone()),
            strongroom_store::Limits::default(),
            self.keys.clone(),
            self.keys.join("cache"),
            env,
        );
        repositories.get(&self.project).await
    }

    fn key(&self) -> PathBuf {
        self.keys.join(format!("{}.key", self.project))
    }
}

#[tokio::test]
async fn a_repository_whose_key_is_gone_gets_no_other() {
    let place = Place::new();
    let made = place.open().await.unwrap();
    assert_eq!(made.id(), place.open().await.unwrap().id());
    let content = fs::read(place.key()).unwrap();
    fs::remove_file(place.key()).unwrap();
    let refused = place.open().await;
    assert!(matches!(refused, Err(RepositoryError::Key { .. })));
    assert_eq!(fs::read_dir(&place.keys).unwrap().count(), 0);
    fs::write(place.key(), content).unwrap();
    place.open().await.unwrap();
}

#[tokio::test]
async fn a_repository_that_is_not_mounted_is_not_made_anew() {
    let place = Place::new();
    place.open().await.unwrap();
    let elsewhere = place.keys.join("elsewhere");
    fs::rename(&place.folder, &elsewhere).unwrap();
    for empty_folder in [false, true] {
        if empty_folder {
            fs::create_dir_all(place.folder.join(place.project.as_str())).unwrap();
        }
        let refused = place.open().await;
        assert!(matches!(
            refused,
            Err(RepositoryError::Open {
                source: Error::NotARepository,
                ..
            })
        ));
    }
    fs::remove_dir_all(&place.folder).unwrap();
    fs::rename(elsewhere, &place.folder).unwrap();
    place.open().await.unwrap();
}

#[tokio::test]
async fn what_a_process_began_that_died_is_finished() {
    let place = Place::new();
    let made = place.open().await.unwrap();
    // It died before it could say that the repository is made …
    fs::rename(place.key(), place.key().with_extension("key.new")).unwrap();
    assert_eq!(place.open().await.unwrap().id(), made.id());
    assert!(place.key().exists());
    // … or before it made one at all.
    fs::rename(place.key(), place.key().with_extension("key.new")).unwrap();
    fs::remove_dir_all(&place.folder).unwrap();
    place.open().await.unwrap();
    assert!(place.key().exists());
}

use std::fs;
use std::sync::Arc;

use strongroom_repo::Env;
use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::ProjectId;

use crate::repositories::{Repositories, RepositoryError};

#[tokio::test]
async fn a_repository_whose_key_is_gone_gets_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let [repositories, keys] = ["repositories", "keys"].map(|name| folder.path().join(name));
    fs::create_dir(&repositories).unwrap();
    fs::create_dir(&keys).unwrap();
    let open = || {
        let env = Env {
            clock: Arc::new(MockClock::default()),
            ids: Arc::new(SeededIds::default()),
        };
        Repositories::new(repositories.clone(), keys.clone(), env)
    };
    let project: ProjectId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let made = open().get(&project).await.unwrap();
    let again = open().get(&project).await.unwrap();
    assert_eq!(made.id(), again.id());

    let key = keys.join(format!("{project}.key"));
    let content = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let refused = open().get(&project).await;
    assert!(matches!(refused, Err(RepositoryError::Key { .. })));
    assert!(!key.exists());
    fs::write(&key, content).unwrap();
    open().get(&project).await.unwrap();
}

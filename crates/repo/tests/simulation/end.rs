//! When everybody has ended: what they left must be whole, and as small as it can be.

use std::sync::Arc;
use std::time::Duration;

use strongroom_repo::Repository;

use crate::actions;
use crate::history::History;

impl History {
    /// Everybody has ended; a new process looks at what they left.
    pub(super) async fn end(&mut self) {
        for process in std::mem::take(&mut self.processes) {
            self.world.gate.kill(process.life);
        }
        let ghosts = std::mem::take(&mut self.ghosts);
        self.deliver(ghosts).await;
        self.advance(Duration::from_hours(1)).await;
        let (life, store, env) = self.new_life();
        self.world.gate.set_free(life);
        let repository = Repository::open(store, &actions::key(), env).await;
        let repository = repository.expect("it opens");
        self.check_points(&repository).await;
        self.check_repetition(&repository).await;
        let report = actions::verify(&repository).await.expect("it verifies");
        assert!(report.is_clean(), "history {}: {report:?}", self.seed);
    }

    pub(super) async fn check_points(&mut self, repository: &Repository) {
        let listed = repository.list_points().await.expect("it lists");
        for point in &listed {
            let promise = &self.model.promises[&point.name];
            assert!(promise.may_exist(), "{} came back", point.name);
            let right = actions::restore(repository, &point.id, &promise.disk).await;
            assert!(
                right.as_ref().is_ok_and(|r| *r),
                "{}: {right:?}",
                point.name
            );
        }
        for (name, promise) in &self.model.promises {
            let is_listed = listed.iter().any(|point| point.name == *name);
            assert!(is_listed || !promise.must_exist, "{name} is lost");
        }
    }

    /// What is there already is not stored again, and has the same root.
    pub(super) async fn check_repetition(&mut self, repository: &Repository) {
        let listed = repository.list_points().await.expect("it lists");
        let Some(point) = listed.last() else { return };
        let disk = Arc::clone(&self.model.promises[&point.name].disk);
        let again = actions::back_up(repository, "again", 0, &disk, usize::MAX).await;
        let again = again.expect("a calm backup");
        assert_eq!(again.point.root, point.root);
        assert_eq!(again.bytes_new, 0, "it is stored already");
        repository
            .delete_point(&again.point.id)
            .await
            .expect("a calm deletion");
    }
}

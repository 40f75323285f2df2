//! When everybody has ended: what they left must be whole, and no larger than it has to be.

use std::sync::Arc;
use std::time::Duration;

use strongroom_repo::{CollectOptions, CollectReport, Repository};

use crate::actions;
use crate::history::{History, Hold};
use crate::store::{Listing, World};

/// Longer than the store remembers how sessions ended.
const AGES: Duration = Duration::from_hours(40 * 24);

impl History {
    /// Everybody has ended; a new process looks at what they left.
    pub(super) async fn end(&mut self) {
        for process in std::mem::take(&mut self.processes) {
            self.world.gate.kill(process.life);
        }
        let ghosts = std::mem::take(&mut self.ghosts);
        self.deliver(ghosts).await;
        self.advance(Duration::from_hours(1)).await;
        let repository = self.open_calmly().await;
        self.check_points(&repository).await;
        if self.torn {
            let repaired = actions::repair(&repository).await;
            self.say(|| format!("{repaired:?}"));
            repaired.expect("a calm repair");
            self.check_points(&repository).await;
        }
        self.check_repetition(&repository).await;
        self.check_collection(&repository).await;
        self.check_emptiness(&repository).await;
    }

    async fn open_calmly(&mut self) -> Repository {
        let (life, store, env) = self.new_life();
        self.world.gate.set_free(life);
        let repository = Repository::open(store, &actions::key(), env).await;
        repository.expect("it opens")
    }

    async fn check_points(&mut self, repository: &Repository) {
        let report = actions::verify(repository).await.expect("it verifies");
        self.check_damage(&report.damage);
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

    /// What is there already has the same root, and is not stored again.
    async fn check_repetition(&mut self, repository: &Repository) {
        let listed = repository.list_points().await.expect("it lists");
        let Some(point) = listed.last() else { return };
        let disk = Arc::clone(&self.model.promises[&point.name].disk);
        for name in ["again", "and again"] {
            let again = actions::back_up(repository, name, 0, &disk, usize::MAX).await;
            let again = again.expect("a calm backup");
            assert_eq!(again.point.root, point.root);
            if name == "and again" {
                assert_eq!(again.bytes_new, 0, "it is stored already");
            }
            let forgotten = repository.delete_point(&again.point.id).await;
            forgotten.expect("a calm deletion");
        }
    }

    /// Two collections remove all there is to remove, and harm nothing.
    async fn check_collection(&mut self, repository: &Repository) {
        self.collect_all(repository).await;
        self.check_points(repository).await;
        let left = self.bytes_of(&["packs", "nodes"]).await;
        let fresh = self.fresh_size(repository).await;
        // A pack is left alone until half of it is dead, and what two writers stored twice may both be in use.
        assert!(
            left <= 3 * fresh + (256 << 10),
            "{left} bytes are left, {fresh} would do"
        );
        for _ in 0..3 {
            let again = self.collect_calmly(repository).await;
            self.say(|| format!("{again:?}"));
            if again.bytes_deleted + again.bytes_pending == 0 {
                return;
            }
        }
        panic!("collections find something again and again");
    }

    /// Once every point is forgotten, next to nothing is left.
    async fn check_emptiness(&mut self, repository: &Repository) {
        for point in repository.list_points().await.expect("it lists") {
            let forgotten = repository.delete_point(&point.id).await;
            forgotten.expect("a calm deletion");
        }
        self.collect_all(repository).await;
        for folder in ["points", "packs", "nodes", "sessions", "ended", "damaged"] {
            let left = self.bytes_of(&[folder]).await;
            assert_eq!(left, 0, "{folder} is not empty");
        }
    }

    /// A collection waits for time to pass. The others do not: time that passed while they compute would only have sessions renewed.
    async fn collect_calmly(&mut self, repository: &Repository) -> CollectReport {
        if let Some(hold) = self.hold.take() {
            hold.end().await;
        }
        let report = actions::collect(repository, &CollectOptions::default()).await;
        self.hold = Some(Hold::new());
        report.expect("a calm collection")
    }

    async fn collect_all(&mut self, repository: &Repository) {
        for _ in 0..2 {
            let report = self.collect_calmly(repository).await;
            self.say(|| format!("{report:?}"));
            self.advance(AGES).await;
        }
        let report = self.collect_calmly(repository).await;
        self.say(|| format!("{report:?}"));
    }

    async fn bytes_of(&self, folders: &[&str]) -> u64 {
        let mut bytes = 0;
        for folder in folders {
            bytes += self.world.bytes_in(folder).await;
        }
        bytes
    }

    /// Bytes of the packs of a repository that has held nothing but the points of this one.
    async fn fresh_size(&mut self, repository: &Repository) -> u64 {
        let listing = Listing {
            page: 1000,
            sorted: true,
        };
        let there = std::mem::replace(&mut self.world, World::new(listing, 1));
        self.make_repository().await;
        let fresh = self.open_calmly().await;
        for point in repository.list_points().await.expect("it lists") {
            let disk = &self.model.promises[&point.name].disk;
            let copied = actions::back_up(&fresh, &point.name, 0, disk, usize::MAX).await;
            copied.expect("a calm backup");
        }
        let bytes = self.bytes_of(&["packs", "nodes"]).await;
        self.world = there;
        bytes
    }
}

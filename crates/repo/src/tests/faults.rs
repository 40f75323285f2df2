//! Every operation meets every fault at every one of its calls to the store: nothing acknowledged is lost, and
//! done again without a fault it succeeds.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_testkit::{FailingStore, Fault};

use super::support::*;
use crate::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Init,
    BackUp,
    Forget,
    Restore,
    Verify,
    Occupied,
    RotateKeys,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Init,
        Self::BackUp,
        Self::Forget,
        Self::Restore,
        Self::Verify,
        Self::Occupied,
        Self::RotateKeys,
    ];
}

const TINY_PACKS: Options = Options {
    profile: Profile::Default,
    pack_bytes_target: 64 << 10,
    parity: false,
};

/// A repository with two points, copied for each run, and the image that is backed up into it.
struct Scene {
    store: InMemory,
    kept: (PointId, Vec<u8>),
    forgotten: (PointId, Vec<u8>),
    next: Vec<u8>,
}

async fn scene() -> Scene {
    let store = Arc::new(InMemory::new());
    let shared: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    let repository = init(&shared, TINY_PACKS).await;
    let kept = image(11, 500_000);
    let mut forgotten = kept.clone();
    forgotten[200_000..300_000].copy_from_slice(&image(12, 400_000)[..100_000]);
    let mut next = kept.clone();
    next[100_000..400_000].copy_from_slice(&image(13, 600_000)[..300_000]);
    let kept_id = back_up(&repository, "kept", &kept).await.unwrap().point.id;
    let forgotten_id = back_up(&repository, "forgotten", &forgotten).await;
    Scene {
        store: store.fork(),
        kept: (kept_id, kept),
        forgotten: (forgotten_id.unwrap().point.id, forgotten),
        next,
    }
}

impl Scene {
    async fn run(&self, operation: Operation, store: Arc<dyn ObjectStore>) -> Result<()> {
        if operation == Operation::Init {
            let made = Repository::init(store, &key(), TINY_PACKS, env()).await;
            return made.map(drop);
        }
        let repository = Repository::open(store, &key(), env()).await?;
        match operation {
            Operation::Init => unreachable!("returned above"),
            Operation::BackUp => match back_up(&repository, "next", &self.next).await {
                Ok(_) => Ok(()),
                Err(Error::PointExists(point)) => {
                    // Done before, or done by this attempt, whose answer was lost.
                    assert_eq!(point.size_bytes, self.next.len() as u64);
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Operation::Forget => repository.delete_point(&self.forgotten.0).await,
            Operation::Restore => {
                let restored = restore(&repository, &self.kept.0).await?;
                assert!(restored == self.kept.1, "wrong bytes were restored");
                Ok(())
            }
            Operation::Verify => {
                let report = repository.verify(VerifyDepth::ReadData, &|_| ()).await?;
                assert!(report.is_clean(), "{report:?}");
                Ok(())
            }
            Operation::RotateKeys => repository.rotate_keys(&key()).await,
            Operation::Occupied => {
                let both = [self.kept.0.clone(), self.forgotten.0.clone()];
                let bytes = repository.occupied(&both).await?;
                assert!(bytes > 500_000, "{bytes}");
                Ok(())
            }
        }
    }

    /// Runs the operation with the fault at this call; false when it has fewer calls.
    async fn strike(&self, operation: Operation, fault: Fault, call: u64) -> bool {
        let case = format!("{operation:?} {fault:?} at call {call}");
        let store: Arc<dyn ObjectStore> = match operation {
            Operation::Init => Arc::new(InMemory::new()),
            _ => Arc::new(self.store.fork()),
        };
        let failing = FailingStore::new(Arc::clone(&store), fault, call);
        let done = self.run(operation, Arc::clone(&failing) as _).await;
        if let Err(error) = &done {
            assert!(failing.has_struck(), "{case}: {error:?}");
            assert_ne!(fault, Fault::Delay, "{case}: {error:?}");
        }
        if operation == Operation::Init {
            self.check_made(&store, fault, &case).await;
        } else {
            self.check(operation, &store, fault, done.is_ok(), &case)
                .await;
        }
        failing.has_struck()
    }

    async fn check_made(&self, store: &Arc<dyn ObjectStore>, fault: Fault, case: &str) {
        let again = self.run(Operation::Init, Arc::clone(store)).await;
        let opened = Repository::open(Arc::clone(store), &key(), env()).await;
        if fault == Fault::Torn && matches!(opened, Err(Error::Corrupt { .. })) {
            // Half a config is never taken for an empty place.
            assert!(matches!(again, Err(Error::Corrupt { .. })), "{case}");
            return;
        }
        assert!(matches!(again, Ok(()) | Err(Error::Exists)), "{case}");
        back_up(&opened.unwrap(), "next", &self.next).await.unwrap();
    }

    async fn check(
        &self,
        operation: Operation,
        store: &Arc<dyn ObjectStore>,
        fault: Fault,
        done: bool,
        case: &str,
    ) {
        let repository = Repository::open(Arc::clone(store), &key(), env())
            .await
            .unwrap();
        self.check_points(&repository, operation, fault, case).await;
        if done && operation == Operation::BackUp {
            let point = repository.find_point("next").await.unwrap().unwrap();
            assert!(restore(&repository, &point.id).await.unwrap() == self.next);
        }
        if fault == Fault::Torn {
            self.check_twice(operation, store, case).await;
        } else {
            self.run(operation, Arc::clone(store))
                .await
                .unwrap_or_else(|error| panic!("{case}, again: {error:?}"));
        }
        self.check_points(&repository, operation, fault, case).await;
    }

    /// Behind a torn object the operation succeeds, or names that object; and then it does so again.
    async fn check_twice(&self, operation: Operation, store: &Arc<dyn ObjectStore>, case: &str) {
        if operation == Operation::Verify {
            // It tells the torn object, as has just been looked at.
            return;
        }
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            outcomes.push(match self.run(operation, Arc::clone(store)).await {
                Ok(()) => None,
                Err(Error::Corrupt { object, .. }) => Some(object),
                Err(error) => panic!("{case}, again: {error:?}"),
            });
        }
        assert_eq!(outcomes[0], outcomes[1], "{case}");
    }

    async fn check_points(
        &self,
        repository: &Repository,
        operation: Operation,
        fault: Fault,
        case: &str,
    ) {
        let report = repository
            .verify(VerifyDepth::ReadData, &|_| ())
            .await
            .unwrap();
        // A torn object harms nobody else.
        let harmless = |damage: &Damage| {
            let mut hits = damage.hits.iter();
            hits.all(|hit| damage.object.ends_with(hit.point.as_str()))
        };
        let torn_only = fault == Fault::Torn && report.damage.iter().all(harmless);
        assert!(report.is_clean() || torn_only, "{case}: {report:?}");
        for point in repository.list_points().await.unwrap() {
            let image = match point.name.as_str() {
                "kept" => &self.kept.1,
                "forgotten" => &self.forgotten.1,
                _ => &self.next,
            };
            let restored = restore(repository, &point.id).await.unwrap();
            assert!(restored == *image, "{case}: {}", point.name);
        }
        repository.get_point(&self.kept.0).await.unwrap();
        if operation != Operation::Forget {
            repository.get_point(&self.forgotten.0).await.unwrap();
        }
    }
}

async fn strike_everywhere(operation: Operation, calls_min: u64) {
    let scene = scene().await;
    for fault in Fault::ALL {
        let mut call = 1;
        while scene.strike(operation, fault, call).await {
            call += 1;
        }
        assert!(call > calls_min, "{operation:?} {fault:?}: {call} calls");
    }
}

#[tokio::test]
async fn a_backup_survives_every_fault_at_every_call() {
    strike_everywhere(Operation::BackUp, 20).await;
}

#[tokio::test]
async fn every_other_operation_survives_every_fault_at_every_call() {
    for operation in Operation::ALL {
        if operation != Operation::BackUp {
            strike_everywhere(operation, 2).await;
        }
    }
}

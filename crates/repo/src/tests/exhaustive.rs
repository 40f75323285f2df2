//! Every object of a small repository, damaged in every way: a verification notices all of it.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_testkit::AgingStore;

use super::support::*;
use crate::*;

const OFFSETS: usize = 64;
const HOLE: usize = 64 << 10;

/// Every folder that a repository can have, but `quarantine/`, whose objects are known to be damaged.
const FOLDERS: [&str; 10] = [
    "packs",
    "nodes",
    "index",
    "points",
    "points-copy",
    "keys",
    "sessions",
    "ended",
    "condemned",
    "damaged",
];

/// A repository with two points, several packs and segments, changed keys, a reader at work, a list of condemned packs
/// that waits for it, and a mark; copied for each case.
struct Scene {
    store: InMemory,
    objects: Vec<(Path, Vec<u8>)>,
    points: Vec<(PointId, Vec<u8>)>,
}

async fn scene() -> Scene {
    let store = Arc::new(InMemory::new());
    let shared: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    let options = Options {
        pack_bytes_target: 200 << 10,
        parity: true,
        ..Options::default()
    };
    let repository = init(&shared, options).await;
    let mut points = Vec::new();
    for (name, seed) in [("one", 51), ("two", 52)] {
        let image = image(seed, 500_000);
        let commit = back_up(&repository, name, &image).await.unwrap();
        points.push((commit.point.id, image));
    }
    repository.rotate_keys(&key()).await.unwrap();
    // A writer that is taken for dead leaves the word that fences it.
    let new = new_point("never", 1000);
    let silent = repository.begin_point(new).await.unwrap();
    let aging = AgingStore::new(Arc::clone(&shared));
    aging.pass(Duration::from_hours(1));
    let later = Repository::open(aging, &key(), env()).await.unwrap();
    let options = CollectOptions::default();
    let collected = later.collect(&options, &|_| ()).await.unwrap();
    assert_eq!(collected.sessions_ended, 1);
    let gone = back_up(&repository, "gone", &image(53, 60_000)).await;
    let gone = gone.unwrap().point.id;
    let reader = repository.read_point(&gone).await.unwrap();
    repository.delete_point(&gone).await.unwrap();
    // What the reader may need is condemned, and not deleted yet.
    let collected = repository.collect(&options, &|_| ()).await.unwrap();
    assert!(collected.packs_pending > 0);
    mark(&store, &repository).await;
    let objects = content(&store).await;
    let forked = store.fork();
    drop((reader, silent));
    Scene {
        store: forked,
        objects,
        points,
    }
}

/// A pack is damaged beyond what parity heals, found, and put back from elsewhere: its mark stays.
async fn mark(store: &InMemory, repository: &Repository) {
    let listed = store.list(Some(&Path::from("packs")));
    let packs: Vec<_> = listed.try_collect().await.unwrap();
    let pack = packs.into_iter().map(|meta| meta.location).min().unwrap();
    let sound = store.get(&pack).await.unwrap().bytes().await.unwrap();
    let garbage = vec![7; sound.len()];
    store.put(&pack, garbage.into()).await.unwrap();
    let report = repository.verify(VerifyDepth::Structure, &|_| ()).await;
    assert!(!report.unwrap().is_clean());
    store.put(&pack, sound.into()).await.unwrap();
}

async fn content(store: &InMemory) -> Vec<(Path, Vec<u8>)> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut objects = Vec::new();
    for meta in listed {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await;
        objects.push((meta.location, bytes.unwrap().to_vec()));
    }
    objects.sort();
    objects
}

type Change<'a> = (&'a Path, Option<&'a [u8]>);

/// What a verification made of some changes.
struct Verified {
    store: Arc<InMemory>,
    repository: Repository,
    report: VerifyReport,
}

impl Scene {
    /// A process opens the repository behind these changes, nothing for an object that is gone, and verifies.
    async fn verify(&self, changes: &[Change<'_>]) -> Verified {
        let store = Arc::new(self.store.fork());
        for (path, bytes) in changes {
            match bytes {
                Some(bytes) => drop(store.put(path, bytes.to_vec().into()).await.unwrap()),
                None => store.delete(path).await.unwrap(),
            }
        }
        let repository = Repository::open(Arc::clone(&store), &key(), env()).await;
        let repository = repository.unwrap();
        let report = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
        Verified {
            store,
            repository,
            report: report.unwrap(),
        }
    }

    /// The change of each object is told, or it was made good when the repository was opened. A mark is advice: a
    /// changed one does no harm.
    async fn check(&self, changes: &[Change<'_>], what: &str) {
        let verified = self.verify(changes).await;
        let mut is_advice = false;
        for (path, _) in changes {
            let told = is_named(&verified.report, path);
            if told || verified.is_put_back(path, self).await {
                continue;
            }
            let case = format!("{what}: {path} {:?}", verified.report);
            assert!(path.as_ref().starts_with("damaged/"), "{case}");
            is_advice = true;
        }
        if is_advice && changes.len() == 1 {
            assert!(verified.report.is_clean(), "{what}");
            verified.restores(self, what).await;
        }
    }

    fn of(&self, folder: &str) -> Vec<&(Path, Vec<u8>)> {
        let prefix = format!("{folder}/");
        let in_folder = |(path, _): &&(Path, Vec<u8>)| path.as_ref().starts_with(&prefix);
        self.objects.iter().filter(in_folder).collect()
    }
}

impl Verified {
    async fn is_put_back(&self, path: &Path, scene: &Scene) -> bool {
        let sound = scene.objects.iter().find(|(known, _)| known == path);
        match self.store.get(path).await {
            Ok(object) => *object.bytes().await.unwrap() == *sound.unwrap().1,
            Err(_) => false,
        }
    }

    async fn restores(&self, scene: &Scene, what: &str) {
        for (id, image) in &scene.points {
            let restored = restore(&self.repository, id).await;
            assert!(restored.unwrap() == *image, "{what}");
        }
    }
}

fn is_named(report: &VerifyReport, path: &Path) -> bool {
    report.damage.iter().any(|d| d.object == path.as_ref())
}

#[tokio::test]
async fn the_scene_has_every_kind_of_object() {
    let scene = scene().await;
    for folder in FOLDERS {
        assert!(!scene.of(folder).is_empty(), "{folder}");
    }
    let verified = scene.verify(&[]).await;
    assert!(verified.report.is_clean(), "{:?}", verified.report);
    verified.restores(&scene, "sound").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_in_any_object_is_found() {
    let scene = Arc::new(scene().await);
    let halves = [0, 1].map(|half| {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            for (path, sound) in scene.objects.iter().skip(half).step_by(2) {
                for step in 0..OFFSETS {
                    let place = step * (sound.len() - 1) / (OFFSETS - 1);
                    let mut bytes = sound.clone();
                    bytes[place] ^= 1 << (step % 8);
                    scene
                        .check(&[(path, Some(&bytes))], &format!("byte {place}"))
                        .await;
                }
            }
        })
    });
    for half in halves {
        half.await.unwrap();
    }
}

#[tokio::test]
async fn any_truncated_object_is_found() {
    let scene = scene().await;
    for (path, sound) in &scene.objects {
        for length in [0, 1, sound.len() / 2, sound.len() - 1] {
            scene
                .check(
                    &[(path, Some(&sound[..length]))],
                    &format!("cut at {length}"),
                )
                .await;
        }
    }
}

#[tokio::test]
async fn any_deleted_object_is_found_or_put_back_or_may_be_deleted() {
    let scene = scene().await;
    for (path, _) in &scene.objects {
        let what = format!("without {path}");
        let verified = scene.verify(&[(path, None)]).await;
        let folder = path.as_ref().split('/').next().unwrap();
        match folder {
            // Nobody can tell whether it was deleted, but its copy is told.
            "points" => assert_eq!(verified.report.lone_copies.len(), 1, "{what}"),
            // Whoever is at work and has lost its session ends; what is not condemned is in use; a mark is advice.
            "sessions" | "ended" | "condemned" | "damaged" => {
                assert!(verified.report.is_clean(), "{what}");
                verified.restores(&scene, &what).await;
            }
            // What no point needs, and what lists it, may be gone.
            "packs" | "nodes" | "index" if verified.report.is_clean() => {
                verified.restores(&scene, &what).await;
            }
            _ => {
                let put_back = verified.is_put_back(path, &scene).await;
                assert!(put_back || !verified.report.is_clean(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn swapped_objects_of_one_kind_are_found() {
    let scene = scene().await;
    for folder in FOLDERS {
        let objects = scene.of(folder);
        for (number, one) in objects.iter().enumerate() {
            for other in &objects[number + 1..] {
                swap(&scene, one, other).await;
            }
        }
    }
}

#[tokio::test]
async fn swapped_objects_of_two_kinds_are_found() {
    let scene = scene().await;
    let mut one_of_each: Vec<_> = FOLDERS.iter().map(|folder| scene.of(folder)[0]).collect();
    let configs = |(path, _): &&(Path, Vec<u8>)| path.as_ref().starts_with("config");
    one_of_each.extend(scene.objects.iter().filter(configs));
    for (number, one) in one_of_each.iter().enumerate() {
        for other in &one_of_each[number + 1..] {
            swap(&scene, one, other).await;
        }
    }
}

/// Two that hold the same bytes, as a point and its copy, may change places.
async fn swap(scene: &Scene, one: &(Path, Vec<u8>), other: &(Path, Vec<u8>)) {
    let changes = [
        (&one.0, Some(other.1.as_slice())),
        (&other.0, Some(one.1.as_slice())),
    ];
    scene
        .check(&changes, &format!("{} and {}", one.0, other.0))
        .await;
}

#[tokio::test]
async fn a_config_of_another_repository_opens_nothing() {
    let scene = scene().await;
    let other: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    Repository::init(Arc::clone(&other), &key(), SMALL_PACKS, env())
        .await
        .unwrap();
    for name in ["config", "config-copy"].map(Path::from) {
        let foreign = other.get(&name).await.unwrap().bytes().await.unwrap();
        let store = Arc::new(scene.store.fork());
        store.put(&name, foreign.into()).await.unwrap();
        let opened = Repository::open(store, &key(), env()).await;
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "{name}");
    }
}

#[tokio::test]
async fn a_hole_in_any_pack_heals_for_good() {
    let scene = scene().await;
    let packs = [scene.of("packs"), scene.of("nodes")].concat();
    for (path, sound) in packs {
        for step in 0..16 {
            let start = step * (sound.len() - HOLE) / 15;
            let mut bytes = sound.clone();
            bytes[start..start + HOLE].fill(u8::try_from(step).unwrap());
            let Verified { store, report, .. } = scene.verify(&[(path, Some(&bytes))]).await;
            let case = format!("{path} {start}/{} {report:?}", sound.len());
            assert_eq!(report.damage_count, 1, "{case}");
            assert_eq!(report.damage[0].object, path.as_ref(), "{case}");
            assert_eq!(report.damage[0].remedy, Some(Remedy::Parity), "{case}");
            assert_eq!(report.damage[0].hits, [], "{case}");
            let repository = Repository::open(Arc::clone(&store), &key(), env())
                .await
                .unwrap();
            for (id, image) in &scene.points {
                assert!(restore(&repository, id).await.unwrap() == *image, "{case}");
            }
            let repaired = repository.repair(&|_| ()).await.unwrap();
            assert_eq!(repaired.left, [], "{case}");
            let healed = store.get(path).await.unwrap().bytes().await.unwrap();
            assert!(healed == *sound, "{case}");
        }
    }
}

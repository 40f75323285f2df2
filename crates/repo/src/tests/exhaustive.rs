//! Every object of a small repository, damaged in every way: a verification notices all of it.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::support::*;
use crate::*;

const OFFSETS: usize = 64;
const HOLE: usize = 64 << 10;

/// A repository with two points, several packs and segments; copied for each case.
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
    let paths: Vec<Path> = store
        .list(None)
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .unwrap();
    let mut objects = Vec::new();
    for path in paths {
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        objects.push((path, bytes.to_vec()));
    }
    objects.sort();
    Scene {
        store: store.fork(),
        objects,
        points,
    }
}

impl Scene {
    /// What a verification finds behind these changes; nothing for an object that is gone.
    async fn verify(&self, changes: &[(&Path, Option<&[u8]>)]) -> (Arc<InMemory>, VerifyReport) {
        let store = Arc::new(self.store.fork());
        for (path, bytes) in changes {
            match bytes {
                Some(bytes) => drop(store.put(path, bytes.to_vec().into()).await.unwrap()),
                None => store.delete(path).await.unwrap(),
            }
        }
        let repository = Repository::open(Arc::clone(&store), &key(), env()).await;
        let report = repository
            .unwrap()
            .verify(VerifyDepth::ReadData, &|_| ())
            .await;
        (store, report.unwrap())
    }

    fn of(&self, folder: &str) -> Vec<&(Path, Vec<u8>)> {
        let prefix = format!("{folder}/");
        let in_folder = |(path, _): &&(Path, Vec<u8>)| path.as_ref().starts_with(&prefix);
        self.objects.iter().filter(in_folder).collect()
    }
}

fn is_named(report: &VerifyReport, path: &Path) -> bool {
    report.damage.iter().any(|d| d.object == path.as_ref())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_in_any_object_is_found() {
    let scene = Arc::new(scene().await);
    assert!(scene.objects.len() > 12, "{}", scene.objects.len());
    let (_, clean) = scene.verify(&[]).await;
    assert!(clean.is_clean(), "{clean:?}");
    let halves = [0, 1].map(|half| {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            for (path, sound) in scene.objects.iter().skip(half).step_by(2) {
                for step in 0..OFFSETS {
                    let place = step * (sound.len() - 1) / (OFFSETS - 1);
                    let mut bytes = sound.clone();
                    bytes[place] ^= 1 << (step % 8);
                    let (_, report) = scene.verify(&[(path, Some(&bytes))]).await;
                    assert!(is_named(&report, path), "{path} {place} {report:?}");
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
            let (_, report) = scene.verify(&[(path, Some(&sound[..length]))]).await;
            assert!(is_named(&report, path), "{path} {length} {report:?}");
        }
    }
}

#[tokio::test]
async fn any_deleted_object_is_found_or_put_back() {
    let scene = scene().await;
    for (path, sound) in &scene.objects {
        // How a session ended is of use only while its writer may still live; and whoever removes a point has deleted
        // it, whoever he is.
        if ["ended/", "sessions/", "points/"]
            .iter()
            .any(|folder| path.as_ref().starts_with(folder))
        {
            continue;
        }
        let (store, report) = scene.verify(&[(path, None)]).await;
        let put_back = match store.get(path).await {
            Ok(object) => object.bytes().await.unwrap() == *sound,
            Err(_) => false,
        };
        assert!(put_back || !report.is_clean(), "{path} {report:?}");
    }
}

#[tokio::test]
async fn swapped_objects_are_found() {
    let scene = scene().await;
    for folder in ["packs", "nodes", "index", "points", "points-copy", "ended"] {
        let objects = scene.of(folder);
        assert!(objects.len() > 1 || folder == "ended", "{folder}");
        for pair in objects.windows(2) {
            let [(one, first), (other, second)] = pair else {
                panic!("windows of two");
            };
            let changes = [
                (one, Some(second.as_slice())),
                (other, Some(first.as_slice())),
            ];
            let (_, report) = scene.verify(&changes).await;
            assert!(is_named(&report, one), "{one} {report:?}");
            assert!(is_named(&report, other), "{other} {report:?}");
        }
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
            let (store, report) = scene.verify(&[(path, Some(&bytes))]).await;
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

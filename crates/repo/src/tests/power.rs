//! The power goes at every step to a disk, and of what was not synced any part is lost: what was acknowledged is there,
//! nothing is damaged by it, and what was interrupted is done again.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use strongroom_store::{Create, open_local};
use strongroom_testkit::{AgingStore, PowerCut, SeededIds};

use super::collecting;
use super::support::*;
use crate::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    BackUp,
    Forget,
    Collect,
    Repair,
    ChangeKeys,
}

const TINY_PACKS: Options = Options {
    profile: Profile::Default,
    pack_bytes_target: 64 << 10,
    parity: false,
};

struct Scene {
    operation: Operation,
    store: InMemory,
    kept: (PointId, Vec<u8>),
    forgotten: PointId,
    next: Vec<u8>,
}

fn new_key() -> Secret {
    Secret::KeyFile(generate_key_file(&SeededIds::new(77)).into_bytes())
}

/// Two points, and what the operation needs: packs that nobody needs, or damage that can be made good.
async fn scene(operation: Operation) -> Scene {
    let store = Arc::new(InMemory::new());
    let shared: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    let options = Options {
        parity: operation == Operation::Repair,
        ..TINY_PACKS
    };
    let repository = init(&shared, options).await;
    let kept = image(31, 400_000);
    let mut forgotten = kept.clone();
    forgotten[200_000..300_000].copy_from_slice(&image(12, 400_000)[..100_000]);
    let mut next = kept.clone();
    next[100_000..250_000].copy_from_slice(&image(13, 600_000)[..150_000]);
    // Before the others, so that they need a part of what it stored.
    let mut filler = kept.clone();
    filler[..250_000].copy_from_slice(&image(33, 400_000)[..250_000]);
    let filled = match operation {
        Operation::Collect => Some(back_up(&repository, "filler", &filler).await.unwrap()),
        _ => None,
    };
    let commit = back_up(&repository, "kept", &kept).await.unwrap();
    let other = back_up(&repository, "forgotten", &forgotten).await;
    let forgotten = other.unwrap().point.id;
    match operation {
        Operation::Collect => {
            let filler = filled.unwrap().point.id;
            repository.delete_point(&filler).await.unwrap();
            repository.delete_point(&forgotten).await.unwrap();
        }
        Operation::Repair => damage(&store).await,
        Operation::BackUp | Operation::Forget | Operation::ChangeKeys => {}
    }
    Scene {
        operation,
        store: store.fork(),
        kept: (commit.point.id, kept),
        forgotten,
        next,
    }
}

/// One pack, one index segment, one point and the config.
async fn damage(store: &InMemory) {
    for folder in ["packs", "index", "points"] {
        let (name, _) = collecting::objects(store, &[folder]).await[0].clone();
        let path = Path::from(name);
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        store.put(&path, bytes.into()).await.unwrap();
    }
    let config = Path::from("config");
    store.put(&config, "nonsense".into()).await.unwrap();
}

async fn open(store: Arc<dyn ObjectStore>) -> Repository {
    let repository = Repository::open(Arc::clone(&store), &key(), env()).await;
    match repository {
        Err(Error::WrongKey) => Repository::open(store, &new_key(), env()).await.unwrap(),
        repository => repository.unwrap(),
    }
}

impl Scene {
    async fn run(&self, store: Arc<dyn ObjectStore>) -> Result<()> {
        let opened = Repository::open(Arc::clone(&store), &key(), env()).await;
        let repository = match opened {
            // Done, or begun before the power went.
            Err(Error::WrongKey) => Repository::open(store, &new_key(), env()).await?,
            opened => opened?,
        };
        match self.operation {
            Operation::BackUp => match back_up(&repository, "next", &self.next).await {
                Ok(_) | Err(Error::PointExists(_)) => Ok(()),
                Err(error) => Err(error),
            },
            Operation::Forget => repository.delete_point(&self.forgotten).await,
            Operation::Collect => {
                let options = CollectOptions {
                    compact_below_percent: 80,
                    wait: Duration::ZERO,
                    ..CollectOptions::default()
                };
                repository.collect(&options, &|_| ()).await.map(drop)
            }
            Operation::Repair => {
                let report = repository.repair(&|_| ()).await?;
                assert_eq!(report.left, []);
                Ok(())
            }
            Operation::ChangeKeys => repository.rotate_keys(&new_key()).await,
        }
    }

    /// A repository that the power cut left behind, opened by the next process.
    async fn check(&self, folder: &FilePath, done: bool, case: &str) {
        let objects = || open_local(folder, Create::Never).unwrap().objects;
        if done && self.operation == Operation::ChangeKeys {
            let old = Repository::open(objects(), &key(), env()).await;
            assert!(matches!(old, Err(Error::WrongKey)), "{case}");
        }
        let repository = open(objects()).await;
        if self.operation != Operation::Repair {
            self.check_clean(&repository, case).await;
        }
        self.check_points(&repository, done, case).await;
        let aging = AgingStore::new(objects());
        aging.pass(Duration::from_hours(1));
        self.run(Arc::clone(&aging) as _)
            .await
            .unwrap_or_else(|error| panic!("{case}, again: {error:?}"));
        let repository = open(objects()).await;
        self.check_clean(&repository, case).await;
        self.check_points(&repository, true, case).await;
    }

    async fn check_clean(&self, repository: &Repository, case: &str) {
        let report = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
        let report = report.unwrap();
        assert!(report.is_clean(), "{case}: {report:?}");
    }

    async fn check_points(&self, repository: &Repository, done: bool, case: &str) {
        let restored = restore(repository, &self.kept.0).await;
        assert!(restored.unwrap() == self.kept.1, "{case}");
        let points = repository.list_points().await.unwrap();
        let mut names: Vec<_> = points.iter().map(|point| point.name.as_str()).collect();
        names.sort_unstable();
        if done {
            let expected: &[&str] = match self.operation {
                Operation::BackUp => &["forgotten", "kept", "next"],
                Operation::Forget | Operation::Collect => &["kept"],
                Operation::Repair | Operation::ChangeKeys => &["forgotten", "kept"],
            };
            assert_eq!(names, expected, "{case}");
        }
        if let Some(next) = points.iter().find(|point| point.name == "next") {
            let restored = restore(repository, &next.id).await.unwrap();
            assert!(restored == self.next, "{case}");
        }
    }
}

/// Of what was not synced: nothing, or some of it by chance.
fn luck(survives: bool, seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if survives { state >> 8 } else { 1 }
    }
}

async fn cut_everywhere(operation: Operation, steps_min: u64) {
    let scene = scene(operation).await;
    let mut cut_at = 1;
    loop {
        let power = PowerCut::new(&scene.store, cut_at).await.unwrap();
        let aging = AgingStore::new(Arc::clone(&power) as _);
        aging.pass(Duration::from_hours(1));
        let done = scene.run(aging).await;
        if let Err(error) = &done {
            assert!(power.is_cut(), "{operation:?} at {cut_at}: {error:?}");
        }
        for survives in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut luck = luck(survives, cut_at);
            power.write_survivors(folder.path(), &mut luck).unwrap();
            let case = format!("{operation:?}, cut at {cut_at}, {survives}");
            scene.check(folder.path(), done.is_ok(), &case).await;
        }
        if !power.is_cut() {
            break;
        }
        cut_at += 1;
    }
    assert!(cut_at > steps_min, "{operation:?}: {cut_at} steps");
}

#[tokio::test]
async fn a_backup_survives_a_power_cut_at_every_step() {
    cut_everywhere(Operation::BackUp, 40).await;
}

#[tokio::test]
async fn a_deletion_survives_a_power_cut_at_every_step() {
    cut_everywhere(Operation::Forget, 3).await;
}

#[tokio::test]
async fn a_collection_survives_a_power_cut_at_every_step() {
    cut_everywhere(Operation::Collect, 40).await;
}

#[tokio::test]
async fn a_repair_survives_a_power_cut_at_every_step() {
    cut_everywhere(Operation::Repair, 20).await;
}

#[tokio::test]
async fn a_change_of_the_keys_survives_a_power_cut_at_every_step() {
    cut_everywhere(Operation::ChangeKeys, 15).await;
}

/// All files below a folder, with what they hold.
fn files(folder: &FilePath) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

async fn put(store: &dyn ObjectStore, name: &str, mode: PutMode) -> object_store::Result<()> {
    let content = format!("{name} {mode:?}");
    let path = Path::from(name);
    let put = store.put_opts(&path, content.into(), mode.into());
    put.await.map(drop)
}

#[tokio::test]
async fn the_model_does_what_a_folder_does() {
    let power = PowerCut::new(&InMemory::new(), 0).await.unwrap();
    let real = tempfile::tempdir().unwrap();
    let local = open_local(real.path(), Create::Never).unwrap().objects;
    for store in [&*power as &dyn ObjectStore, &*local] {
        put(store, "a", PutMode::Create).await.unwrap();
        put(store, "x/b", PutMode::Create).await.unwrap();
        put(store, "x/y/c", PutMode::Overwrite).await.unwrap();
        put(store, "x/b", PutMode::Overwrite).await.unwrap();
        put(store, "a", PutMode::Create).await.unwrap_err();
        store.delete(&Path::from("x/y/c")).await.unwrap();
        store.delete(&Path::from("x/y/c")).await.unwrap_err();
    }
    // Behind a sync luck has no say, but about the names of files that are linked to their own already.
    let all = |mut files: Vec<(String, Vec<u8>)>| {
        files.retain(|(name, _)| !name.contains('#'));
        files
    };
    for survives in [false, true] {
        let after = tempfile::tempdir().unwrap();
        let mut luck = luck(survives, 1);
        power.write_survivors(after.path(), &mut luck).unwrap();
        assert_eq!(all(files(after.path())), all(files(real.path())));
    }
}

#[tokio::test]
async fn the_model_loses_an_earlier_name_and_keeps_a_later_one() {
    let (mut lost_earlier, mut lost_later) = (false, false);
    for cut_at in 1..20 {
        // With its folder, so that both take the same steps from here on.
        let start = InMemory::new();
        put(&start, "x/first", PutMode::Create).await.unwrap();
        let power = PowerCut::new(&start, cut_at).await.unwrap();
        // Whichever way they end: the power goes.
        let _ = tokio::join!(
            put(&*power, "x/earlier", PutMode::Create),
            put(&*power, "x/later", PutMode::Create)
        );
        for seed in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let mut luck = luck(true, seed);
            power.write_survivors(folder.path(), &mut luck).unwrap();
            let [earlier, later] = ["earlier", "later"].map(|n| folder.path().join("x").join(n));
            lost_earlier |= !earlier.exists() && later.exists();
            lost_later |= earlier.exists() && !later.exists();
        }
    }
    assert!(lost_earlier && lost_later);
}

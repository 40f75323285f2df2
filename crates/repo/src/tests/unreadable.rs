//! Bad sectors: what cannot be read is a hole like any other damage, and hides nothing else.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_store::{Create, open_local};
use strongroom_testkit::BadSectors;

use super::collecting::{self, TINY_PACKS};
use super::damage::Case;
use super::support::*;
use crate::*;

const SECTOR: u64 = 4096;

struct Scene {
    disk: Arc<BadSectors>,
    case: Case,
}

async fn scene(parity: bool) -> Scene {
    let disk = BadSectors::new(Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = Arc::clone(&disk) as _;
    let options = Options {
        parity,
        ..SMALL_PACKS
    };
    let repository = init(&store, options).await;
    let case = Case::new(store, repository).await;
    Scene { disk, case }
}

impl Scene {
    async fn first(&self, folder: &str) -> Path {
        self.case.objects(folder).await[0].clone()
    }

    async fn length(&self, path: &Path) -> u64 {
        self.case.store.head(path).await.unwrap().size
    }

    async fn open(&self) -> Repository {
        let store = Arc::clone(&self.case.store);
        Repository::open(store, &key(), env()).await.unwrap()
    }

    async fn scrub(&self, dry_run: bool) -> ScrubReport {
        let options = ScrubOptions {
            dry_run,
            ..ScrubOptions::default()
        };
        scrub(Arc::clone(&self.case.store), options).await.unwrap()
    }

    async fn repair(&self) -> RepairReport {
        self.open().await.repair(&|_| ()).await.unwrap()
    }

    async fn restore(&self) -> Result<Vec<u8>> {
        restore(&self.open().await, &self.case.point.id).await
    }

    async fn verify(&self) -> VerifyReport {
        let repository = self.open().await;
        let report = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
        report.unwrap()
    }
}

fn bytes(from: u64, to: u64) -> String {
    format!("the disk cannot read bytes {from} to {to}")
}

#[tokio::test]
async fn a_bad_sector_anywhere_in_a_pack_heals_for_good() {
    let scene = scene(true).await;
    for folder in ["packs", "nodes"] {
        let path = scene.first(folder).await;
        let pages = scene.length(&path).await / SECTOR;
        let sound = scene.case.read(&path).await;
        // The last one holds the trailer.
        for page in [0, 1, pages / 2, pages - 1] {
            let (from, to) = (page * SECTOR, (page + 1) * SECTOR);
            let case = format!("{path} page {page} of {pages}");
            // A sector of the disk is smaller than what can be read at once.
            scene.disk.spoil(&path, from + 512..from + 1024);
            let repository = scene.open().await;
            let restored = restore(&repository, &scene.case.point.id).await;
            assert!(restored.unwrap() == scene.case.image, "{case}");
            let verified = scene.verify().await;
            assert_eq!(verified.damage_count, 1, "{case} {verified:?}");
            assert_eq!(verified.damage[0].object, path.as_ref(), "{case}");
            assert_eq!(verified.damage[0].problem, bytes(from, to), "{case}");
            assert_eq!(verified.damage[0].remedy, Some(Remedy::Parity), "{case}");
            assert_eq!(verified.damage[0].hits, [], "{case}");
            let scrubbed = scene.scrub(true).await;
            assert_eq!(scrubbed.damage_count, 1, "{case}");
            assert_eq!(scrubbed.damage[0].problem, bytes(from, to), "{case}");
            assert!(scrubbed.damage[0].heals, "{case}");
            if page % 2 == 0 {
                let repaired = scene.repair().await;
                assert_eq!(repaired.left, [], "{case}");
                assert_eq!(repaired.repaired[0].action, RepairAction::Healed);
            } else {
                assert!(scene.scrub(false).await.damage[0].heals, "{case}");
            }
            assert_eq!(scene.disk.spoiled(), [], "{case}: it is written elsewhere");
            assert!(scene.case.read(&path).await == sound, "{case}");
            assert!(scene.verify().await.is_clean(), "{case}");
        }
    }
}

#[tokio::test]
async fn a_restore_reads_around_a_bad_sector() {
    let scene = scene(true).await;
    let path = scene.first("packs").await;
    let middle = scene.length(&path).await / 2;
    scene.disk.spoil(&path, middle..middle + 1);
    let repository = scene.open().await;
    let restored = restore(&repository, &scene.case.point.id).await;
    assert!(restored.unwrap() == scene.case.image);
    assert!(repository.packs_healed() > 0);
}

#[tokio::test]
async fn without_parity_a_bad_sector_costs_what_lies_on_it_and_is_named() {
    let scene = scene(false).await;
    let packs = scene.case.objects("packs").await;
    for pack in &packs[..2] {
        scene.disk.spoil(pack, 100 * SECTOR..102 * SECTOR);
    }
    let problem = bytes(100 * SECTOR, 102 * SECTOR);
    let Err(Error::Corrupt { object, detail }) = scene.restore().await else {
        panic!("nobody knows these bytes");
    };
    assert!(packs[..2].iter().any(|pack| pack.as_ref() == object));
    assert_eq!(detail, problem);

    let scrubbed = scene.scrub(false).await;
    assert_eq!(scrubbed.damage_count, 2);
    assert!(scrubbed.damage.iter().all(|d| d.problem == problem));
    assert!(!scrubbed.damage.iter().any(|d| d.heals));

    let repaired = scene.repair().await;
    assert_eq!((repaired.left.len(), repaired.repaired.len()), (2, 0));
    let verified = scene.verify().await;
    assert_eq!(verified.damage_count, 2);
    for damage in &verified.damage {
        assert_eq!((&damage.problem, damage.remedy), (&problem, None));
        // Only the frames on it: two at most, of up to 384 KiB.
        let [hit] = damage.hits.as_slice() else {
            panic!("one point is hit: {damage:?}");
        };
        assert!(hit.bytes > 0 && hit.bytes <= 2 * (384 << 10), "{damage:?}");
    }
    assert!(
        verified.packs_checked > packs.len() as u64,
        "the others too"
    );

    let mark = scene.first("damaged").await;
    scene.disk.spoil(&mark, 0..1);
    let scrubbed = scene.scrub(true).await;
    assert_eq!(scrubbed.damage_count, 3);
    assert!(scrubbed.damage.iter().any(|d| d.object == mark.as_ref()));

    // They are marked: the same disk, backed up again, brings everything back.
    let repository = scene.open().await;
    back_up(&repository, "again", &scene.case.image)
        .await
        .unwrap();
    assert!(scene.restore().await.unwrap() == scene.case.image);
}

#[tokio::test]
async fn a_pack_that_cannot_be_read_at_all_is_moved_aside_as_it_lies() {
    let scene = scene(false).await;
    let path = scene.first("packs").await;
    scene.disk.spoil(&path, 0..u64::MAX);
    let report = scene.repair().await;
    assert_eq!(report.repaired[0].action, RepairAction::Quarantined);
    assert_eq!(report.left[0].object, path.as_ref());
    // With its bad sectors, which nothing else gets so.
    let aside = Path::from(format!("quarantine/{path}"));
    assert_eq!(scene.disk.spoiled(), [aside]);
    assert!(!scene.case.objects("packs").await.contains(&path));
}

#[tokio::test]
async fn objects_with_a_copy_come_from_it() {
    for name in ["config", "config-copy", "points", "points-copy", "index"] {
        let scene = scene(false).await;
        let path = match name {
            "config" | "config-copy" => Path::from(name),
            folder => scene.first(folder).await,
        };
        let sound = scene.case.read(&path).await;
        scene.disk.spoil(&path, 0..1);
        assert!(scene.restore().await.unwrap() == scene.case.image, "{name}");
        let verified = scene.verify().await;
        // Without its segment a pack is not indexed, which is told too.
        let alone = verified.damage_count == 1 || name == "index";
        assert!(alone, "{name} {verified:?}");
        assert_eq!(verified.damage[0].object, path.as_ref());
        let problem = &verified.damage[0].problem;
        assert!(problem.starts_with("the disk cannot read"), "{problem}");
        let repaired = scene.repair().await;
        assert_eq!(repaired.left, [], "{name}");
        assert!(scene.verify().await.is_clean(), "{name}");
        if name != "index" {
            assert!(scene.case.read(&path).await == sound, "{name}");
            assert_eq!(scene.disk.spoiled(), [], "{name}");
        }
        assert!(scene.restore().await.unwrap() == scene.case.image, "{name}");
    }
}

#[tokio::test]
async fn a_disk_that_is_gone_is_no_damage() {
    let scene = scene(true).await;
    let repository = scene.open().await;
    scene.disk.lose_disk();
    let verified = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
    assert!(matches!(verified, Err(Error::Unavailable { .. })));
    let restored = restore(&repository, &scene.case.point.id).await;
    assert!(matches!(restored, Err(Error::Unavailable { .. })));
    let repaired = repository.repair(&|_| ()).await;
    assert!(matches!(repaired, Err(Error::Unavailable { .. })));
    let store = Arc::clone(&scene.case.store);
    let scrubbed = scrub(store, ScrubOptions::default()).await;
    assert!(matches!(scrubbed, Err(Error::Unavailable { .. })));
}

/// A collection that wants to rewrite packs, one of them with a bad sector.
async fn sparse(parity: bool) -> (Arc<BadSectors>, Repository, (PointId, Vec<u8>)) {
    let disk = BadSectors::new(Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = Arc::clone(&disk) as _;
    let options = Options {
        parity,
        pack_bytes_target: 400 << 10,
        ..TINY_PACKS
    };
    let repository = init(&store, options).await;
    let first = image(83, 4_000_000);
    let mut second = image(84, 4_000_000);
    for at in (0..4_000_000 - 65_536).step_by(262_144) {
        second[at..at + 65_536].copy_from_slice(&first[at..at + 65_536]);
    }
    let gone = back_up(&repository, "gone", &first).await.unwrap();
    let kept = back_up(&repository, "kept", &second).await.unwrap();
    repository.delete_point(&gone.point.id).await.unwrap();
    (disk, repository, (kept.point.id, second))
}

#[tokio::test]
async fn a_collection_rewrites_what_heals_and_leaves_what_does_not() {
    for parity in [true, false] {
        let (disk, repository, kept) = sparse(parity).await;
        let store: Arc<dyn ObjectStore> = Arc::clone(&disk) as _;
        let packs = collecting::objects(&*store, &["packs"]).await;
        for (pack, length) in &packs {
            disk.spoil(&Path::from(pack.as_str()), length / 3..length / 3 + 1);
        }
        let report = collecting::collect(&repository).await.unwrap();
        let left = disk.spoiled().len();
        if parity {
            assert!(report.bytes_copied > 0 && left < packs.len(), "{report:?}");
            let repository = collecting::open(&store).await;
            assert!(restore(&repository, &kept.0).await.unwrap() == kept.1);
            continue;
        }
        disk.mend();
        let repository = collecting::open(&store).await;
        collecting::check(&repository, &[kept]).await;
        let mended = collecting::collect(&repository).await.unwrap();
        assert!(mended.bytes_copied > 0, "they wait until they can be read");
    }
}

#[tokio::test]
async fn in_a_folder_a_healed_pack_is_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_local(folder.path(), Create::IfMissing).unwrap();
    let options = Options::suited_to(&storage);
    let repository = Repository::init(storage.clone(), &key(), options, env())
        .await
        .unwrap();
    let image = image(31, 1_000_000);
    back_up(&repository, "p", &image).await.unwrap();
    let packs = collecting::objects(&*storage.objects, &["packs"]).await;
    let file = folder.path().join(&packs[0].0);
    let sound = std::fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    damaged[9000] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    // Whoever has it open keeps the sectors that it lies on.
    let before = std::fs::File::open(&file).unwrap();
    repository.repair(&|_| ()).await.unwrap();
    assert_ne!(
        before.metadata().unwrap().ino(),
        std::fs::metadata(&file).unwrap().ino()
    );
    assert!(std::fs::read(&file).unwrap() == sound);
}

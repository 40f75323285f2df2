//! What the caller vouches for is carried over from the parent, and the point is the one of an image read whole.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;

use super::collecting::{check, objects, open};
use super::sparse::{BLOCK, Disk};
use super::support::*;
use crate::*;

/// Blocks of a leaf, and of a node above leaves.
pub(super) const LEAF: u64 = 1 << 10;
const INNER: u64 = 1 << 18;

/// Blocks that are written, or cleared.
#[derive(Debug, Clone)]
struct Edit {
    start: u64,
    blocks: u64,
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Nothing,
    LostPack(prop::sample::Index),
    MarkedPack(prop::sample::Index),
    LostNodes(prop::sample::Index),
    /// Nobody knows of it beforehand.
    SpoiltNodes(prop::sample::Index, prop::sample::Index),
    LostIndex,
}

/// Borders of nodes are where things go wrong.
fn edit(blocks_max: u64, seed: std::ops::Range<u64>) -> impl Strategy<Value = Edit> {
    let near = |border: u64| (0..4u64, 0..160u64).prop_map(move |(n, d)| n * border + d);
    let start = prop_oneof![
        4 => near(LEAF),
        2 => near(INNER),
        1 => 0..3 * INNER,
        3 => 0..5 * LEAF,
    ];
    let blocks = prop_oneof![3 => 1..40u64, 2 => 1..200u64, 1 => 1..blocks_max];
    (start, blocks, prop::option::weighted(0.8, seed)).prop_map(|(start, blocks, seed)| Edit {
        start: start.saturating_sub(80),
        blocks,
        seed: seed.map(|seed| seed << 32),
    })
}

fn size() -> impl Strategy<Value = u64> {
    let blocks = prop_oneof![3 => 1..6 * LEAF, 1 => 1..4 * INNER];
    (blocks, prop_oneof![Just(0), 0..BLOCK]).prop_map(|(blocks, tail)| blocks * BLOCK - tail)
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => Just(Damage::Nothing),
        1 => index().prop_map(Damage::LostPack),
        1 => index().prop_map(Damage::MarkedPack),
        1 => index().prop_map(Damage::LostNodes),
        2 => (index(), index()).prop_map(|(pack, byte)| Damage::SpoiltNodes(pack, byte)),
        1 => Just(Damage::LostIndex),
    ]
}

#[derive(Debug, Clone)]
struct Story {
    profile: Profile,
    first: (u64, Vec<Edit>),
    /// Sizes of the parent and of the image, or as before.
    second: (Option<u64>, Vec<Edit>),
    third: (Option<u64>, Vec<Edit>),
    damage: Damage,
    grid: u64,
    /// Where about, in MiB, the caller writes what has not changed.
    dirty: Vec<u64>,
    /// Whether the caller reads what it is told would be read again.
    borders_first: bool,
}

fn story() -> impl Strategy<Value = Story> {
    let profile = prop::sample::select(Profile::ALL.to_vec());
    let first = (size(), prop::collection::vec(edit(2600, 1..4), 1..8));
    let resized = || prop::option::weighted(0.3, size());
    let second = (resized(), prop::collection::vec(edit(60, 4..9), 0..4));
    let third = (resized(), prop::collection::vec(edit(60, 9..20), 0..4));
    let grid = prop::sample::select(vec![BLOCK, 16 * BLOCK]);
    let dirty = (prop::collection::vec(0..20u64, 0..3), any::<bool>());
    (profile, first, second, third, damage(), grid, dirty).prop_map(
        |(profile, first, second, third, damage, grid, (dirty, borders_first))| Story {
            profile,
            first,
            second,
            third,
            damage,
            grid,
            dirty,
            borders_first,
        },
    )
}

fn edited(disk: &mut Disk, edits: &[Edit]) {
    for edit in edits {
        let blocks = edit.start..edit.start + edit.blocks;
        match edit.seed {
            Some(seed) => disk.fill(blocks, seed),
            None => disk.clear(blocks),
        }
    }
}

fn next(disk: &Disk, (size, edits): &(Option<u64>, Vec<Edit>)) -> Disk {
    let mut disk = disk.clone();
    if let Some(size) = size {
        disk.resize(*size);
    }
    edited(&mut disk, edits);
    disk
}

/// Backs up the disk as of `before`, the disk of the parent; also returns how much was read again.
async fn back_up_story(
    repository: &Repository,
    story: &Story,
    before: &Disk,
    disk: &Disk,
) -> (Commit, u64) {
    let mut changes = disk.changes(before, story.grid);
    let common = before.size_bytes.min(disk.size_bytes);
    for place in &story.dirty {
        // Off the grid.
        let place = place * 1_048_573;
        let end = place + 1000;
        let touches = |change: &Range<u64>| change.start <= end && place <= change.end;
        if end <= common && !changes.iter().any(touches) {
            changes.push(place..end);
        }
    }
    changes.sort_by_key(|change| change.start);
    let done = if story.borders_first {
        disk.back_up_with_borders(repository, "third", &changes)
            .await
    } else {
        disk.back_up_changes(repository, "third", &changes).await
    };
    done.unwrap()
}

async fn harm(store: &Arc<dyn ObjectStore>, repository: &Repository, damage: Damage) {
    let folder = match damage {
        Damage::Nothing => return,
        Damage::LostPack(_) | Damage::MarkedPack(_) => "packs",
        Damage::LostNodes(_) | Damage::SpoiltNodes(..) => "nodes",
        Damage::LostIndex => "index",
    };
    let all = objects(&**store, &[folder]).await;
    let all: Vec<Path> = all.into_iter().map(|(name, _)| Path::from(name)).collect();
    if all.is_empty() {
        return;
    }
    match damage {
        Damage::Nothing => {}
        Damage::LostPack(which) | Damage::LostNodes(which) => {
            store.delete(which.get(&all)).await.unwrap();
        }
        Damage::MarkedPack(which) => {
            let id = which.get(&all).filename().unwrap();
            let packs = repository.engine.index.packs();
            let pack = packs.iter().find(|pack| pack.id.to_string() == id);
            let marks = &repository.engine.marks;
            let pack = pack.unwrap().id;
            marks
                .add(&repository.engine.store, pack, "a test says so")
                .await
                .unwrap();
        }
        Damage::SpoiltNodes(which, byte) => {
            let path = which.get(&all);
            let bytes = store.get(path).await.unwrap().bytes().await.unwrap();
            let mut bytes = bytes.to_vec();
            // Behind the header, before the directory in most cases.
            let at = 64 + byte.index(bytes.len() - 64);
            bytes[at] ^= 1;
            store.put(path, bytes.into()).await.unwrap();
        }
        Damage::LostIndex => {
            for path in &all {
                store.delete(path).await.unwrap();
            }
        }
    }
}

pub(super) async fn repository_of(profile: Profile) -> (Arc<dyn ObjectStore>, Repository) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let options = Options {
        profile,
        ..SMALL_PACKS
    };
    let repository = init(&store, options).await;
    (store, repository)
}

/// The root that the disk has in a repository that knows nothing before it.
async fn root_alone(disk: &Disk, profile: Profile) -> String {
    let (_, repository) = repository_of(profile).await;
    disk.back_up(&repository, "alone").await.unwrap().point.root
}

async fn tell(story: Story) {
    let mut first = Disk::new(story.first.0);
    edited(&mut first, &story.first.1);
    let second = next(&first, &story.second);
    let third = next(&second, &story.third);
    let (store, repository) = repository_of(story.profile).await;
    first.back_up(&repository, "first").await.unwrap();
    second.back_up(&repository, "second").await.unwrap();
    harm(&store, &repository, story.damage).await;
    let repository = open(&store).await;
    let (commit, read) = back_up_story(&repository, &story, &second, &third).await;
    assert_eq!(commit.point.root, root_alone(&third, story.profile).await);
    // What was spoilt and not looked at is still spoilt, as it is for a writer who reads all.
    if !matches!(story.damage, Damage::SpoiltNodes(..)) {
        assert!(third.is_restored(&repository, &commit.point.id).await);
    }
    if matches!(story.damage, Damage::Nothing | Damage::LostIndex) {
        let changes = third.changes(&second, story.grid).len() + story.dirty.len() + 1;
        let around = 8 * story.profile.chunk_bytes_max() as u64;
        assert!(read <= changes as u64 * around, "{read} {changes}");
        assert!(commit.bytes_scanned <= read + third.size_bytes);
        check(&repository, &[]).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_carried_over_is_as_if_it_were_read(story in story()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(tell(story));
    }
}

/// A disk of 96 MiB with data everywhere but in a few holes, backed up.
pub(super) async fn full_disk() -> (Arc<dyn ObjectStore>, Repository, Disk) {
    let (store, repository) = repository_of(Profile::Default).await;
    let mut disk = Disk::new(24 * LEAF * BLOCK);
    disk.fill(0..24 * LEAF, 1 << 32);
    disk.clear(3000..3500);
    disk.clear(9000..9001);
    disk.back_up(&repository, "first").await.unwrap();
    (store, repository, disk)
}

#[tokio::test]
async fn little_more_than_what_has_changed_is_read() {
    let (_, repository, mut disk) = full_disk().await;
    let before = disk.clone();
    // 8 MiB, a MiB at a time.
    for start in (500..24 * LEAF).step_by(3000) {
        disk.fill(start..start + 256, 2 << 32);
    }
    let changes = disk.changes(&before, 16 * BLOCK);
    let done = disk.back_up_changes(&repository, "second", &changes).await;
    let (commit, read) = done.unwrap();
    assert!(read < 2 << 20, "{read}");
    assert!(commit.bytes_scanned < 11 << 20, "{commit:?}");
    let alone = root_alone(&disk, Profile::Default).await;
    assert_eq!(commit.point.root, alone);
    assert!(disk.is_restored(&repository, &commit.point.id).await);
    check(&repository, &[]).await;
}

#[tokio::test]
async fn what_would_be_read_again_is_known_beforehand() {
    let (_, repository, mut disk) = full_disk().await;
    let before = disk.clone();
    // As random writes: 60 pieces of 64 KiB.
    for start in (7..24 * LEAF).step_by(409) {
        disk.fill(start..start + 16, 2 << 32);
    }
    let changes = disk.changes(&before, 16 * BLOCK);
    let done = disk.back_up_changes(&repository, "waits", &changes).await;
    let (commit, waited) = done.unwrap();
    repository.delete_point(&commit.point.id).await.unwrap();
    let done = disk.back_up_with_borders(&repository, "second", &changes);
    let (told, read) = done.await.unwrap();
    assert_eq!(told.point.root, commit.point.root);
    // Where cuts fall otherwise than before, it is not.
    assert!(read * 4 < waited, "{read} of {waited}");
    assert!(
        told.bytes_scanned < commit.bytes_scanned * 11 / 10,
        "{told:?} {commit:?}"
    );
    assert!(disk.is_restored(&repository, &told.point.id).await);
}

#[tokio::test]
async fn a_disk_that_has_not_changed_is_not_read() {
    let (_, repository, disk) = full_disk().await;
    let done = disk.back_up_changes(&repository, "second", &[]).await;
    let (commit, read) = done.unwrap();
    let sums = (read, commit.bytes_scanned, commit.bytes_stored);
    assert_eq!(sums, (0, 0, 0));
    assert!(disk.is_restored(&repository, &commit.point.id).await);
}

#[tokio::test]
async fn a_writer_says_what_it_would_carry_over() {
    let (_, repository, disk) = full_disk().await;
    let first = repository.list_points().await.unwrap().remove(0);
    let (reread, _) = disk.reread();
    let writer = repository.begin_point_over(disk.new_point("second"), reread);
    let writer = writer.await.unwrap();
    assert_eq!(writer.parent(), Some(&first));
    drop(writer);
    let new = NewPoint {
        lineage: "another".to_owned(),
        ..disk.new_point("other")
    };
    let (reread, _) = disk.reread();
    let mut writer = repository.begin_point_over(new, reread).await.unwrap();
    assert_eq!(writer.parent(), None);
    let refused = writer.unchanged(5).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let refused = writer.audit(Bytes::from_static(b"five!")).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_unchanged_that_the_parent_does_not_have() {
    let (_, repository, mut disk) = full_disk().await;
    let before = disk.size_bytes;
    disk.resize(before + 5);
    let (reread, _) = disk.reread();
    let writer = repository.begin_point_over(disk.new_point("second"), reread);
    let mut writer = writer.await.unwrap();
    let refused = writer.unchanged(before + 1).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    // Who cannot read again cannot vouch.
    let new = disk.new_point("third");
    let mut writer = repository.begin_point(new).await.unwrap();
    let refused = writer.unchanged(5).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

#[derive(Debug, thiserror::Error)]
#[error("no such disk")]
struct NoDisk;

#[tokio::test]
async fn the_callers_own_error_comes_back() {
    let (_, repository, disk) = full_disk().await;
    let reread: Reread = Box::new(|_, _| Err(Arc::new(NoDisk)));
    let writer = repository.begin_point_over(disk.new_point("second"), reread);
    let mut writer = writer.await.unwrap();
    // Inside of a chunk.
    let failed = async {
        writer.unchanged(7000).await?;
        writer.write(disk.bytes(7000..disk.size_bytes)).await?;
        writer.commit().await
    };
    let Err(Error::Reread { offset, source }) = failed.await else {
        panic!("the disk cannot be read");
    };
    assert!(offset < 7000);
    assert!(source.downcast_ref::<NoDisk>().is_some());
}

#[tokio::test]
async fn an_audit_finds_who_errs() {
    let (_, repository, disk) = full_disk().await;
    let place = 5000 * BLOCK..5200 * BLOCK;
    let mut changed = disk.clone();
    changed.fill(5100..5101, 7 << 32);
    // Something in a hole of the parent, and a hole where it has something.
    let mut filled = disk.clone();
    filled.fill(9000..9001, 7 << 32);
    let mut emptied = disk.clone();
    emptied.clear(5050..5190);
    let hole = 8900 * BLOCK..9100 * BLOCK;
    for (disk, range, fails) in [
        (&disk, &place, false),
        (&disk, &hole, false),
        (&changed, &place, true),
        (&filled, &hole, true),
        (&emptied, &place, true),
    ] {
        let (reread, _) = disk.reread();
        let writer = repository.begin_point_over(disk.new_point("second"), reread);
        let mut writer = writer.await.unwrap();
        let audited = async {
            writer.unchanged(range.start).await?;
            writer.audit(disk.bytes(range.clone())).await?;
            writer.unchanged(disk.size_bytes - range.end).await?;
            writer.commit().await
        };
        match audited.await {
            Ok(commit) => {
                assert!(!fails);
                assert!(disk.is_restored(&repository, &commit.point.id).await);
                repository.delete_point(&commit.point.id).await.unwrap();
            }
            Err(Error::Changed { offset }) => assert!(fails && range.contains(&offset)),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(repository.list_points().await.unwrap().len(), 1);
}

/// Of 24 leaves that lie in the order of the image, about half are in the first frame.
#[tokio::test]
async fn a_node_that_cannot_be_read_hides_no_border() {
    for (sixths, place, least) in [(1, 6, 90), (4, 18, 30)] {
        let (store, _, mut disk) = full_disk().await;
        let before = disk.clone();
        let (nodes, length) = objects(&*store, &["nodes"]).await.remove(0);
        let path = Path::from(nodes);
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        let mut bytes = bytes.to_vec();
        bytes[usize::try_from(length * sixths / 6).unwrap()] ^= 1;
        store.put(&path, bytes.into()).await.unwrap();
        // In a leaf that is read, behind others that would not have been.
        disk.fill(place * LEAF + 5..place * LEAF + 9, 3 << 32);
        let repository = open(&store).await;
        let changes = disk.changes(&before, BLOCK);
        let done = disk.back_up_changes(&repository, "second", &changes).await;
        let (commit, read) = done.unwrap();
        let alone = root_alone(&disk, Profile::Default).await;
        assert_eq!(commit.point.root, alone, "{place}");
        assert!((least..97).contains(&(read >> 20)), "{place} {read}");
    }
}

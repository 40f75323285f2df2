//! The corpus is what it says, and the same every time.

use super::composition;
use super::content::{self, Prose};
use super::ext4::{Extent, parse_extent};
use super::numbers::Numbers;

#[test]
fn numbers_are_the_same_in_every_run() {
    let mut numbers = Numbers::named("a name");
    let mut again = Numbers::named("a name");
    let mut other = Numbers::named("another name");
    let first: Vec<u64> = (0..4).map(|_| numbers.next()).collect();
    assert_eq!(first, (0..4).map(|_| again.next()).collect::<Vec<_>>());
    assert_ne!(first[0], other.next());
    for _ in 0..100 {
        assert!((3..=5).contains(&numbers.between(3, 5)));
    }
}

#[test]
fn debugfs_lists_extents() {
    let line = " 1/ 1   2/ 12   2048 -  4095    36864 -    38911   2048 ";
    let extent = Extent {
        logical: 2048,
        physical: 36864,
        blocks: 2048,
    };
    assert_eq!(parse_extent(line), Some(extent));
    let head = "Level Entries       Logical              Physical Length Flags";
    assert_eq!(parse_extent(head), None);
    assert_eq!(parse_extent(""), None);
}

#[test]
fn content_compresses_as_its_kind_should() {
    let prose = Prose::new();
    let mut numbers = Numbers::named("content");
    let ratio = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap().len() * 100 / bytes.len();
    let text = prose.text(&mut numbers, 1 << 16);
    assert_eq!(text.len(), 1 << 16);
    assert!(ratio(&text) < 50, "{}", ratio(&text));
    assert!(ratio(&content::random(&mut numbers, 1 << 16)) >= 99);
    let page = prose.database_page(&mut numbers, 7);
    assert!((30..90).contains(&ratio(&page)), "{}", ratio(&page));
    let program = content::program(&prose, &mut numbers, 1 << 20);
    assert!((30..80).contains(&ratio(&program)), "{}", ratio(&program));
}

#[test]
fn composition_and_change_are_measured() {
    let folder = std::env::temp_dir().join(format!("strongroom-bench-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (before, after) = (folder.join("before"), folder.join("after"));
    let mut image = vec![0; 8 << 20];
    let random = content::random(&mut Numbers::named("image"), 2 << 20);
    image[..2 << 20].copy_from_slice(&random);
    std::fs::write(&before, &image).unwrap();
    image[100] ^= 1;
    image[5 << 20] = 1;
    std::fs::write(&after, &image).unwrap();

    let made_of = composition::measure(&before).unwrap();
    let change = composition::compare(&before, &after).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!((made_of.zero_blocks - 75.0).abs() < 1e-9);
    let shares = made_of.pieces.map(|share| format!("{share:.1}"));
    assert_eq!(shares, ["75.0", "0.0", "0.0", "25.0"]);
    assert_eq!(change.bytes, 2 * 4096);
    assert!((change.touched[2] - 25.0).abs() < 1e-9);
    assert!((change.touched[3] - 100.0).abs() < 1e-9);
}

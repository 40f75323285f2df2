//! Images that are made from front to back are what QEMU takes for the disk.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;

use super::qemu::{Lab, MIB, assert_sound, qemu_img};
use crate::{DataClusters, Qcow2Layout, open_source};

const CLUSTER: u64 = 64 << 10;

/// A byte of a disk that has data everywhere.
fn byte_at(offset: u64) -> u8 {
    u8::try_from(offset / 512 % 251).unwrap() + 1
}

fn layout(size: u64, data: &[Range<u64>]) -> Qcow2Layout {
    let mut clusters = DataClusters::default();
    clusters.extend(data.iter().cloned());
    Qcow2Layout::new(size, clusters)
}

/// The disk with data in these ranges.
fn disk(size: u64, data: &[Range<u64>]) -> Vec<u8> {
    let mut disk = vec![0; usize::try_from(size).unwrap()];
    for range in data {
        for offset in range.clone() {
            disk[usize::try_from(offset).unwrap()] = byte_at(offset);
        }
    }
    disk
}

/// A part of the image, made as a reader of the disk makes it.
fn part(layout: &Qcow2Layout, disk: &[u8], range: Range<u64>) -> Vec<u8> {
    let mut part = Vec::new();
    let metadata = range.start..range.end.min(layout.data_offset());
    for cluster in metadata.start / CLUSTER..metadata.end.div_ceil(CLUSTER) {
        let bytes = layout.metadata(cluster);
        let inside = |offset: u64| {
            usize::try_from(
                offset.clamp(cluster * CLUSTER, (cluster + 1) * CLUSTER) - cluster * CLUSTER,
            )
            .unwrap()
        };
        part.extend(&bytes[inside(metadata.start)..inside(metadata.end)]);
    }
    for piece in layout.parts_of(layout.disk_range(&range)) {
        part.extend(piece.map(|offset| {
            disk.get(usize::try_from(offset).unwrap())
                .copied()
                .unwrap_or(0)
        }));
    }
    assert_eq!(part.len() as u64, range.end - range.start);
    part
}

fn write(path: &Path, size: u64, data: &[Range<u64>]) {
    let layout = layout(size, data);
    let image = part(&layout, &disk(size, data), 0..layout.file_bytes());
    std::fs::write(path, image).unwrap();
}

#[test]
fn qemu_finds_the_disk_and_nothing_to_repair() {
    let Some(lab) = Lab::open() else { return };
    let cases: [(u64, &[Range<u64>]); 5] = [
        (0, &[]),
        (5 * MIB + 512, &[]),
        (5 * MIB + 512, &[0..MIB, MIB..5 * MIB + 512]),
        (
            3 * CLUSTER + 700,
            &[
                5..6,
                CLUSTER - 1..CLUSTER + 1,
                3 * CLUSTER + 10..3 * CLUSTER + 700,
            ],
        ),
        (520 * MIB, &[MIB..3 * MIB, 511 * MIB..513 * MIB]),
    ];
    for (size, data) in cases {
        let (image, raw) = (lab.path("image.qcow2"), lab.path("disk.raw"));
        write(&image, size, data);
        std::fs::write(&raw, disk(size, data)).unwrap();
        assert_sound(&image);
        let [image, raw] = [image, raw].map(|path| path.to_str().unwrap().to_owned());
        qemu_img(&["compare", "-q", "-f", "qcow2", "-F", "raw", &image, &raw]);
    }
}

#[test]
fn a_terabyte_with_little_in_it_is_small() {
    let Some(lab) = Lab::open() else { return };
    let size = 3 << 40;
    let data = [0..CLUSTER, (1 << 40) + 5..(1 << 40) + 6, size - 1..size];
    let layout = layout(size, &data);
    assert!(layout.file_bytes() < MIB);
    let path = lab.path("image.qcow2");
    let file = File::create_new(&path).unwrap();
    file.set_len(layout.file_bytes()).unwrap();
    for cluster in 0..layout.data_offset() / CLUSTER {
        file.write_all_at(&layout.metadata(cluster), cluster * CLUSTER)
            .unwrap();
    }
    assert_sound(&path);
    let source = open_source(&path, strongroom_types::VolumeFormat::Qcow2).unwrap();
    assert_eq!(source.size_bytes(), size);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_part_is_the_same_as_in_the_whole(
        size in 1..40 * CLUSTER,
        mut cuts in prop::collection::vec(0..40 * CLUSTER, 0..12),
        (a, b) in (0_u64..1 << 32, 0_u64..1 << 32),
    ) {
        for cut in &mut cuts {
            *cut %= size;
        }
        cuts.sort_unstable();
        cuts.dedup();
        let data: Vec<_> = cuts.chunks_exact(2).map(|ends| ends[0]..ends[1]).collect();
        let layout = layout(size, &data);
        let disk = disk(size, &data);
        let whole = part(&layout, &disk, 0..layout.file_bytes());
        let (a, b) = (a % (layout.file_bytes() + 1), b % (layout.file_bytes() + 1));
        let range = a.min(b)..a.max(b);
        let index = |offset: u64| usize::try_from(offset).unwrap();
        prop_assert_eq!(&part(&layout, &disk, range.clone())[..], &whole[index(range.start)..index(range.end)]);
    }
}

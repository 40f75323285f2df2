//! Images of points, as they are sent: whole and in part.

use std::ops::Range;
use std::sync::Arc;

use futures::TryStreamExt;
use strongroom_service::contents::DiskContent;
use strongroom_types::VolumeFormat;

use super::transfer::{MIB, Setting, content};
use crate::contents::{PointContent, lay_out};
use crate::places::open_source;

/// A point, whose image is asked for again and again.
struct Saved {
    setting: Setting,
    point: strongroom_repo::PointId,
}

impl Saved {
    async fn new(disk: &[u8]) -> Self {
        let setting = Setting::new().await;
        let disk = setting.disk("disk.raw", disk);
        let point = setting.save("point", &disk).await.id;
        Self { setting, point }
    }

    async fn image(&self, format: VolumeFormat) -> Box<PointContent> {
        let (repository, point) = (&self.setting.repository, &self.point);
        let layout = match format {
            VolumeFormat::Raw => None,
            VolumeFormat::Qcow2 => Some(Arc::new(lay_out(repository, point).await.unwrap())),
        };
        let opened = PointContent::open(repository.clone(), point.clone(), layout).await;
        Box::new(opened.unwrap())
    }

    async fn part(&self, format: VolumeFormat, range: Range<u64>) -> Vec<u8> {
        let pieces: Vec<_> = self
            .image(format)
            .await
            .read(range)
            .try_collect()
            .await
            .unwrap();
        pieces.concat()
    }
}

/// Data at both ends and in the middle of zeros, and an end within a sector.
fn sparse() -> Vec<u8> {
    let mut disk = content(6 * MIB + 700, 1);
    disk[MIB..5 * MIB].fill(0);
    disk[3 * MIB + 5..3 * MIB + 9].fill(7);
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_an_image_is_as_in_the_whole() {
    for disk in [
        sparse(),
        content(2 * MIB, 2),
        vec![0; 3 * MIB],
        vec![1; 10],
        Vec::new(),
    ] {
        let saved = Saved::new(&disk).await;
        for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
            let size = saved.image(format).await.size_bytes();
            let whole = saved.part(format, 0..size).await;
            assert_eq!(whole.len() as u64, size);
            let steps = [
                0,
                1,
                65_535,
                65_536,
                65_537,
                400_000,
                size / 2,
                size / 2 + 12_345,
            ];
            let ends = steps
                .iter()
                .flat_map(|step| [*step, size.saturating_sub(*step)]);
            let ends: Vec<_> = ends.filter(|end| *end <= size).collect();
            for (n, start) in ends.iter().enumerate() {
                for end in ends
                    .iter()
                    .cycle()
                    .skip(n * 5)
                    .take(4)
                    .filter(|end| start < end)
                {
                    let index = |at: u64| usize::try_from(at).unwrap();
                    let part = saved.part(format, *start..*end).await;
                    assert!(
                        part == whole[index(*start)..index(*end)],
                        "{format} {start}..{end}"
                    );
                }
            }
        }
        assert!(saved.part(VolumeFormat::Raw, 0..disk.len() as u64).await == disk);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_qcow2_is_the_disk_and_leaves_zeros_out() {
    let disk = sparse();
    let saved = Saved::new(&disk).await;
    let size = saved.image(VolumeFormat::Qcow2).await.size_bytes();
    assert!(size < 3 * MIB as u64, "{size}");
    let image = saved.part(VolumeFormat::Qcow2, 0..size).await;
    let path = saved.setting.disk("image.qcow2", &image);
    let mut source = open_source(&path, VolumeFormat::Qcow2).unwrap();
    assert_eq!(
        source.size_bytes(),
        (disk.len() as u64).next_multiple_of(512)
    );
    let mut read = vec![9; usize::try_from(source.size_bytes()).unwrap()];
    source.read_at(0, &mut read).unwrap();
    assert!(read[..disk.len()] == disk && read[disk.len()..].iter().all(|byte| *byte == 0));
}

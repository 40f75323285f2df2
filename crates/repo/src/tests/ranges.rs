use proptest::prelude::*;

use super::support::*;
use crate::*;

const IMAGE_BYTES: usize = 13_000_123;
/// A leaf's part of the image; chunks reach over its end.
const SPAN_BYTES: usize = 4 << 20;

async fn read(repository: &Repository, id: &PointId, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut reader = repository
        .read_point_range(id, range.clone())
        .await
        .unwrap();
    assert_eq!(reader.size_bytes(), range.end - range.start);
    let mut bytes = Vec::new();
    while let Some(segment) = reader.next().await.unwrap() {
        assert_eq!(segment.offset, range.start + bytes.len() as u64);
        match segment.content {
            Content::Data(data) => bytes.extend_from_slice(&data),
            Content::Hole(length) => {
                bytes.resize(bytes.len() + usize::try_from(length).unwrap(), 0);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn a_part_of_a_point_is_that_part_of_its_image(
        seed in 0_u64..1000,
        ends in prop::collection::vec((0..=IMAGE_BYTES, 0..=IMAGE_BYTES), 1..8),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (_, repository) = in_memory().await;
            let image = image(seed, IMAGE_BYTES);
            let point = back_up(&repository, "p", &image).await.unwrap().point.id;
            for (one, other) in ends {
                let (start, end) = (one.min(other), one.max(other));
                let part = read(&repository, &point, start as u64..end as u64).await;
                assert!(part == image[start..end], "{start}..{end}");
            }
        });
    }
}

#[tokio::test]
async fn a_chunk_that_reaches_into_the_next_span_is_read_from_both_sides() {
    let (_, repository) = in_memory().await;
    for seed in 0..8 {
        let image = image(seed, IMAGE_BYTES);
        let point = back_up(&repository, &format!("p{seed}"), &image).await;
        let point = point.unwrap().point.id;
        for span in 1..=3 {
            let start = span * SPAN_BYTES;
            let part = read(&repository, &point, start as u64..start as u64 + 4096).await;
            assert!(part == image[start..start + 4096], "{seed} {span}");
        }
    }
}

#[tokio::test]
async fn what_lies_beyond_an_image_is_not_read() {
    let (_, repository) = in_memory().await;
    let image = image(1, 100_000);
    let point = back_up(&repository, "p", &image).await.unwrap().point.id;
    let beyond = repository.read_point_range(&point, 0..100_001).await;
    assert!(matches!(beyond, Err(Error::Invalid(_))));
    assert_eq!(point, repository.point_id_of("p"));
}

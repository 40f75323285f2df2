//! Measures a backup of a made disk of which the caller knows what has changed, in memory.
//!
//! `cargo run --release --example unchanged -- [GIB]`, 1024 without an argument. Each 4 MiB of the disk have four
//! stretches of 16 KiB, one of 256 KiB in every 16th of them, and holes; in these another 64 KiB are written.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_repo::{
    Env, NewPoint, Options, Repository, Reread, Result, Secret, generate_key_file,
};
use strongroom_types::{SystemClock, SystemIds};

const KIB: u64 = 1 << 10;
const BLOCK: u64 = 4 * KIB;
const SPAN: u64 = 4096 * KIB;
const QUARTER: u64 = SPAN / 4;
/// Of the spans, one in so many changes.
const CHANGES_EACH: u64 = 16;
/// In a span.
const CHANGE: Range<u64> = QUARTER + 100 * KIB..QUARTER + 164 * KIB;

#[tokio::main]
async fn main() -> Result<()> {
    let gib = std::env::args().nth(1);
    let gib: u64 = gib.map_or(1024, |text| text.parse().expect("a number of GiB"));
    let spans = gib * (1 << 30) / SPAN;
    let env = Env {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    };
    let secret = Secret::KeyFile(generate_key_file(&SystemIds).into_bytes());
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = Repository::init(storage, &secret, Options::default(), env).await?;

    let started = now();
    let mut writer = repository.begin_point(new_point("first", spans)).await?;
    for quarter in 0..4 * spans {
        let begin = quarter * QUARTER;
        let length = data_in(quarter);
        writer.write(content(begin, length, 0)).await?;
        writer.hole(QUARTER - length).await?;
    }
    let first = writer.commit().await?;
    let what = format!("{} MiB read whole", first.bytes_scanned >> 20);
    say(&what, started);

    let again = Arc::new(AtomicU64::new(0));
    let started = now();
    let new = new_point("second", spans);
    let mut writer = repository.begin_point_over(new, reread(&again)).await?;
    let mut position = 0;
    for span in (0..spans).step_by(usize::try_from(CHANGES_EACH).expect("small")) {
        let begin = span * SPAN + CHANGE.start;
        let length = CHANGE.end - CHANGE.start;
        writer.unchanged(begin - position).await?;
        writer.write(content(begin, length, 1)).await?;
        position = begin + length;
    }
    writer.unchanged(spans * SPAN - position).await?;
    let second = writer.commit().await?;
    let again = again.load(Ordering::Relaxed);
    let changed = (second.bytes_scanned - again) >> 20;
    let (again, stored) = (again >> 20, second.bytes_stored >> 20);
    let what = format!("{changed} MiB changed, {again} MiB read again, {stored} MiB stored");
    say(&what, started);
    Ok(())
}

/// Bytes of data at the begin of a quarter of a span.
fn data_in(quarter: u64) -> u64 {
    if quarter % (4 * CHANGES_EACH) == 1 {
        256 * KIB
    } else {
        16 * KIB
    }
}

/// Each block differs from all others, and compresses well.
fn content(offset: u64, length: u64, generation: u64) -> Bytes {
    let mut bytes = vec![0; usize::try_from(length).expect("small")];
    fill(offset, &mut bytes, generation);
    bytes.into()
}

/// From a block's begin on.
fn fill(offset: u64, buffer: &mut [u8], generation: u64) {
    for (number, block) in (offset / BLOCK..).zip(buffer.chunks_mut(4096)) {
        let inside = number * BLOCK % QUARTER;
        let is_data = inside < data_in(number * BLOCK / QUARTER);
        let word = if is_data {
            number << 8 | generation | 2
        } else {
            0
        };
        for bytes in block.chunks_exact_mut(8) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
}

fn reread(again: &Arc<AtomicU64>) -> Reread {
    let again = Arc::clone(again);
    Box::new(move |offset, buffer| {
        again.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        fill(offset, buffer, 0);
        Ok(())
    })
}

fn new_point(name: &str, spans: u64) -> NewPoint {
    NewPoint {
        name: name.to_owned(),
        lineage: "disk".to_owned(),
        size_bytes: spans * SPAN,
        attributes: serde_json::Value::Null,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this program is for"
)]
fn now() -> Instant {
    Instant::now()
}

fn say(what: &str, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let line = format!("{what}: {seconds:.2} s\n");
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("stdout is open");
}

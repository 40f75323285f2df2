//! Measures backup, re-scan, verification and restore of one image file, or of a made one, on local disk.
//!
//! `cargo run --release --example throughput -- FOLDER [IMAGE]`; speeds are per byte of the image that is
//! not in a hole.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use strongroom_repo::{
    Content, Env, NewPoint, Options, PointId, Repository, Result, Secret, VerifyDepth,
    generate_key_file,
};
use strongroom_store::{Create, open_local};
use strongroom_types::{SystemClock, SystemIds};

const MIB: usize = 1 << 20;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .unwrap_or_else(|| "/tmp/throughput".to_owned());
    let image = match arguments.next() {
        Some(path) => read_image(Path::new(&path)),
        None => made_image(1024 * MIB),
    };
    let env = Env {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    };
    let secret = Secret::KeyFile(generate_key_file(&SystemIds).into_bytes());
    let store = open_local(Path::new(&folder), Create::IfMissing)?;
    let options = Options::default();
    let repository = Repository::init(store, &secret, options, env).await?;

    let first = back_up(&repository, "full", &image).await?;
    back_up(&repository, "unchanged", &image).await?;
    restore(&repository, &first, image.len()).await?;
    let start = now();
    let report = repository.verify(VerifyDepth::ReadData, &|_| ()).await?;
    say(
        &format!("verify: clean {}", report.is_clean()),
        report.bytes_read,
        start,
    );
    let start = now();
    let occupied = repository.occupied(&[first]).await?;
    say("occupied", occupied, start);
    Ok(())
}

async fn back_up(repository: &Repository, name: &str, image: &[Bytes]) -> Result<PointId> {
    let start = now();
    let size = image.iter().map(|portion| portion.len() as u64).sum();
    let new = NewPoint {
        name: name.to_owned(),
        lineage: "image".to_owned(),
        size_bytes: size,
        attributes: serde_json::Value::Null,
    };
    let mut writer = repository.begin_point(new).await?;
    for portion in image {
        writer.write(portion.clone()).await?;
    }
    let commit = writer.commit().await?;
    let what = format!(
        "{name}: new {} MiB, stored {} MiB",
        commit.bytes_new / MIB as u64,
        commit.bytes_stored / MIB as u64
    );
    say(&what, commit.bytes_scanned, start);
    Ok(commit.point.id)
}

async fn restore(repository: &Repository, id: &PointId, portions: usize) -> Result<()> {
    let start = now();
    let mut reader = repository.read_point(id).await?;
    let mut data = 0;
    while let Some(segment) = reader.next().await? {
        if let Content::Data(bytes) = segment.content {
            data += bytes.len() as u64;
        }
    }
    say(&format!("restore of {portions} MiB"), data, start);
    Ok(())
}

fn read_image(path: &Path) -> Vec<Bytes> {
    let file = std::fs::File::open(path).expect("the image can be opened");
    let mut portions = Vec::new();
    loop {
        let mut portion = Vec::with_capacity(MIB);
        let length = (&file).take(MIB as u64).read_to_end(&mut portion);
        if length.expect("the image can be read") == 0 {
            return portions;
        }
        portions.push(portion.into());
    }
}

/// A quarter each of holes, random bytes, text-like bytes and repetition.
fn made_image(length: usize) -> Vec<Bytes> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut portions: Vec<Bytes> = Vec::new();
    while portions.len() * MIB < length {
        let words = MIB / 8;
        let portion: Vec<u8> = match portions.len() % 4 {
            0 => vec![0; MIB],
            1 => (0..words).flat_map(|_| next().to_le_bytes()).collect(),
            2 => (0..words)
                .flat_map(|_| (next() % 50_000).to_le_bytes())
                .collect(),
            _ => portions[portions.len() / 8 * 4 + 1].to_vec(),
        };
        portions.push(portion.into());
    }
    portions
}

#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this program is for"
)]
fn now() -> Instant {
    Instant::now()
}

fn say(what: &str, bytes: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with three digits"
    )]
    let rate = bytes as f64 / seconds / 1e6;
    let line = format!("{what}: {seconds:.2} s, {rate:.0} MB/s\n");
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("stdout is open");
}

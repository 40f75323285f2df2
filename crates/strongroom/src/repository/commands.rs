use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use strongroom_block::{BlockSink, create_raw};
use strongroom_repo::{CollectOptions, NewPoint, Point};
use strongroom_types::{IdSource, SystemIds, VolumeFormat};
use strongroom_worker::places::{is_export, open_sink, open_source, probe};
use strongroom_worker::transfer::{self, Progress};
use tokio_util::sync::CancellationToken;

use super::answer::print_answer;
use super::{Command, ImageFormat, Parity, Place, attach, collecting, damage, keys, stats};
use crate::output::{Format, human_bytes, print_line, print_table};
use crate::progress;

pub(crate) async fn run(command: Command, format: Format) -> anyhow::Result<ExitCode> {
    show_warnings();
    match command {
        Command::Init {
            place,
            profile,
            parity,
        } => init(&place, profile, parity, format).await,
        Command::Backup {
            place,
            source,
            lineage,
            format: image,
        } => back_up(&place, &source, lineage, image, format).await,
        Command::List { place } => list(&place, format).await,
        Command::Restore {
            place,
            point,
            to,
            format: image,
        } => restore(&place, &point, &to, image, format).await,
        Command::Attach(attach) => attach::run(attach, format).await,
        Command::Forget {
            place,
            points,
            keep_last,
            lineage,
        } => match keep_last {
            Some(kept) => collecting::forget_old(&place, kept, lineage.as_deref(), format).await,
            None => collecting::forget(&place, &points, format).await,
        },
        Command::Gc {
            place,
            dry_run,
            compact_below,
            limit_rate,
            wait,
        } => {
            let options = CollectOptions {
                dry_run,
                compact_below_percent: compact_below,
                bytes_per_second: limit_rate.map(|mib| mib.saturating_mul(1 << 20)),
                wait: Duration::from_secs(wait),
            };
            collecting::collect(&place, &options, format).await
        }
        Command::Stats { place } => stats::stats(&place, format).await,
        Command::Key(command) => keys::run(command, format).await,
        Command::Verify { place, read_data } => damage::verify(&place, read_data, format).await,
        Command::Repair { place, dry_run } => damage::repair(&place, dry_run, format).await,
        Command::Scrub {
            location,
            limit_rate,
            dry_run,
        } => damage::scrub(&location, limit_rate, dry_run, format).await,
    }
}

/// What the engine works around, it says on stderr: a list is not complete when a point cannot be read.
fn show_warnings() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}

async fn init(
    place: &Place,
    profile: super::Profile,
    parity: Option<Parity>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Made<'a> {
        repository: &'a str,
    }
    let repository = place.init(profile, parity).await?;
    match format {
        Format::Json => {
            let repository_id = repository.id();
            print_answer(
                repository.storage(),
                &Made {
                    repository: repository_id,
                },
            )?;
        }
        Format::Table => print_line(&format!(
            "repository {} made in {}",
            repository.id(),
            place.location.repository
        )),
    }
    Ok(ExitCode::SUCCESS)
}

async fn back_up(
    place: &Place,
    source: &Path,
    lineage: Option<String>,
    image: Option<ImageFormat>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct BackedUp {
        point: String,
        size_bytes: u64,
        bytes_scanned: u64,
        bytes_new: u64,
        bytes_stored: u64,
    }
    let repository = place.open().await?;
    let path = if is_export(source) {
        source.to_owned()
    } else {
        source
            .canonicalize()
            .with_context(|| format!("{} cannot be read", source.display()))?
    };
    let image = format_of(&path, image)?;
    let disk = open_source(&path, image)?;
    let new = NewPoint {
        name: SystemIds.uuid(),
        lineage: lineage.unwrap_or_else(|| path.display().to_string()),
        size_bytes: disk.size_bytes(),
        attributes: serde_json::json!({ "source": path.display().to_string(), "format": image.as_str() }),
    };
    let done = Arc::new(Progress::new(disk.size_bytes()));
    let bar = progress::show(&done, format);
    let commit = transfer::back_up(&repository, disk, new, &done, &CancellationToken::new()).await;
    bar.end().await;
    let commit = commit?.commit;
    let answer = BackedUp {
        point: commit.point.id.to_string(),
        size_bytes: commit.point.size_bytes,
        bytes_scanned: commit.bytes_scanned,
        bytes_new: commit.bytes_new,
        bytes_stored: commit.bytes_stored,
    };
    match format {
        Format::Json => print_answer(repository.storage(), &answer)?,
        Format::Table => print_line(&format!(
            "point {}: {} scanned, {} new, {} stored",
            answer.point,
            human_bytes(answer.bytes_scanned),
            human_bytes(answer.bytes_new),
            human_bytes(answer.bytes_stored)
        )),
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(place: &Place, format: Format) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Points {
        points: Vec<Point>,
    }
    let repository = place.open().await?;
    let points = repository.list_points().await?;
    if format == Format::Json {
        print_answer(repository.storage(), &Points { points })?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |point: Point| {
        vec![
            point.id.to_string(),
            point.created_at.to_cbr(),
            point.lineage,
            human_bytes(point.size_bytes),
            human_bytes(point.bytes_stored),
        ]
    };
    print_table(
        &["point", "created (UTC)", "lineage", "size", "stored"],
        points.into_iter().map(row).collect(),
    );
    Ok(ExitCode::SUCCESS)
}

async fn restore(
    place: &Place,
    name: &str,
    to: &Path,
    image: Option<ImageFormat>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Restored {
        point: String,
        size_bytes: u64,
        bytes_written: u64,
    }
    let repository = place.open().await?;
    let point = repository
        .find_point(name)
        .await?
        .with_context(|| format!("there is no point `{name}`"))?;
    let done = Arc::new(Progress::new(point.size_bytes));
    if to == Path::new("-") {
        transfer::write_out(&repository, &point.id, &mut tokio::io::stdout(), &done).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let sink = open_target(to, image, point.size_bytes)?;
    let bar = progress::show(&done, format);
    let restored = transfer::restore(
        &repository,
        &point.id,
        sink,
        &done,
        &CancellationToken::new(),
    )
    .await;
    bar.end().await;
    let restored = restored?;
    let answer = Restored {
        point: point.id.to_string(),
        size_bytes: restored.size_bytes,
        bytes_written: restored.written_bytes,
    };
    match format {
        Format::Json => print_answer(repository.storage(), &answer)?,
        Format::Table => print_line(&format!(
            "{} restored to {}: {} written",
            human_bytes(answer.size_bytes),
            to.display(),
            human_bytes(answer.bytes_written)
        )),
    }
    Ok(ExitCode::SUCCESS)
}

fn format_of(image: &Path, given: Option<ImageFormat>) -> anyhow::Result<VolumeFormat> {
    match given {
        Some(format) => Ok(format.into()),
        None => Ok(probe(image)?.format),
    }
}

fn open_target(
    to: &Path,
    image: Option<ImageFormat>,
    size_bytes: u64,
) -> anyhow::Result<Box<dyn BlockSink>> {
    if !is_export(to) && !to.exists() {
        return Ok(create_raw(to, size_bytes)?);
    }
    let sink = open_sink(to, format_of(to, image)?)?;
    if sink.size_bytes() < size_bytes {
        bail!(
            "{} holds {}, the point needs {}",
            to.display(),
            human_bytes(sink.size_bytes()),
            human_bytes(size_bytes)
        );
    }
    Ok(sink)
}

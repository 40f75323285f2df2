//! `repo attach`: a point as a disk that machines boot from, served until a signal ends it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use strongroom_attach::{OpenPoint, Place as ServedAt, Plan, remove_socket};
use strongroom_types::nbd_uri;

use super::Place;
use super::answer::print_answer;
use crate::output::{Format, human_bytes, print_line};
use crate::signals::Signals;

const OWNER_ONLY: u32 = 0o600;

#[derive(Debug, Args)]
pub(crate) struct Attach {
    #[command(flatten)]
    place: Place,
    /// A point's id, or the beginning of one.
    point: String,
    /// The unix socket to make; only this user may connect to it.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Keep what is written in this file, new or from the last time; without one, the disk is read-only.
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// How much of the point is kept in memory at most.
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u32).range(8..=1 << 20))]
    cache: u32,
}

pub(super) async fn run(attach: Attach, format: Format) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Attached<'a> {
        point: &'a str,
        size_bytes: u64,
        writable: bool,
        uri: &'a str,
    }
    let path = std::path::absolute(&attach.socket)?;
    let path = path.to_str().context("the socket's path is not UTF-8")?;
    let uri = nbd_uri(path);
    let repository = attach.place.open().await?;
    let point = repository
        .find_point(&attach.point)
        .await?
        .with_context(|| format!("there is no point `{}`", attach.point))?;
    let plan = Plan {
        place: ServedAt::Socket {
            path: attach.socket.clone(),
            mode: OWNER_ONLY,
        },
        overlay: attach.overlay.clone(),
        start: None,
        cache_bytes: usize::try_from(u64::from(attach.cache) << 20)?,
    };
    let open = OpenPoint::open(&repository, &point.id, plan).await?;
    let mut signals = Signals::handle()?;
    let served = open.serve()?;
    let answer = Attached {
        point: point.id.as_str(),
        size_bytes: point.size_bytes,
        writable: attach.overlay.is_some(),
        uri: &uri,
    };
    match format {
        Format::Json => print_answer(repository.storage(), &answer)?,
        Format::Table => print_line(&format!(
            "{} of point {} at {uri}",
            human_bytes(answer.size_bytes),
            answer.point
        )),
    }
    signals.wait().await;
    // While it is there, nobody else takes its name.
    remove_socket(&attach.socket)?;
    served.end().await?;
    Ok(ExitCode::SUCCESS)
}

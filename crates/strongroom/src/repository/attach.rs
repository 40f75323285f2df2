//! `repo attach`: a point as a disk that machines boot from, served until a signal ends it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use strongroom_attach::{Overlay, PointExport, bind};
use strongroom_nbd::{Export, Limits, Listener, Server, Writable};
use strongroom_repo::PointView;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use super::Place;
use super::answer::print_answer;
use crate::output::{Format, human_bytes, print_line};

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
    let uri = uri_of(&attach.socket)?;
    let repository = attach.place.open().await?;
    let point = repository
        .find_point(&attach.point)
        .await?
        .with_context(|| format!("there is no point `{}`", attach.point))?;
    let cache_bytes = usize::try_from(u64::from(attach.cache) << 20)?;
    let view = Arc::new(repository.view_point(&point.id, cache_bytes).await?);
    let mut signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let export = export(&attach, point.id.as_str(), &view)?;
    let server = serve(&attach.socket, &export)?;
    let answer = Attached {
        point: point.id.as_str(),
        size_bytes: point.size_bytes,
        writable: export.writable().is_some(),
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
    let [terminate, interrupt] = &mut signals;
    let (terminate, interrupt) = (
        terminate
            .as_mut()
            .ok()
            .context("SIGTERM cannot be handled")?,
        interrupt
            .as_mut()
            .ok()
            .context("SIGINT cannot be handled")?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    end(server, export, view, &attach.socket).await?;
    Ok(ExitCode::SUCCESS)
}

/// What clients are told to connect to.
fn uri_of(socket: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(socket)?;
    let text = path.to_str().filter(|text| is_plain(text));
    let text = text.with_context(|| {
        format!(
            "{} has characters that an NBD address must not have",
            path.display()
        )
    })?;
    Ok(format!("nbd+unix:///?socket={text}"))
}

fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes().all(plain)
}

fn export(attach: &Attach, point: &str, view: &Arc<PointView>) -> anyhow::Result<Arc<dyn Export>> {
    let export = Arc::new(PointExport::new(Arc::clone(view), Handle::current()));
    Ok(match &attach.overlay {
        Some(file) => Arc::new(Overlay::open(file, export, point)?),
        None => export,
    })
}

fn serve(socket: &Path, export: &Arc<dyn Export>) -> anyhow::Result<Server> {
    let listener =
        bind(socket).with_context(|| format!("the socket {} cannot be made", socket.display()))?;
    let exports = [(String::new(), Arc::clone(export))];
    let server = Server::start(Listener::Unix(listener), exports, Limits::default());
    server.context("no thread could be started")
}

/// Clients that reconnect wait for the next server. What they wrote is flushed for them, and collections need not wait any
/// more.
async fn end(
    server: Server,
    export: Arc<dyn Export>,
    view: Arc<PointView>,
    socket: &Path,
) -> anyhow::Result<()> {
    let path = socket.to_owned();
    let stopped = tokio::task::spawn_blocking(move || {
        // While it is there, nobody else takes its name.
        std::fs::remove_file(path)?;
        server.stop();
        let flushed = export.writable().map_or(Ok(()), Writable::flush);
        flushed.map_err(|fault| anyhow::anyhow!(fault.message))
    });
    stopped.await??;
    let view = Arc::into_inner(view);
    ensure!(view.is_some(), "a request was still at work");
    if let Some(view) = view {
        view.end().await;
    }
    Ok(())
}

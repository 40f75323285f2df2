use std::sync::Arc;
use std::thread;

use crossbeam_channel::bounded;
use tokio::sync::{mpsc, oneshot};

use super::assemble::Assembler;
use super::carry::Carrier;
use super::choose::Chooser;
use super::compare::Comparer;
use super::cut::Cutter;
use super::parent::ParentTree;
use super::session::Session;
use super::upload::Uploader;
use super::work::{Jobs, Worker};
use super::{Input, Reread};
use crate::engine::Engine;
use crate::points::{Root, StoredPoint};
use crate::{Error, Result};

/// Portions waiting to be cut.
const INPUTS_MAX: usize = 4;
/// Steps between choosing and assembling; each holds one frame.
const STEPS_MAX: usize = 12;

/// What a finished pipeline leaves: everything durable but the point.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) root: Option<Root>,
    pub(super) bytes_scanned: u64,
    pub(super) bytes_new: u64,
    pub(super) bytes_stored: u64,
}

/// Starts the stages, with the point that the new one is likely to resemble, and what reads the image again where the
/// caller vouches for the rest. They end by themselves: when the sender is dropped, or one of them fails.
pub(super) fn start(
    engine: &Arc<Engine>,
    session: &Arc<Session>,
    size_bytes: u64,
    parent: Option<&StoredPoint>,
    reread: Option<Reread>,
) -> Result<(mpsc::Sender<Input>, oneshot::Receiver<Outcome>)> {
    let workers = thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 16));
    let (input, mut inputs) = mpsc::channel(INPUTS_MAX);
    let (compare_sender, compares) = bounded(workers);
    let (compared_sender, compared) = bounded(workers);
    let (hash_sender, hashes) = bounded(workers);
    let (batch_sender, batches) = bounded(2 * workers);
    let (frame_sender, frames) = bounded(workers);
    let (step_sender, steps) = bounded(STEPS_MAX);
    // A full pack waits in the assembler while those before are written.
    let (upload_sender, uploads) = bounded(0);
    let (done, outcome) = oneshot::channel();
    let mut done = Some(done);

    // Two threads look at the parent, each at other parts of it.
    let tree = || ParentTree::new(engine, session, parent);
    let mut comparer = Comparer::new(tree(), compare_sender, compared_sender);
    run("compare", session, move || comparer.run(&mut inputs))?;
    let mut cutter = Cutter::new(engine, hash_sender, batch_sender);
    let mut carrier = reread.zip(parent).map(|(reread, parent)| {
        Carrier::new(engine, tree(), reread, (size_bytes, parent.size_bytes))
    });
    run("cut", session, move || cutter.run(&compared, &mut carrier))?;
    let jobs = Jobs {
        frames,
        hashes,
        compares,
    };
    for _ in 0..workers {
        let jobs = jobs.clone();
        let level = engine.options.profile.zstd_level();
        let mut worker = Worker::new(&engine.keys, session, level);
        run("work", session, move || {
            worker.run(&jobs);
            Ok(())
        })?;
    }
    // The workers' copies alone keep the channels open: a stage that stops must be noticed.
    drop(jobs);
    let mut chooser = Chooser::new(engine, session, frame_sender, step_sender);
    run("choose", session, move || chooser.run(&batches))?;
    let mut assembler = Assembler::new(engine, session, size_bytes, upload_sender);
    run("assemble", session, move || assembler.run(&steps))?;
    let mut uploader = Uploader::new(engine, session, tokio::runtime::Handle::current());
    run("upload", session, move || uploader.run(&uploads, &mut done))?;
    Ok((input, outcome))
}

fn run(
    stage: &'static str,
    session: &Arc<Session>,
    mut work: impl FnMut() -> Result<()> + Send + 'static,
) -> Result<()> {
    let session = Arc::clone(session);
    let body = move || {
        if let Err(error) = work() {
            session.fail(error);
        }
        // Only now the channels close, so that whoever notices finds the reason.
        drop(work);
    };
    let spawned = thread::Builder::new()
        .name(format!("repo-{stage}"))
        .spawn(body);
    spawned.map(drop).map_err(|source| Error::Unavailable {
        action: "start a thread".to_owned(),
        source: Arc::new(source),
    })
}

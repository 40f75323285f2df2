//! The gate between processes and the store: a call waits until the history lets it through.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use object_store::path::Path;
use object_store::{PutOptions, PutPayload};
use tokio::sync::{Notify, oneshot};

/// A life of a process, from its start to its death.
pub(crate) type Life = u64;

/// How a call fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Work,
    Fail,
    FailAfterEffect,
    Twice,
}

/// What a call wants; what changes the store can reach it after the caller's death.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Put(Path, PutPayload, PutOptions),
    Delete(Path),
    Read(Path),
    List(Path),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(path, payload, _) => write!(f, "put {path} ({} B)", payload.content_length()),
            Self::Delete(path) => write!(f, "delete {path}"),
            Self::Read(path) => write!(f, "read {path}"),
            Self::List(path) => write!(f, "list {path}"),
        }
    }
}

/// Changes are done in the order in which they were asked for. Of reads under way at once the first by name comes
/// first: hash tables, whose order differs between runs, have asked for them.
fn next_of(queue: &VecDeque<Waiting>) -> Option<usize> {
    let name = |waiting: &Waiting| match &waiting.request {
        Request::Read(path) => Some(path.clone()),
        _ => None,
    };
    if queue.front().and_then(name).is_none() {
        return (!queue.is_empty()).then_some(0);
    }
    let reads = queue.iter().enumerate();
    let named = reads.filter_map(|(at, waiting)| Some((name(waiting)?, at)));
    named.min().map(|(_, at)| at)
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    go: oneshot::Sender<Verdict>,
}

/// Gives the way free again when its caller gives up after it was let through.
struct Ticket<'a> {
    gate: &'a Gate,
    life: Life,
    passed: oneshot::Receiver<Verdict>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.passed.try_recv().is_ok() {
            self.gate.done(self.life);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Something arrived, was done, or ended.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<Life, VecDeque<Waiting>>,
    dead: HashSet<Life>,
    /// Lives whose calls pass at once.
    free: HashSet<Life>,
    /// Calls let through and not done yet.
    under_way: BTreeMap<Life, usize>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics in here")
    }

    /// Waits to be let through; nothing for the dead.
    pub(crate) async fn pass(&self, life: Life, request: Request) -> Option<Verdict> {
        let passed = {
            let mut state = self.lock();
            if state.dead.contains(&life) {
                return None;
            }
            if state.free.contains(&life) {
                *state.under_way.entry(life).or_default() += 1;
                return Some(Verdict::Work);
            }
            let (go, passed) = oneshot::channel();
            let waiting = Waiting { request, go };
            state.queues.entry(life).or_default().push_back(waiting);
            passed
        };
        self.changed.notify_one();
        let mut ticket = Ticket {
            gate: self,
            life,
            passed,
        };
        (&mut ticket.passed).await.ok()
    }

    /// A call that passed has had its effect.
    pub(crate) fn done(&self, life: Life) {
        if let Some(count) = self.lock().under_way.get_mut(&life) {
            *count -= 1;
        }
        self.changed.notify_one();
    }

    /// Has every call that was let through been done? A life with more calls at the gate may have to see them
    /// through first.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        let waits = |life| {
            state
                .queues
                .get(life)
                .is_some_and(|queue| !queue.is_empty())
        };
        let mut counts = state.under_way.iter();
        counts.all(|(life, count)| *count == 0 || waits(life))
    }

    pub(crate) fn has_waiting(&self, life: Life) -> bool {
        let state = self.lock();
        state
            .queues
            .get(&life)
            .is_some_and(|queue| !queue.is_empty())
    }

    /// Lets the oldest call of a life through; returns what it wants.
    pub(crate) fn release(&self, life: Life, verdict: Verdict) -> Option<Request> {
        let mut state = self.lock();
        loop {
            let queue = state.queues.get_mut(&life)?;
            let waiting = queue.remove(next_of(queue)?)?;
            let request = waiting.request;
            if waiting.go.send(verdict).is_ok() {
                *state.under_way.entry(life).or_default() += 1;
                return Some(request);
            }
            // Its caller gave up waiting.
        }
    }

    /// From here on calls pass at once.
    pub(crate) fn set_free(&self, life: Life) {
        self.lock().free.insert(life);
        while self.release(life, Verdict::Work).is_some() {}
    }

    /// All calls of this life fail from here on. Returns what it had asked for and not got.
    pub(crate) fn kill(&self, life: Life) -> Vec<Request> {
        let mut state = self.lock();
        state.dead.insert(life);
        state.under_way.remove(&life);
        let queue = state.queues.remove(&life).unwrap_or_default();
        queue.into_iter().map(|waiting| waiting.request).collect()
    }
}

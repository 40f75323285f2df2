//! What a server offers just now, and who is connected.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Export, Limits};
use crate::stream::Stream;

/// Who is told the names of exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Everybody who connects.
    Listed,
    /// Nobody: they are a part of what a client has to know.
    Secret,
}

pub(crate) struct Table {
    pub(crate) names: Names,
    state: Mutex<State>,
    /// Rung when a client has left.
    left: Condvar,
}

#[derive(Default)]
struct State {
    /// By name; clients that name none get the one with the empty name.
    exports: BTreeMap<String, Arc<dyn Export>>,
    clients: HashMap<u64, Client>,
    next: u64,
}

struct Client {
    stream: Stream,
    /// None until it has chosen one.
    export: Option<String>,
}

impl Table {
    pub(crate) fn new(names: Names) -> Self {
        Self {
            names,
            state: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// `false` if another export has this name.
    pub(crate) fn offer(&self, name: &str, export: Arc<dyn Export>) -> bool {
        let mut state = self.state();
        let is_free = !state.exports.contains_key(name);
        if is_free {
            state.exports.insert(name.to_owned(), export);
        }
        is_free
    }

    /// Closes the connections to an export, which takes no others.
    pub(super) fn withdraw(&self, name: &str) {
        let mut state = self.state();
        state.exports.remove(name);
        for client in state.clients_of(name) {
            client.stream.shut_down();
        }
    }

    /// Waits for what requests to an export that was withdrawn are doing just now.
    pub(super) fn wait_for_clients_of(&self, name: &str) {
        let mut state = self.state();
        while state.clients_of(name).next().is_some() {
            state = self.wait(state);
        }
    }

    /// Until a client has left.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.left.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn export(&self, name: &str) -> Option<Arc<dyn Export>> {
        self.state().exports.get(name).cloned()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().exports.keys().cloned().collect()
    }

    /// The number of a new client; none if there is no room for one more.
    pub(super) fn admit(&self, stream: &Stream, limits: &Limits) -> Option<u64> {
        let mut state = self.state();
        if state.clients.len() >= limits.connections {
            tracing::warn!("an NBD client was turned away: too many are connected");
            return None;
        }
        let haggling = state
            .clients
            .iter()
            .filter(|(_, client)| client.export.is_none());
        // Who means it chooses in a moment; those who only hold places make room.
        if haggling.clone().count() >= limits.haggling
            && let Some((_, oldest)) = haggling.min_by_key(|(number, _)| **number)
        {
            oldest.stream.shut_down();
        }
        let stream = stream.try_clone().ok()?;
        let number = state.next;
        state.next += 1;
        let export = None;
        state.clients.insert(number, Client { stream, export });
        Some(number)
    }

    /// The client has chosen. `false` if the export was withdrawn meanwhile, or has as many clients as it may.
    ///
    /// Over networks, who writes is alone: a client that comes back may have left a connection behind, whose requests would be
    /// done after newer ones. That one ends first.
    pub(super) fn settle(&self, number: u64, name: &str, limits: &Limits) -> bool {
        let mut state = self.state();
        loop {
            let Some(export) = state.exports.get(name) else {
                return false;
            };
            let is_alone = self.names == Names::Secret && export.writable().is_some();
            let others = state.clients_of(name).count();
            if others == 0 || (!is_alone && others < limits.clients_of_one) {
                break;
            }
            if !is_alone {
                tracing::warn!("an NBD client was turned away: its export has too many");
                return false;
            }
            for other in state.clients_of(name) {
                other.stream.shut_down();
            }
            state = self.wait(state);
        }
        if let Some(client) = state.clients.get_mut(&number) {
            client.export = Some(name.to_owned());
        }
        true
    }

    pub(super) fn leave(&self, number: u64) {
        self.state().clients.remove(&number);
        self.left.notify_all();
    }

    /// Closes all connections.
    pub(super) fn shut_down(&self) {
        for client in self.state().clients.values() {
            client.stream.shut_down();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked did so between two whole changes of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clients_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Client> {
        let clients = self.clients.values();
        clients.filter(move |client| client.export.as_deref() == Some(name))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Table")
            .field("exports", &state.exports.len())
            .field("clients", &state.clients.len())
            .finish_non_exhaustive()
    }
}

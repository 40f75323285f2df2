use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Keeps what was used last, up to a number of bytes. Shared between threads.
pub(crate) struct Cache<K, V> {
    bytes_max: usize,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Which entry was used at which tick, oldest first.
    by_use: BTreeMap<u64, K>,
    tick: u64,
    bytes: usize,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache(up to {} bytes)", self.bytes_max)
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            state: Mutex::new(State {
                entries: HashMap::new(),
                by_use: BTreeMap::new(),
                tick: 0,
                bytes: 0,
            }),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.lock().touch(key)
    }

    /// What is kept for the key, or else what `make` makes: one for all who ask at the same time.
    pub(crate) fn get_or_insert_with(&self, key: K, bytes: usize, make: impl FnOnce() -> V) -> V {
        let mut state = self.lock();
        if let Some(value) = state.touch(&key) {
            return value;
        }
        let value = make();
        state.insert(key, value.clone(), bytes, self.bytes_max);
        value
    }

    pub(crate) fn remove(&self, key: &K) {
        self.lock().remove(key);
    }

    pub(crate) fn insert(&self, key: K, value: V, bytes: usize) {
        self.lock().insert(key, value, bytes, self.bytes_max);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, V: Clone> State<K, V> {
    fn touch(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.tick += 1;
        self.by_use.remove(&entry.used);
        entry.used = self.tick;
        self.by_use.insert(entry.used, *key);
        Some(entry.value.clone())
    }

    fn insert(&mut self, key: K, value: V, bytes: usize, bytes_max: usize) {
        self.remove(&key);
        self.tick += 1;
        let used = self.tick;
        self.by_use.insert(used, key);
        self.entries.insert(key, Entry { value, bytes, used });
        self.bytes += bytes;
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.by_use.first_key_value() else {
                break;
            };
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

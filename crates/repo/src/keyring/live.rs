//! The keys that a process works with, and how it learns newer ones.

use std::sync::Arc;

use strongroom_chunk::{Key, Keys};
use strongroom_types::IdSource;
use tokio::sync::Mutex;

use super::objects::{self, Found};
use super::{Keyring, Lock, finish, newest, parse_id};
use crate::config::Config;
use crate::repository::blocking;
use crate::store::Store;
use crate::{Error, Result, Secret};

/// Does a change add a root key, or only wrap those there are?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextRoot {
    Add,
    Keep,
}

/// Shared by everything in a process that works on one repository.
#[derive(Debug)]
pub(crate) struct LiveKeys {
    repository: String,
    keys: Keys,
    /// Held while newer keys are looked for or made.
    unlocked: Mutex<Unlocked>,
}

/// What opens later keyrings of the same secret. The secret itself is not kept.
#[derive(Debug)]
struct Unlocked {
    serial: u64,
    wrapping: Key,
}

impl LiveKeys {
    /// Unlocks the repository. Slow for a passphrase.
    pub(crate) async fn open(store: &Store, config: &Config, secret: &Secret) -> Result<Arc<Self>> {
        let (ring, found) = current(store, config).await?;
        let repository = config.id.clone();
        let (locked, secret) = (ring.clone(), secret.clone());
        let (wrapping, roots) = blocking(move || {
            let wrapping = locked.lock().open(&secret)?;
            let roots = locked.unwrap(&wrapping)?;
            Ok((wrapping, roots))
        })
        .await?;
        let live = Self::new(repository, ring.serial, wrapping, &roots)?;
        if let Some(found) = found
            && !(found.is_settled() && config.has_no_key())
            && let Err(error) = finish(store, &found).await
        {
            // A place that cannot be written can still be read.
            tracing::warn!(error = %strongroom_types::Chain(&error), "a change of the keys is not finished yet");
        }
        Ok(live)
    }

    /// `roots` by generation, at least one.
    pub(crate) fn new(
        repository: String,
        serial: u64,
        wrapping: Key,
        roots: &[Key],
    ) -> Result<Arc<Self>> {
        let (first, later) = roots.split_first().expect("a keyring is never empty");
        let keys = Keys::derive(parse_id(&repository)?, first);
        keys.learn(later);
        Ok(Arc::new(Self {
            repository,
            keys,
            unlocked: Mutex::new(Unlocked { serial, wrapping }),
        }))
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Learns keys that were added since. [`Error::KeysChanged`] when another secret wraps them.
    pub(crate) async fn refresh(&self, store: &Store) -> Result<()> {
        let mut unlocked = self.unlocked.lock().await;
        self.catch_up(store, &mut unlocked).await.map(drop)
    }

    /// The keyring that counts with its keys, if there is one in the store, and the serial of the next.
    async fn catch_up(
        &self,
        store: &Store,
        unlocked: &mut Unlocked,
    ) -> Result<(Option<(Keyring, Vec<Key>)>, u64)> {
        let newest = newest(store, &self.repository).await?;
        let Some(found) = newest.found else {
            return match unlocked.serial {
                0 => Ok((None, newest.next)),
                _ => Err(newest.damage.unwrap_or_else(no_keyring)),
            };
        };
        if found.ring.serial < unlocked.serial {
            return Err(Error::Missing {
                object: super::path(unlocked.serial).to_string(),
            });
        }
        let roots = match found.ring.unwrap(&unlocked.wrapping) {
            Err(Error::WrongKey) => return Err(Error::KeysChanged),
            roots => roots?,
        };
        self.keys.learn(&roots[1..]);
        unlocked.serial = found.ring.serial;
        Ok((Some((found.ring, roots)), newest.next))
    }

    /// From now on `secret` opens the repository, and nothing else does; it may be the one that does already.
    pub(crate) async fn change(
        &self,
        store: &Store,
        secret: &Secret,
        next: NextRoot,
        ids: &Arc<dyn IdSource>,
    ) -> Result<()> {
        let mut unlocked = self.unlocked.lock().await;
        let (current, serial) = self.catch_up(store, &mut unlocked).await?;
        let (ring, mut roots) = if let Some(current) = current {
            current
        } else {
            let config = Config::load(store).await?;
            let ring = config.keyring().ok_or_else(no_keyring)?;
            let roots = ring.unwrap(&unlocked.wrapping)?;
            (ring, roots)
        };
        if next == NextRoot::Add {
            let mut root = Key([0; 32]);
            ids.fill(&mut root.0);
            roots.push(root);
        }
        let (lock, wrapping) = relock(&ring, &unlocked.wrapping, secret, ids).await?;
        let ring = Keyring::wrap(&self.repository, serial, (lock, &wrapping), &roots, &**ids)?;
        objects::create(store, &ring).await?;
        *unlocked = Unlocked { serial, wrapping };
        self.keys.learn(&roots[1..]);
        let newest = newest(store, &self.repository).await?;
        finish(store, &newest.found.ok_or_else(no_keyring)?).await
    }
}

/// The keyring that counts, and its objects if it is not the one in the config.
async fn current(store: &Store, config: &Config) -> Result<(Keyring, Option<Found>)> {
    let newest = newest(store, &config.id).await?;
    match (newest.found, config.keyring()) {
        (Some(found), _) => Ok((found.ring.clone(), Some(found))),
        (None, Some(ring)) => Ok((ring, None)),
        (None, None) => Err(newest.damage.unwrap_or_else(no_keyring)),
    }
}

/// What `secret` gives. If it is the one in use, the lock stays: processes that know it go on without asking.
async fn relock(
    ring: &Keyring,
    wrapping: &Key,
    secret: &Secret,
    ids: &Arc<dyn IdSource>,
) -> Result<(Lock, Key)> {
    let (lock, known) = (ring.lock().clone(), wrapping.clone());
    let (secret, ids) = (secret.clone(), Arc::clone(ids));
    blocking(move || {
        match lock.open(&secret) {
            Ok(same) if same.0 == known.0 => return Ok((lock, same)),
            Ok(_) | Err(Error::WrongKey) => {}
            Err(error) => return Err(error),
        }
        let lock = Lock::new(&secret, &*ids);
        let wrapping = lock.open(&secret)?;
        Ok((lock, wrapping))
    })
    .await
}

fn no_keyring() -> Error {
    Error::Missing {
        object: objects::FOLDER.to_owned(),
    }
}

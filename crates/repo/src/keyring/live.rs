//! The keys that a process works with, and how it learns newer ones.

use std::sync::Arc;

use object_store::path::Path;
use strongroom_chunk::{Key, Keys};
use strongroom_types::IdSource;
use tokio::sync::Mutex;

use super::objects::{self, Found, Newest};
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

/// What opens the repository after a change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opener<'a> {
    /// What does now. It is not asked for again: who mistypes it must not lock himself out.
    Same,
    New(&'a Secret),
}

/// What a look at the keyrings in the store has found.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Objects of the keyring that counts which are damaged or gone; the next process that opens the repository
    /// makes them good.
    pub(crate) unsound: Vec<Path>,
    /// The newest keyring is damaged, gone, or older than one that was seen before: it may lack keys, and what is
    /// sealed under them is not to be judged.
    pub(crate) trouble: Option<Error>,
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
        let (ring, found, damage) = current(store, config).await?;
        let repository = config.id.clone();
        let (locked, secret) = (ring.clone(), secret.clone());
        let unlocked = blocking(move || {
            let wrapping = locked.lock().open(&secret)?;
            let roots = locked.unwrap(&wrapping)?;
            Ok((wrapping, roots))
        });
        let (wrapping, roots) = match unlocked.await {
            // It may be the secret of the keyring that cannot be read.
            Err(error @ (Error::WrongKey | Error::WrongKind { .. })) => {
                return Err(damage.unwrap_or(error));
            }
            unlocked => unlocked?,
        };
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
        let current = self.accept(&newest, unlocked)?;
        Ok((current, newest.next))
    }

    /// Never less than what this process knows: a keyring without some of its keys was put back by somebody.
    fn accept(
        &self,
        newest: &Newest,
        unlocked: &mut Unlocked,
    ) -> Result<Option<(Keyring, Vec<Key>)>> {
        let Some(found) = &newest.found else {
            return match unlocked.serial {
                0 => Ok(None),
                _ => Err(newest.damage.clone().unwrap_or_else(no_keyring)),
            };
        };
        let rolled_back = |detail: &str| Error::Corrupt {
            object: super::path(unlocked.serial).to_string(),
            detail: detail.to_owned(),
        };
        if found.ring.serial < unlocked.serial {
            return Err(rolled_back("an older keyring is in its place"));
        }
        let roots = match found.ring.unwrap(&unlocked.wrapping) {
            Err(Error::WrongKey) => return Err(Error::KeysChanged),
            roots => roots?,
        };
        if roots.len() <= usize::from(self.keys.newest_generation()) {
            return Err(rolled_back("a keyring with fewer keys is in its place"));
        }
        self.keys.learn(&roots[1..]);
        unlocked.serial = found.ring.serial;
        Ok(Some((found.ring.clone(), roots)))
    }

    /// Compares the keyrings in the store with what this process knows. [`Error::KeysChanged`] when another secret
    /// opens them.
    pub(crate) async fn check(&self, store: &Store) -> Result<Checked> {
        let mut unlocked = self.unlocked.lock().await;
        let newest = newest(store, &self.repository).await?;
        let trouble = match self.accept(&newest, &mut unlocked) {
            Ok(_) => None,
            Err(error @ (Error::Missing { .. } | Error::Corrupt { .. })) => Some(error),
            Err(error) => return Err(error),
        };
        Ok(Checked {
            trouble: newest.damage.or(trouble),
            unsound: newest.found.map(|found| found.unsound).unwrap_or_default(),
        })
    }

    /// From now on `opener` opens the repository, and nothing else does.
    pub(crate) async fn change(
        &self,
        store: &Store,
        opener: Opener<'_>,
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
        let (lock, wrapping) = match opener {
            Opener::Same => (ring.lock().clone(), unlocked.wrapping.clone()),
            Opener::New(secret) => relock(&ring, &unlocked.wrapping, secret, ids).await?,
        };
        let ring = Keyring::wrap(&self.repository, serial, (lock, &wrapping), &roots, &**ids)?;
        objects::create(store, &ring).await?;
        *unlocked = Unlocked { serial, wrapping };
        self.keys.learn(&roots[1..]);
        let newest = newest(store, &self.repository).await?;
        let found = newest.found.ok_or_else(no_keyring)?;
        if found.ring.serial > serial {
            // By somebody who has made another change since, and ends that.
            return Ok(());
        }
        finish(store, &found).await
    }
}

/// The keyring that counts, its objects if it is not the one in the config, and what is wrong with a newer one.
async fn current(
    store: &Store,
    config: &Config,
) -> Result<(Keyring, Option<Found>, Option<Error>)> {
    let newest = newest(store, &config.id).await?;
    match (newest.found, config.keyring()) {
        (Some(found), _) => Ok((found.ring.clone(), Some(found), newest.damage)),
        // Half a keyring, of a process that died while it put the first one, must not lock the repository.
        (None, Some(ring)) => Ok((ring, None, newest.damage)),
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
            Ok(_) | Err(Error::WrongKind { .. }) => {}
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

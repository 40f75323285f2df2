//! The objects `keys/SERIAL` and `keys/SERIAL-copy`, which are the same.

use std::collections::BTreeSet;

use object_store::path::Path;
use strongroom_types::Chain;

use super::Keyring;
use crate::config::Config;
use crate::store::{Created, Store};
use crate::{Error, Result};

pub(crate) const FOLDER: &str = "keys";
/// Objects that hold each keyring.
pub(crate) const COPIES: u64 = 2;
/// How often the search begins anew because what was listed had been replaced when it was read.
const ATTEMPTS: usize = 8;

/// A keyring as it lies in the store.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) ring: Keyring,
    /// Its object or its copy, where that is damaged, gone, or not the same as the other.
    pub(crate) unsound: Vec<Path>,
    /// What it has made void.
    older: Vec<Path>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copy {
    First,
    Second,
}

pub(crate) fn path(serial: u64) -> Path {
    name(serial, Copy::First)
}

fn name(serial: u64, copy: Copy) -> Path {
    Path::from(match copy {
        Copy::First => format!("{FOLDER}/{serial:016x}"),
        Copy::Second => format!("{FOLDER}/{serial:016x}-copy"),
    })
}

/// What a search for the keyring that counts has found.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// That of the highest serial that is readable; none if the keys never changed.
    pub(crate) found: Option<Found>,
    /// Why one of a higher serial does not count: it was never whole, or is not any more.
    pub(crate) damage: Option<Error>,
    /// The serial that the next change takes.
    pub(super) next: u64,
}

pub(crate) async fn newest(store: &Store, repository: &str) -> Result<Newest> {
    for _ in 0..ATTEMPTS {
        let serials = list(store).await?;
        let mut newest = Newest {
            next: serials.last().map_or(1, |last| last.saturating_add(1)),
            ..Newest::default()
        };
        let mut replaced = false;
        for serial in serials.iter().rev() {
            match read_either(store, repository, *serial).await {
                Ok((ring, unsound)) => {
                    let older = serials.range(..serial);
                    let both = [Copy::First, Copy::Second];
                    let older = older.flat_map(|serial| both.map(|copy| name(*serial, copy)));
                    newest.found = Some(Found {
                        ring,
                        unsound,
                        older: older.collect(),
                    });
                    return Ok(newest);
                }
                Err(Error::Missing { .. }) => replaced = true,
                Err(error @ Error::Corrupt { .. }) => {
                    tracing::error!(error = %Chain(&error), "a keyring is damaged");
                    newest.damage = newest.damage.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        if !replaced {
            return Ok(newest);
        }
    }
    Err(Error::KeysChanged)
}

async fn list(store: &Store) -> Result<BTreeSet<u64>> {
    let names = store.list_names(FOLDER).await?;
    let serials = names.iter().filter_map(|name| {
        let digits = name.strip_suffix("-copy").unwrap_or(name);
        let serial = u64::from_str_radix(digits, 16).ok()?;
        (digits == format!("{serial:016x}")).then_some(serial)
    });
    Ok(serials.collect())
}

async fn read_either(store: &Store, repository: &str, serial: u64) -> Result<(Keyring, Vec<Path>)> {
    let mut unsound = Vec::new();
    let mut sound = None;
    let mut damage = None;
    for copy in [Copy::First, Copy::Second] {
        let path = name(serial, copy);
        match read(store, repository, serial, &path).await {
            Ok(ring) if sound.as_ref().is_some_and(|first| *first != ring) => unsound.push(path),
            Ok(ring) => sound = Some(ring),
            Err(error @ Error::Missing { .. }) => {
                damage = damage.or(Some(error));
                unsound.push(path);
            }
            Err(error @ Error::Corrupt { .. }) => {
                damage = Some(error);
                unsound.push(path);
            }
            Err(error) => return Err(error),
        }
    }
    match (sound, damage) {
        (Some(ring), _) => Ok((ring, unsound)),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::Broken("a keyring is neither there nor not")),
    }
}

async fn read(store: &Store, repository: &str, serial: u64, path: &Path) -> Result<Keyring> {
    let bytes = store.read_plain(path).await?;
    let ring = Keyring::decode(&bytes, path.as_ref())?;
    if ring.serial != serial || ring.repository != repository {
        return Err(Error::Corrupt {
            object: path.to_string(),
            detail: "it is another object under this name".to_owned(),
        });
    }
    Ok(ring)
}

/// Makes `ring` the one that counts, unless somebody else's is or will be: [`Error::KeysChanged`]. When it returns
/// well, the secrets of older ones are worth nothing.
pub(crate) async fn create(store: &Store, ring: &Keyring) -> Result<()> {
    let path = path(ring.serial);
    let created = store.create(&path, vec![ring.encode().into()]).await?;
    // Ours may be there already: the answer to a first attempt was lost.
    if created == Created::WasThere && *store.read_plain(&path).await? != *ring.encode() {
        return Err(Error::KeysChanged);
    }
    // Two changes may have come and gone since the serial was chosen, and taken away what had its name.
    if list(store).await?.last() != Some(&ring.serial) {
        store.delete(&path).await?;
        return Err(Error::KeysChanged);
    }
    Ok(())
}

/// Puts back the object of the keyring that counts, or its copy, where the other one is sound; true if `path` was one
/// of them. Needs no key.
pub(crate) async fn mend(store: &Store, repository: &str, path: &Path) -> Result<bool> {
    let Some(found) = newest(store, repository).await?.found else {
        return Ok(false);
    };
    if !found.unsound.contains(path) {
        return Ok(false);
    }
    let bytes = found.ring.encode();
    store.replace(path, vec![bytes.into()]).await?;
    // A change that came meanwhile has taken it away: what it held must not come back.
    if list(store).await?.last() != Some(&found.ring.serial) {
        store.delete(path).await?;
    }
    Ok(true)
}

/// What follows once `found` counts: its copy is there, the config holds no key any more, older keyrings are gone.
/// Whoever opens the repository does what a process that died left undone.
pub(crate) async fn finish(store: &Store, found: &Found) -> Result<()> {
    let (serial, repository) = (found.ring.serial, &found.ring.repository);
    let bytes = found.ring.encode();
    for path in &found.unsound {
        store.replace(path, vec![bytes.clone().into()]).await?;
    }
    if !found.unsound.is_empty() {
        let newest = newest(store, repository).await?.found;
        if newest.is_some_and(|newest| newest.ring.serial > serial) {
            // A later change has deleted what was just put back, or is about to.
            for copy in [Copy::First, Copy::Second] {
                store.delete(&name(serial, copy)).await?;
            }
        }
    }
    Config::remove_keys(store, repository).await?;
    for path in &found.older {
        store.delete(path).await?;
    }
    Ok(())
}

impl Found {
    /// Has the process that wrote it come to its end?
    pub(crate) fn is_settled(&self) -> bool {
        self.unsound.is_empty() && self.older.is_empty()
    }
}

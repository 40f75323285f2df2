//! The repository's root keys, one for each generation, wrapped by the secret.
//!
//! A new repository has one, in its config; the first rotation moves them to `keys/SERIAL`. The highest serial counts.

mod live;
mod objects;

use serde::{Deserialize, Serialize};
use strongroom_chunk::{Key, ObjectId};
use strongroom_types::IdSource;

use crate::secret::Argon2Cost;
use crate::text_object::Format;
use crate::{Error, Result, Secret, text_object};

pub(crate) use live::{LiveKeys, NextRoot};
#[cfg(test)]
pub(crate) use objects::create;
pub(crate) use objects::{COPIES, FOLDER, mend, newest};
use objects::{finish, path};

const FORMAT: Format = Format {
    name: "strongroom keyring",
    version: 1,
};
/// Bounds what a damaged or forged object makes us do; nobody rotates so often.
const GENERATIONS_MAX: usize = 1024;

/// How the secret becomes the key that wraps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lock {
    /// `key_file` or `passphrase`.
    pub(crate) kind: String,
    pub(crate) salt: String,
    pub(crate) argon2: Argon2Cost,
}

/// Every root key, wrapped. In clear it says nothing but how many there are and how the secret works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keyring {
    format: String,
    version: u16,
    /// The repository's id as the config spells it.
    repository: String,
    /// Counts the changes; 0 is what stands in the config of a repository whose keys never changed.
    pub(crate) serial: u64,
    lock: Lock,
    /// Fresh for every serial.
    wrap_salt: String,
    /// By generation.
    wrapped: Vec<String>,
}

impl Lock {
    pub(crate) fn new(secret: &Secret, ids: &dyn IdSource) -> Self {
        let mut salt = [0; 32];
        ids.fill(&mut salt);
        Self {
            kind: secret.kind().to_owned(),
            salt: hex::encode(salt),
            argon2: Argon2Cost::NEW,
        }
    }

    pub(crate) fn salt(&self) -> Result<[u8; 32]> {
        bytes_of(&self.salt)
    }

    /// The key that wraps. Slow for a passphrase. [`Error::WrongKey`] for a secret of the other kind.
    pub(crate) fn open(&self, secret: &Secret) -> Result<Key> {
        if secret.kind() != self.kind {
            return Err(Error::WrongKey);
        }
        secret.wrapping_key(&self.salt()?, self.argon2)
    }
}

impl Keyring {
    pub(crate) fn wrap(
        repository: &str,
        serial: u64,
        (lock, wrapping): (Lock, &Key),
        roots: &[Key],
        ids: &dyn IdSource,
    ) -> Result<Self> {
        if roots.len() > GENERATIONS_MAX {
            return Err(Error::Invalid(format!(
                "a repository has at most {GENERATIONS_MAX} generations of keys"
            )));
        }
        let id = parse_id(repository)?;
        let mut salt = [0; 32];
        ids.fill(&mut salt);
        let wrapped = roots
            .iter()
            .zip(0..)
            .map(|(root, generation)| hex::encode(wrapping.wrap(id, &salt, generation, root)));
        Ok(Self {
            format: FORMAT.name.to_owned(),
            version: FORMAT.version,
            repository: repository.to_owned(),
            serial,
            lock,
            wrap_salt: hex::encode(salt),
            wrapped: wrapped.collect(),
        })
    }

    /// What the config of a repository says whose keys never changed: there, one salt serves both purposes.
    pub(crate) fn of_config(repository: &str, lock: Lock, wrapped: String) -> Self {
        Self {
            format: FORMAT.name.to_owned(),
            version: FORMAT.version,
            repository: repository.to_owned(),
            serial: 0,
            wrap_salt: lock.salt.clone(),
            lock,
            wrapped: vec![wrapped],
        }
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The root keys by generation, at least one. [`Error::WrongKey`] if `wrapping` did not wrap them.
    pub(crate) fn unwrap(&self, wrapping: &Key) -> Result<Vec<Key>> {
        let (repository, salt) = (parse_id(&self.repository)?, bytes_of(&self.wrap_salt)?);
        if self.wrapped.is_empty() || self.wrapped.len() > GENERATIONS_MAX {
            return Err(corrupt("an impossible number of keys"));
        }
        let open = |(wrapped, generation): (&String, u16)| {
            let wrapped = hex::decode(wrapped).map_err(|_| corrupt("wrapped key"))?;
            let opened = wrapping.unwrap(repository, &salt, generation, &wrapped);
            opened.map_err(|_| Error::WrongKey)
        };
        self.wrapped.iter().zip(0..).map(open).collect()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        text_object::encode(self)
    }

    pub(crate) fn decode(bytes: &[u8], object: &str) -> Result<Self> {
        text_object::decode(bytes, object, &FORMAT)
    }
}

/// The 16 bytes of a repository's id.
pub(crate) fn parse_id(uuid: &str) -> Result<ObjectId> {
    ObjectId::from_hex(&uuid.replace('-', "")).ok_or_else(|| corrupt("the id is not a uuid"))
}

fn bytes_of(digits: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| corrupt("salt"))?;
    Ok(bytes)
}

fn corrupt(detail: &str) -> Error {
    Error::Corrupt {
        object: "keyring".to_owned(),
        detail: detail.to_owned(),
    }
}

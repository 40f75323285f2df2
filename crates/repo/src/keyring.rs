//! The repository's root keys, one for each generation, wrapped by the secret.
//!
//! A new repository has one, in its config; the first rotation moves them to `keys/SERIAL`. The highest serial counts.
//! A keyring is authenticated as a whole: who has no key can put an old one back, but make none.

mod live;
mod objects;

use serde::{Deserialize, Serialize};
use strongroom_chunk::{Key, ObjectId};
use strongroom_types::IdSource;

use crate::secret::Argon2Cost;
use crate::text_object::Format;
use crate::{Error, Result, Secret, secret, text_object};

pub(crate) use live::{Checked, LiveKeys, NextRoot, Opener};
#[cfg(test)]
pub(crate) use objects::create;
use objects::path;
pub(crate) use objects::{COPIES, FOLDER, finish, mend, newest};

const FORMAT: Format = Format {
    name: "strongroom keyring",
    version: 2,
};
/// What wraps the roots here is not what wraps the one in a config: or a config could be made of a part of a keyring.
const SEAL: &str = "strongroom v2 keyring seal";
const MAC: &str = "strongroom v2 keyring mac";
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
    /// Of everything above. What a config says has none, and one generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
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

    /// The key that wraps. Slow for a passphrase. [`Error::WrongKind`] for a secret of the other kind.
    pub(crate) fn open(&self, secret: &Secret) -> Result<Key> {
        if secret.kind() != self.kind {
            return Err(Error::WrongKind {
                wanted: secret::kind_in_words(&self.kind).ok_or_else(|| Error::Corrupt {
                    object: "keyring".to_owned(),
                    detail: "an unknown kind of secret".to_owned(),
                })?,
            });
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
        let seal = wrapping.derive(SEAL);
        let wrapped = roots
            .iter()
            .zip(0..)
            .map(|(root, generation)| hex::encode(seal.wrap(id, &salt, generation, root)));
        let mut ring = Self {
            format: FORMAT.name.to_owned(),
            version: FORMAT.version,
            repository: repository.to_owned(),
            serial,
            lock,
            wrap_salt: hex::encode(salt),
            wrapped: wrapped.collect(),
            mac: None,
        };
        let mac = wrapping.derive(MAC).authenticate(&ring.authenticated());
        ring.mac = Some(hex::encode(mac));
        Ok(ring)
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
            mac: None,
        }
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The root keys by generation, at least one. [`Error::WrongKey`] if `wrapping` did not wrap them,
    /// [`Error::Corrupt`] if somebody without it changed anything else.
    pub(crate) fn unwrap(&self, wrapping: &Key) -> Result<Vec<Key>> {
        if self.wrapped.is_empty() || self.wrapped.len() > GENERATIONS_MAX {
            return Err(self.corrupt("an impossible number of keys"));
        }
        let Some(mac) = &self.mac else {
            return self.open_all(wrapping);
        };
        let roots = self.open_all(&wrapping.derive(SEAL))?;
        let mac = bytes_of(mac).ok();
        let content = self.authenticated();
        if mac.is_some_and(|mac| wrapping.derive(MAC).is_authentic(&content, &mac)) {
            return Ok(roots);
        }
        Err(self.corrupt("somebody without the key has changed it"))
    }

    fn open_all(&self, seal: &Key) -> Result<Vec<Key>> {
        let (repository, salt) = (parse_id(&self.repository)?, bytes_of(&self.wrap_salt)?);
        let open = |(wrapped, generation): (&String, u16)| {
            let wrapped = hex::decode(wrapped).map_err(|_| self.corrupt("wrapped key"))?;
            let opened = seal.unwrap(repository, &salt, generation, &wrapped);
            opened.map_err(|_| match generation {
                0 => Error::WrongKey,
                // The key is right.
                _ => self.corrupt("a wrapped key was changed"),
            })
        };
        self.wrapped.iter().zip(0..).map(open).collect()
    }

    /// The object's line without the mac.
    fn authenticated(&self) -> Vec<u8> {
        let content = Self {
            mac: None,
            ..self.clone()
        };
        serde_json::to_vec(&content).expect("a keyring has string keys only")
    }

    fn corrupt(&self, detail: &str) -> Error {
        let object = match self.serial {
            0 => "config".to_owned(),
            serial => path(serial).to_string(),
        };
        Error::Corrupt {
            object,
            detail: detail.to_owned(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        text_object::encode(self)
    }

    pub(crate) fn decode(bytes: &[u8], object: &str) -> Result<Self> {
        let ring: Self = text_object::decode(bytes, object, &FORMAT)?;
        let corrupt = |detail: &str| Error::Corrupt {
            object: object.to_owned(),
            detail: detail.to_owned(),
        };
        if ring.version < FORMAT.version {
            return Err(corrupt("a keyring that nothing authenticates"));
        }
        if ring.mac.is_none() {
            return Err(corrupt("a field is missing"));
        }
        Ok(ring)
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

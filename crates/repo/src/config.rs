//! The objects `config` and `config-copy`, which are the same: who the repository is, how it cuts, and its root key wrapped by the secret.

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use strongroom_chunk::{Key, Keys, ObjectId, Profile, checksum};
use strongroom_types::{Chain, IdSource, Timestamp};

use crate::secret::Argon2Cost;
use crate::store::{Created, Store};
use crate::{Error, Options, Result, Secret, layout};

pub(crate) const VERSION: u16 = 1;
pub(crate) const PACK_BYTES_TARGETS: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;
const FORMAT: &str = "strongroom repository";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    format: String,
    version: u16,
    pub(crate) id: String,
    created_at: String,
    profile: String,
    pub(crate) pack_bytes_target: u64,
    /// Do packs get parity? Absent in the configs of repositories without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) parity: bool,
    key: WrappedKey,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WrappedKey {
    /// `key_file` or `passphrase`.
    kind: String,
    salt: String,
    argon2: Argon2Cost,
    wrapped: String,
}

/// Only what every version has, so that a newer one is told from a damaged one.
#[derive(Deserialize)]
struct AnyVersion {
    format: String,
    version: u16,
}

fn corrupt(detail: &str) -> Error {
    Error::Corrupt {
        object: "config".to_owned(),
        detail: detail.to_owned(),
    }
}

fn kind(secret: &Secret) -> &'static str {
    match secret {
        Secret::KeyFile(_) => "key_file",
        Secret::Passphrase(_) => "passphrase",
    }
}

impl Config {
    /// A new repository with a new root key. Slow for a passphrase.
    pub(crate) fn create(
        secret: &Secret,
        options: Options,
        created_at: Timestamp,
        ids: &dyn IdSource,
    ) -> Result<(Self, Keys)> {
        let id = ids.uuid();
        let repository = parse_id(&id).ok_or(Error::Invalid("not a uuid".to_owned()))?;
        let (mut salt, mut root) = ([0; 32], Key([0; 32]));
        ids.fill(&mut salt);
        ids.fill(&mut root.0);
        let argon2 = Argon2Cost::NEW;
        let wrapped = secret
            .wrapping_key(&salt, argon2)?
            .wrap(repository, &salt, 0, &root);
        let config = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            id,
            created_at: created_at.to_string(),
            profile: options.profile.as_str().to_owned(),
            pack_bytes_target: options.pack_bytes_target,
            parity: options.parity,
            key: WrappedKey {
                kind: kind(secret).to_owned(),
                salt: hex::encode(salt),
                argon2,
                wrapped: hex::encode(wrapped),
            },
        };
        Ok((config, Keys::derive(repository, &root)))
    }

    /// One line of JSON, then the BLAKE3 of that line in hex.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).expect("a config has string keys only");
        let sum = hex::encode(checksum(json.as_bytes()));
        format!("{json}\n{sum}\n").into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| corrupt("not text"))?;
        let (json, sum) = text.split_once('\n').ok_or(corrupt("cut short"))?;
        if sum.trim_end_matches('\n') != hex::encode(checksum(json.as_bytes())) {
            return Err(corrupt("the checksum does not match"));
        }
        let any: AnyVersion = serde_json::from_str(json).map_err(|_| corrupt("not a config"))?;
        if any.format != FORMAT {
            return Err(corrupt("not a config of this program"));
        }
        if any.version > VERSION {
            return Err(Error::NewerVersion {
                object: "config".to_owned(),
                version: any.version,
            });
        }
        let config: Self = serde_json::from_str(json).map_err(|_| corrupt("a field is missing"))?;
        // Packs are built in memory.
        if !PACK_BYTES_TARGETS.contains(&config.pack_bytes_target) {
            return Err(corrupt("packs of impossible size"));
        }
        Ok(config)
    }

    /// Writes a new repository's config. [`Error::Exists`] when another one is there.
    pub(crate) async fn store(&self, store: &Store) -> Result<()> {
        let [first, copy] = layout::CONFIGS.map(Path::from);
        if store.create(&first, vec![self.encode().into()]).await? == Created::WasThere {
            return Err(Error::Exists);
        }
        // Someone who opened the repository in between may have written it.
        store.create(&copy, vec![self.encode().into()]).await?;
        Ok(())
    }

    /// Reads a config; nothing if there is none.
    pub(crate) async fn read(store: &Store, name: &str) -> Result<Option<Self>> {
        match store.read(&Path::from(name)).await {
            Ok(bytes) => Self::decode(&bytes).map(Some),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the config or its copy, and puts back the one that is gone.
    pub(crate) async fn load(store: &Store) -> Result<Self> {
        let mut found: Option<Self> = None;
        let mut damage = None;
        let mut gone = Vec::new();
        for name in layout::CONFIGS {
            match Self::read(store, name).await {
                Ok(Some(config)) if found.as_ref().is_some_and(|first| *first != config) => {
                    // Guessing wrong would add points that nobody can read.
                    return Err(corrupt("it and its copy belong to different repositories"));
                }
                Ok(Some(config)) => found = Some(config),
                Ok(None) => gone.push(name),
                Err(error @ Error::Corrupt { .. }) => {
                    tracing::error!(error = %Chain(&error), object = name, "a config is damaged");
                    damage = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let config = found.ok_or(damage.unwrap_or(Error::NotARepository))?;
        for name in gone {
            let object = vec![config.encode().into()];
            // A place that cannot be written can still be read.
            if let Err(error) = store.create(&Path::from(name), object).await {
                tracing::warn!(error = %Chain(&error), object = name, "a config cannot be put back");
            }
        }
        Ok(config)
    }

    pub(crate) fn options(&self) -> Result<Options> {
        let profile = Profile::from_name(&self.profile).map_err(|_| corrupt("unknown profile"))?;
        Ok(Options {
            profile,
            pack_bytes_target: self.pack_bytes_target,
            parity: self.parity,
        })
    }

    /// Unwraps the root key. Slow for a passphrase.
    pub(crate) fn unlock(&self, secret: &Secret) -> Result<Keys> {
        let repository = parse_id(&self.id).ok_or(corrupt("the id is not a uuid"))?;
        if kind(secret) != self.key.kind {
            return Err(Error::WrongKey);
        }
        let mut salt = [0; 32];
        hex::decode_to_slice(&self.key.salt, &mut salt).map_err(|_| corrupt("salt"))?;
        let wrapped = hex::decode(&self.key.wrapped).map_err(|_| corrupt("wrapped key"))?;
        let root = secret
            .wrapping_key(&salt, self.key.argon2)?
            .unwrap(repository, &salt, 0, &wrapped)
            .map_err(|_| Error::WrongKey)?;
        Ok(Keys::derive(repository, &root))
    }
}

fn parse_id(uuid: &str) -> Option<ObjectId> {
    ObjectId::from_hex(&uuid.replace('-', ""))
}

//! The objects `config` and `config-copy`, which are the same: who the repository is, how it cuts,
//! and its root key wrapped by the secret, unless a keyring has taken that over.

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use strongroom_chunk::{Key, ObjectId, Profile};
use strongroom_types::{Chain, IdSource, Timestamp};

use crate::keyring::{Keyring, LiveKeys, Lock, parse_id};
use crate::store::{Created, Store};
use crate::text_object::Format;
use crate::{Error, Options, Result, Secret, layout, text_object};

const FORMAT: Format = Format {
    name: "strongroom repository",
    version: VERSION_WITHOUT_KEY,
};
const VERSION_WITH_KEY: u16 = 1;
/// The keys were changed; a reader of version 1 must not look for one here.
const VERSION_WITHOUT_KEY: u16 = 2;
pub(crate) const PACK_BYTES_TARGETS: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

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
    /// Gone once the keys were changed: see `keyring`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<WrappedKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WrappedKey {
    #[serde(flatten)]
    lock: Lock,
    wrapped: String,
}

fn corrupt(detail: &str) -> Error {
    Error::Corrupt {
        object: "config".to_owned(),
        detail: detail.to_owned(),
    }
}

impl Config {
    /// A new repository with a new root key. Slow for a passphrase.
    pub(crate) fn create(
        secret: &Secret,
        options: Options,
        created_at: Timestamp,
        ids: &dyn IdSource,
    ) -> Result<(Self, std::sync::Arc<LiveKeys>)> {
        let id = ids.uuid();
        let repository = parse_id(&id)?;
        let lock = Lock::new(secret, ids);
        let mut root = Key([0; 32]);
        ids.fill(&mut root.0);
        let wrapping = lock.open(secret)?;
        let salt = lock.salt()?;
        let wrapped = hex::encode(wrapping.wrap(repository, &salt, 0, &root));
        let config = Self {
            format: FORMAT.name.to_owned(),
            version: VERSION_WITH_KEY,
            id: id.clone(),
            created_at: created_at.to_string(),
            profile: options.profile.as_str().to_owned(),
            pack_bytes_target: options.pack_bytes_target,
            parity: options.parity,
            key: Some(WrappedKey { lock, wrapped }),
        };
        let keys = LiveKeys::new(id, 0, wrapping, &[root])?;
        Ok((config, keys))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        text_object::encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let config: Self = text_object::decode(bytes, "config", &FORMAT)?;
        if config.version == VERSION_WITH_KEY && config.key.is_none() {
            return Err(corrupt("a field is missing"));
        }
        // Packs are built in memory.
        if !PACK_BYTES_TARGETS.contains(&config.pack_bytes_target) {
            return Err(corrupt("packs of impossible size"));
        }
        Ok(config)
    }

    /// The keyring of a repository whose keys never changed.
    pub(crate) fn keyring(&self) -> Option<Keyring> {
        let key = self.key.clone()?;
        Some(Keyring::of_config(&self.id, key.lock, key.wrapped))
    }

    pub(crate) fn has_no_key(&self) -> bool {
        self.key.is_none()
    }

    /// The same once a keyring holds the keys.
    fn without_key(&self) -> Self {
        Self {
            version: VERSION_WITHOUT_KEY,
            key: None,
            ..self.clone()
        }
    }

    /// Takes the key out of the configs of this repository. A damaged one may still say it: it is written anew.
    pub(crate) async fn remove_keys(store: &Store, repository: &str) -> Result<()> {
        let mut sound = None;
        let (mut damaged, mut with_key) = (Vec::new(), Vec::new());
        for name in layout::CONFIGS {
            match Self::read(store, name).await {
                Ok(Some(config)) if config.id == repository => {
                    if config.key.is_some() {
                        with_key.push(name);
                    }
                    sound = Some(config);
                }
                Ok(_) => {}
                Err(Error::Corrupt { .. }) => damaged.push(name),
                Err(error) => return Err(error),
            }
        }
        let Some(config) = sound else { return Ok(()) };
        // The damaged one first: as long as the other has its key, whoever opens the repository comes here.
        for name in damaged.into_iter().chain(with_key) {
            let bytes = config.without_key().encode();
            store.replace(&Path::from(name), vec![bytes.into()]).await?;
        }
        Ok(())
    }

    /// Writes a new repository's config. [`Error::Exists`] when another one is there.
    pub(crate) async fn store(&self, store: &Store) -> Result<()> {
        let [first, copy] = layout::CONFIGS.map(Path::from);
        let bytes = self.encode();
        let created = store.create(&first, vec![bytes.clone().into()]).await?;
        // Ours may be there already: the answer to a first attempt was lost.
        if created == Created::WasThere && *store.read_plain(&first).await? != *bytes {
            return Err(Error::Exists);
        }
        // Someone who opened the repository in between may have written it.
        store.create(&copy, vec![bytes.into()]).await?;
        Ok(())
    }

    /// Reads a config; nothing if there is none.
    pub(crate) async fn read(store: &Store, name: &str) -> Result<Option<Self>> {
        match store.read_plain(&Path::from(name)).await {
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
                Ok(Some(config)) => found = Some(config.merge(found)?),
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

    pub(crate) fn object_id(&self) -> Result<ObjectId> {
        parse_id(&self.id)
    }

    pub(crate) fn options(&self) -> Result<Options> {
        let profile = Profile::from_name(&self.profile).map_err(|_| corrupt("unknown profile"))?;
        Ok(Options {
            profile,
            pack_bytes_target: self.pack_bytes_target,
            parity: self.parity,
        })
    }

    /// What the config and its copy say together: while the keys change, one of them has a key still.
    fn merge(self, other: Option<Self>) -> Result<Self> {
        let Some(other) = other else { return Ok(self) };
        if other == self {
            Ok(self)
        } else if self.key.is_some() != other.key.is_some()
            && self.without_key() == other.without_key()
        {
            // With the key, so that who opens the repository sees that it has to go.
            Ok(if self.key.is_some() { self } else { other })
        } else {
            // Guessing wrong would add points that nobody can read.
            Err(corrupt("it and its copy belong to different repositories"))
        }
    }
}

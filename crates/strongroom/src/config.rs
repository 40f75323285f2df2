//! Settings of `serve`: defaults, then a TOML file, then the environment, then flags; the last word wins.

mod attach_tls;
mod notify;
mod peers;
mod prove;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use strongroom_service::StorageUnitSetting;
use strongroom_service::locks::LockedTime;

pub(crate) use attach_tls::AttachTls;
pub(crate) use notify::Notify;
use strongroom_store::{Limits, Place};
use strongroom_types::ProjectId;

pub(crate) use peers::Peer;
use worker::Worker;

const ENVIRONMENT_PREFIX: &str = "STRONGROOM__";

/// Everything an operator may set. A key that is not here is an error that names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// Holds the database, the keys and, unless `storage` says otherwise, the repositories.
    pub(crate) data_dir: PathBuf,
    /// Where the repositories lie, `s3://BUCKET/PREFIX` or a folder; in the data directory when absent.
    pub(crate) storage: Option<String>,
    pub(crate) s3: S3,
    /// Name of this installation's region; the first project is called the same.
    pub(crate) region: String,
    /// What clients call this service from outside, e.g. behind a proxy; the Host header when absent.
    pub(crate) public_url: Option<String>,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) limits: ProjectLimits,
    pub(crate) audit: Audit,
    pub(crate) database: Database,
    pub(crate) worker: Worker,
    pub(crate) lock: Lock,
    pub(crate) notify: Notify,
    pub(crate) log: Log,
    /// What other installations write, and which project may list it.
    pub(crate) storage_units: Vec<StorageUnit>,
    /// Other installations that copies of backups go to and come from.
    pub(crate) peers: Vec<Peer>,
}

/// A repository that another installation writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StorageUnit {
    /// What hybrid vaults show, and imports call a bucket.
    pub(crate) name: String,
    /// The one project that may list what lies there.
    pub(crate) project: ProjectId,
    /// The repository: a folder, or `s3://BUCKET/PREFIX`.
    pub(crate) place: String,
    /// What unlocks it.
    pub(crate) key_file: PathBuf,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    /// `sqlite:PATH` or `postgres://…`; a SQLite file in the data directory when absent.
    pub(crate) address: Option<String>,
}

/// Dealings with an S3 server; who asks, and where, stands in the usual AWS variables of the environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct S3 {
    /// For how long a failing request is repeated.
    pub(crate) patience_seconds: u64,
    /// Requests of one project that are under way at a time.
    pub(crate) requests_at_once: usize,
}

/// What each project may ask of the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectLimits {
    pub(crate) requests_per_second: u32,
    /// At once, after a silence.
    pub(crate) burst: u32,
    /// Being answered at the same time.
    pub(crate) requests_at_once: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// Records are forgotten after so many days.
    pub(crate) retention_days: u64,
}

/// How the time of locked vaults follows the host's clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    /// A stop of the service that was longer is believed as far as this.
    pub(crate) stop_believed_hours: u64,
    /// How much faster it runs while it is behind.
    pub(crate) catch_up_percent: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    /// A `tracing` filter such as `info` or `strongroom_worker=debug,info`.
    pub(crate) filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Flags of the command line that override the rest.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Overrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let limits = strongroom_api::Limits::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8799)),
            data_dir: default_data_dir(),
            storage: None,
            s3: S3 {
                patience_seconds: 180,
                requests_at_once: 32,
            },
            region: "region-1".to_owned(),
            public_url: None,
            trusted_proxies: Vec::new(),
            limits: ProjectLimits {
                requests_per_second: limits.requests_per_second,
                burst: limits.burst,
                requests_at_once: limits.requests_at_once,
            },
            audit: Audit {
                retention_days: 365,
            },
            database: Database::default(),
            worker: Worker::default(),
            lock: Lock {
                stop_believed_hours: 24,
                catch_up_percent: 0,
            },
            notify: Notify::default(),
            log: Log {
                format: LogFormat::Text,
                filter: "info".to_owned(),
            },
            storage_units: Vec::new(),
            peers: Vec::new(),
        }
    }
}

fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/strongroom");
    }
    match std::env::var_os("HOME") {
        Some(home) => Path::new(&home).join(".local/share/strongroom"),
        None => PathBuf::from("strongroom-data"),
    }
}

impl Config {
    pub(crate) fn load(file: Option<&Path>, overrides: &Overrides) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                bail!("the configuration file {} does not exist", file.display());
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment
            .merge(Env::prefixed(ENVIRONMENT_PREFIX).split("__"))
            .merge(Serialized::defaults(overrides))
            .extract()
            .map_err(|error| anyhow::anyhow!("{}", one_sentence(&error)))
            .context("the configuration is wrong")?;
        config.validate().context("the configuration is wrong")?;
        Ok(config)
    }

    /// Where the repositories lie; `own` is their folder in the data directory.
    pub(crate) fn place(&self, own: PathBuf) -> anyhow::Result<Place> {
        match &self.storage {
            Some(storage) => Ok(Place::parse(storage)?),
            None => Ok(Place::Folder(own)),
        }
    }

    pub(crate) fn s3_limits(&self) -> Limits {
        Limits {
            patience: Duration::from_secs(self.s3.patience_seconds),
            requests_at_once: self.s3.requests_at_once,
            ..Limits::default()
        }
    }

    pub(crate) const fn locked_time(&self) -> LockedTime {
        LockedTime {
            stop_believed_max: Duration::from_hours(self.lock.stop_believed_hours),
            catch_up_percent: self.lock.catch_up_percent,
        }
    }

    pub(crate) const fn limits(&self) -> strongroom_api::Limits {
        strongroom_api::Limits {
            requests_per_second: self.limits.requests_per_second,
            burst: self.limits.burst,
            requests_at_once: self.limits.requests_at_once,
        }
    }

    pub(crate) fn audit_retention(&self) -> Duration {
        Duration::from_hours(self.audit.retention_days * 24)
    }

    fn validate(&self) -> anyhow::Result<()> {
        let name_ok = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.region.is_empty() || self.region.len() > 255 || !self.region.chars().all(name_ok) {
            bail!("`region` must be 1 to 255 letters, digits, `.`, `_` or `-`");
        }
        self.worker.validate()?;
        if self.lock.stop_believed_hours > 168 {
            bail!("`lock.stop_believed_hours` must be at most 168");
        }
        if self.lock.catch_up_percent > LockedTime::CATCH_UP_PERCENT_MAX {
            bail!("`lock.catch_up_percent` must be at most 10");
        }
        if !(1..=3600).contains(&self.s3.patience_seconds) {
            bail!("`s3.patience_seconds` must be between 1 and 3600");
        }
        if !(1..=1024).contains(&self.s3.requests_at_once) {
            bail!("`s3.requests_at_once` must be between 1 and 1024");
        }
        let limits = [
            ("requests_per_second", self.limits.requests_per_second),
            ("burst", self.limits.burst),
            ("requests_at_once", self.limits.requests_at_once),
        ];
        for (name, limit) in limits {
            if !(1..=1_000_000).contains(&limit) {
                bail!("`limits.{name}` must be between 1 and 1000000");
            }
        }
        if !(1..=36_500).contains(&self.audit.retention_days) {
            bail!("`audit.retention_days` must be between 1 and 36500");
        }
        if let Some(storage) = &self.storage {
            Place::parse(storage).context("`storage` names no place")?;
        }
        self.validate_storage_units()?;
        self.validate_peers()?;
        if let Some(url) = &self.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            bail!("`public_url` must begin with http:// or https://");
        }
        Ok(())
    }
}

impl Config {
    fn validate_storage_units(&self) -> anyhow::Result<()> {
        let name_ok = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let mut names = BTreeSet::new();
        for unit in &self.storage_units {
            let name = &unit.name;
            let is_dots = name.chars().all(|c| c == '.');
            if is_dots || name.len() > 64 || !name.chars().all(name_ok) {
                bail!(
                    "the `name` of a storage unit must be 1 to 64 letters, digits, `.`, `_` or `-`"
                );
            }
            if !names.insert(name) {
                bail!("two storage units are called `{name}`");
            }
            Place::parse(&unit.place)
                .with_context(|| format!("the `place` of the storage unit `{name}` is none"))?;
        }
        Ok(())
    }

    /// The units that projects may list, as the rules know them.
    pub(crate) fn storage_unit_settings(&self) -> Vec<StorageUnitSetting> {
        let units = self.storage_units.iter();
        units
            .map(|unit| StorageUnitSetting {
                name: unit.name.clone(),
                project_id: unit.project.clone(),
            })
            .collect()
    }

    /// Where the units lie.
    pub(crate) fn unit_places(
        &self,
    ) -> anyhow::Result<BTreeMap<String, strongroom_worker::StorageUnit>> {
        let place = |unit: &StorageUnit| {
            let found = strongroom_worker::StorageUnit {
                place: Place::parse(&unit.place)?,
                key_file: unit.key_file.clone(),
            };
            Ok((unit.name.clone(), found))
        };
        self.storage_units.iter().map(place).collect()
    }
}

/// figment's message, the key it concerns and the place the value came from, on one line.
fn one_sentence(error: &figment::Error) -> String {
    let key = error.path.join(".");
    let kind = error.kind.to_string();
    let kind = kind.split_whitespace().collect::<Vec<_>>().join(" ");
    let place = error
        .metadata
        .as_ref()
        .map_or_else(String::new, |metadata| format!(" ({})", metadata.name));
    if key.is_empty() {
        format!("{kind}{place}")
    } else {
        format!("`{key}`: {kind}{place}")
    }
}

//! `strongroom repo …`: the engine alone, without a server or a database.

mod answer;
mod attach;
mod collecting;
mod commands;
mod damage;
mod keys;
mod place;
mod secret;
mod stats;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use strongroom_types::VolumeFormat;

pub(crate) use commands::run;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a repository; with --key-file, make the key file too unless it exists.
    Init {
        #[command(flatten)]
        place: Place,
        /// Chunk sizes: `default` suits most disks, `dense` saves space on busy ones, `archive` suits cold data.
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
        /// Whether packs carry parity, so that small damage heals: on in folders, off elsewhere, unless given.
        #[arg(long, value_enum)]
        parity: Option<Parity>,
    },
    /// Back up one disk image, block device or NBD export.
    Backup {
        #[command(flatten)]
        place: Place,
        /// A raw or qcow2 file, a block device, or an export: `nbd+unix:///EXPORT?socket=PATH`, `nbd://HOST/EXPORT`, `nbds://HOST/EXPORT?tls-certificates=FOLDER`.
        source: PathBuf,
        /// Groups the points of one disk; the source's path when absent.
        #[arg(long)]
        lineage: Option<String>,
        /// What the source is. Told from its first bytes when absent, which a machine that writes a raw disk can
        /// forge: give it for raw disks of others.
        #[arg(long, value_enum)]
        format: Option<ImageFormat>,
    },
    /// List the points of a repository, oldest first.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Write a point to a file; `-` writes to standard output.
    Restore {
        #[command(flatten)]
        place: Place,
        /// A point's id, or the beginning of one.
        point: String,
        /// A new file, or an existing image, device or NBD export that is overwritten where it differs.
        #[arg(long)]
        to: PathBuf,
        /// What an existing target is; told from its first bytes when absent.
        #[arg(long, value_enum)]
        format: Option<ImageFormat>,
    },
    /// Serve a point as a disk by NBD, so that a machine boots from it at once. Runs until SIGTERM or Ctrl-C.
    Attach(attach::Attach),
    /// Remove points. What only they needed is freed by `gc`.
    Forget {
        #[command(flatten)]
        place: Place,
        /// Ids of points, or the beginnings of ids.
        #[arg(required_unless_present = "keep_last")]
        points: Vec<String>,
        /// Remove all but the newest N points of each lineage instead.
        #[arg(long, value_name = "N", conflicts_with = "points")]
        keep_last: Option<usize>,
        /// With --keep-last: in this lineage only.
        #[arg(long, requires = "keep_last")]
        lineage: Option<String>,
    },
    /// Free what no point needs. Backups and restores may go on meanwhile.
    Gc {
        #[command(flatten)]
        place: Place,
        /// Only say what would be freed.
        #[arg(long)]
        dry_run: bool,
        /// Rewrite packs of which less than this share is needed; 0 rewrites none.
        #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
        compact_below: u8,
        /// Read at most so many MiB/s for rewriting.
        #[arg(long, value_name = "MIB")]
        limit_rate: Option<u64>,
        /// Wait so long for backups and restores at work that may still need what goes.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
    },
    /// Tell what is held, by which disk, how well it is deduplicated and compressed, and what forgetting each point
    /// would free.
    Stats {
        #[command(flatten)]
        place: Place,
    },
    /// Check that every point can be restored.
    Verify {
        #[command(flatten)]
        place: Place,
        /// Read, decrypt and hash everything, instead of checking structure alone.
        #[arg(long)]
        read_data: bool,
    },
    /// Make good what damage took, from parity, copies and other packs; tell what is lost for good.
    Repair {
        #[command(flatten)]
        place: Place,
        /// Tell what would be done, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check every object against its own hashes, and heal what parity or a copy brings back. Needs no key.
    ///
    /// What a repair has put aside is counted, and not checked.
    Scrub {
        #[command(flatten)]
        location: Location,
        /// Read at most so many MiB/s.
        #[arg(long, value_name = "MIB")]
        limit_rate: Option<u64>,
        /// Tell what would be healed, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Change what unlocks a repository.
    #[command(subcommand)]
    Key(keys::KeyCommand),
}

/// Where a repository is and what unlocks it.
#[derive(Debug, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    secret: secret::SecretPlace,
}

/// Where a repository is.
#[derive(Debug, Args)]
pub(crate) struct Location {
    /// The repository: a folder, or s3://BUCKET/PREFIX with the usual AWS variables in the environment.
    #[arg(value_name = "REPO")]
    repository: String,
    /// For how long a request to an S3 server is repeated when it fails.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "STRONGROOM_S3_PATIENCE",
        default_value_t = 180
    )]
    s3_patience: u64,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Profile {
    #[default]
    Default,
    Dense,
    Archive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Parity {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ImageFormat {
    Raw,
    Qcow2,
}

impl From<ImageFormat> for VolumeFormat {
    fn from(format: ImageFormat) -> Self {
        match format {
            ImageFormat::Raw => Self::Raw,
            ImageFormat::Qcow2 => Self::Qcow2,
        }
    }
}

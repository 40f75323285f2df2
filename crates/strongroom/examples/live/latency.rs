//! How long a guest's writes take while its machine is backed up, as QEMU's device sees it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::domain::Domain;
use crate::strongroom::Strongroom;
use crate::tools::{Keeper, Tool};

/// Of the first disk, where its images' days are and the guest writes.
const DEVICE: &str = "/machine/peripheral/virtio-disk0/virtio-backend";
const UNDISTURBED: Duration = Duration::from_secs(20);
/// MiB a second.
const BOUND: u32 = 100;
/// Files that a guest has written when it is measured.
const SETTLED: u64 = 60;
const PATIENCE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(50);
/// Bins end at so many nanoseconds: 100 µs, and a quarter more each, up to 13 s.
const FIRST_BIN: f64 = 100_000.0;
const GROWTH: f64 = 1.25;
const BINS: i32 = 53;

/// In thousandths.
pub(crate) const SHARES: [u64; 3] = [500, 990, 999];

/// What was done meanwhile.
#[derive(Debug, Clone, Copy)]
enum Load {
    Nothing,
    Full(Tool),
    BoundedFull,
}

#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) load: String,
    pub(crate) seconds: f64,
    /// That the guest made durable, of 128 KiB each.
    pub(crate) files: u64,
    /// Requests of the guest, writes and flushes.
    pub(crate) requests: u64,
    /// So long took as many of a thousand at most as [`SHARES`] says.
    pub(crate) within: [Duration; SHARES.len()],
}

pub(crate) fn measure(folder: &Path, image: &Path, program: &Path) -> Result<Vec<Waits>> {
    let loads = [
        Load::Nothing,
        Load::Full(Tool::Strongroom),
        Load::BoundedFull,
        Load::Full(Tool::VirtNbdBackup),
        Load::Full(Tool::VirtNbdBackupLz4),
    ];
    let mut all = Vec::new();
    for load in loads {
        all.push(measure_under(load, folder, image, program).with_context(|| load.name())?);
        fs::remove_dir_all(folder).context("cannot remove what was measured")?;
    }
    Ok(all)
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Full(tool) => format!("{}, full", tool.name()),
            Self::BoundedFull => format!("strongroom, full, at most {BOUND} MiB a second"),
        }
    }

    fn keeper(self, domain: &Domain, program: &Path) -> Result<Option<Box<dyn Keeper>>> {
        Ok(match self {
            Self::Nothing => None,
            Self::Full(tool) => Some(tool.prepare(domain, program)?),
            Self::BoundedFull => Some(Box::new(Strongroom::start(domain, program, Some(BOUND))?)),
        })
    }
}

fn measure_under(load: Load, folder: &Path, image: &Path, program: &Path) -> Result<Waits> {
    let domain = Domain::start_linux(folder, image)?;
    let mut keeper = load.keeper(&domain, program)?;
    let waiting = Instant::now();
    while written(&domain)? < SETTLED {
        anyhow::ensure!(waiting.elapsed() < PATIENCE, "the guest does not write");
        std::thread::sleep(PAUSE);
    }
    let ends = (0..BINS).map(|bin| FIRST_BIN * GROWTH.powi(bin));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bins have positive ends far below 2^63"
    )]
    let ends: Vec<u64> = ends.map(|end| end as u64).collect();
    let histogram = json!({ "id": DEVICE, "boundaries-write": ends, "boundaries-flush": ends });
    domain
        .libvirt
        .command("block-latency-histogram-set", &histogram);
    let (before, started) = (written(&domain)?, Instant::now());
    match &mut keeper {
        None => std::thread::sleep(UNDISTURBED),
        Some(keeper) => keeper.back_up(true)?,
    }
    let seconds = started.elapsed().as_secs_f64();
    let counts = counts(
        &domain.libvirt.command("query-blockstats", &json!({})),
        ends.len() + 1,
    )?;
    Ok(Waits {
        load: load.name(),
        seconds,
        files: written(&domain)? - before,
        requests: counts.iter().sum(),
        within: SHARES.map(|share| within(&counts, &ends, share)),
    })
}

/// The number of the last file that the guest told of, which it does for every twentieth.
fn written(domain: &Domain) -> Result<u64> {
    let console = fs::read(domain.folder.join("console")).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    // The last line may not be whole yet.
    let (whole, _) = console.rsplit_once('\n').unwrap_or_default();
    let last = whole
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("GUEST wrote "));
    last.map_or(Ok(0), |number| number.parse().context("a number was told"))
}

/// Writes and flushes of each bin.
fn counts(stats: &Value, bins: usize) -> Result<Vec<u64>> {
    let devices = stats.as_array().context("a list of devices")?;
    let device = devices.iter().find(|device| device["qdev"] == DEVICE);
    let stats = &device.context("the machine has the disk")?["stats"];
    let mut sums = vec![0; bins];
    for name in ["wr_latency_histogram", "flush_latency_histogram"] {
        let found = stats[name]["bins"].as_array().context("a histogram")?;
        for (sum, count) in sums.iter_mut().zip(found) {
            *sum += count.as_u64().context("a count")?;
        }
    }
    Ok(sums)
}

/// The end of the bin in which the share, in thousandths, is reached.
fn within(counts: &[u64], ends: &[u64], share: u64) -> Duration {
    let all: u64 = counts.iter().sum();
    let mut sum = 0;
    let bin = counts.iter().position(|count| {
        sum += count;
        sum * 1000 >= all * share
    });
    let end = bin.and_then(|bin| ends.get(bin)).or(ends.last());
    Duration::from_nanos(end.copied().unwrap_or_default())
}

//! The images that are backed up: a disk on three days, and a second disk with largely the same files.
//!
//! Real files of this machine in an ext4 file system, made without privileges. The same installed packages make the same
//! bytes.

mod composition;
mod content;
mod day;
mod disk;
mod ext4;
mod numbers;
mod system;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;
pub(super) use composition::{Change, Composition};
use content::Prose;
use day::Day;

pub(super) const DAYS: usize = 3;
/// A day changes this share of the image, in percent.
const CHANGED_PERCENT: u64 = 3;

pub(super) struct Corpus {
    pub(super) size_bytes: u64,
    pub(super) days: [PathBuf; DAYS],
    pub(super) second: PathBuf,
    pub(super) first_day: Composition,
    /// Of the second and the third day, each against the day before.
    pub(super) changes: [Change; DAYS - 1],
    pub(super) generated_bytes: u64,
}

/// Makes the images in `folder`, which exists and is empty.
pub(super) fn make(folder: &Path, size_bytes: u64) -> Result<Corpus> {
    let started = shell::now();
    println!("making a corpus of {} MiB", size_bytes >> 20);
    let staging = folder.join("staging");
    fs::create_dir(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
    let prose = Prose::new();
    let days = [1, 2, 3].map(|number| folder.join(format!("day{number}.img")));
    let second = folder.join("second.img");

    let files = disk::prepare(size_bytes, &staging, &prose)?;
    let mut disk = files.first_disk(days[0].clone(), size_bytes, &staging, &prose)?;
    println!("day 1: {:.0} s", started.elapsed().as_secs_f32());
    files.second_disk(second.clone(), size_bytes, &staging, &prose)?;
    println!("second disk: {:.0} s", started.elapsed().as_secs_f32());
    for (number, path) in (2..).zip(&days[1..]) {
        let day = Day {
            number,
            budget_bytes: size_bytes * CHANGED_PERCENT / 100,
            staging: &staging,
            prose: &prose,
        };
        day::live_through(&mut disk, path.clone(), &day)?;
        println!("day {number}: {:.0} s", started.elapsed().as_secs_f32());
    }
    fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
    let corpus = Corpus {
        size_bytes,
        first_day: composition::measure(&days[0])?,
        changes: [
            composition::compare(&days[0], &days[1])?,
            composition::compare(&days[1], &days[2])?,
        ],
        days,
        second,
        generated_bytes: disk.generated_bytes,
    };
    println!(
        "corpus made in {:.0} s\n{}",
        started.elapsed().as_secs_f32(),
        corpus.description()
    );
    Ok(corpus)
}

impl Corpus {
    /// What the images are, measured.
    pub(super) fn description(&self) -> String {
        let [zero, halved, reduced, kept] = self.first_day.pieces;
        let first = format!(
            "Corpus: ext4 images of {} MiB with system files of this machine, database pages, a store, a log, random media \
             and stale blocks. Day 1: {:.1} % of its 4 KiB blocks are zero; of its pieces of 64 KiB {zero:.1} % are zero, \
             {halved:.1} % are at least halved by zstd 1, {reduced:.1} % shrink by a tenth or more, {kept:.1} % do not.",
            self.size_bytes >> 20,
            self.first_day.zero_blocks,
        );
        let days = (2..).zip(&self.changes).map(|(number, change)| {
            let [blocks, pieces, mib, four_mib] = change.touched;
            format!(
                "Day {number} changes {} MiB in 4 KiB blocks: {blocks:.2} % of these, {pieces:.1} % of the pieces of 64 KiB, \
                 {mib:.1} % of 1 MiB, {four_mib:.1} % of 4 MiB.",
                change.bytes >> 20,
            )
        });
        let generated = (self.generated_bytes > 0).then(|| {
            format!(
                "This machine had too few system files: {} MiB of them were generated.",
                self.generated_bytes >> 20
            )
        });
        let sentences = std::iter::once(first).chain(days).chain(generated);
        sentences.collect::<Vec<_>>().join(" ")
    }
}

/// Brings the image into the page cache, so that no tool pays for the disk.
pub(super) fn read_once(image: &Path) -> Result<()> {
    let mut file =
        fs::File::open(image).with_context(|| format!("cannot open {}", image.display()))?;
    std::io::copy(&mut file, &mut std::io::sink())
        .with_context(|| format!("cannot read {}", image.display()))?;
    Ok(())
}

/// Fails unless both files have the same bytes.
pub(super) fn compare(original: &Path, restored: &Path) -> Result<()> {
    let mut compare = shell::command("cmp");
    if !shell::succeeds(compare.arg("--quiet").arg(original).arg(restored)) {
        bail!("{} differs from what was backed up", restored.display());
    }
    Ok(())
}

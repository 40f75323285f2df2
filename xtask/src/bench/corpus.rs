//! The disk image that is backed up, and the same image a day later.
//!
//! Of the image 40 % are zeros, 34 % system files of this machine, 12 % half-random database pages and 14 % random data.
//! During the day 3 % of the 4 KiB blocks change: a fifth of them scattered over busy places, the others in runs. Scattering
//! all over the image would flatter small chunks, which are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

const BLOCK: u64 = 4096;
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/lib", "/usr/share", "/usr/bin", "/usr/include"];
/// One library must not be the corpus.
const LARGEST_FILE: u64 = 32 << 20;

pub(super) struct Corpus {
    pub(super) size_bytes: u64,
    pub(super) day1: PathBuf,
    pub(super) day2: PathBuf,
    pub(super) zero_bytes: u64,
    /// Numbers of the blocks that day 2 rewrote.
    pub(super) changed: BTreeSet<u64>,
}

impl Corpus {
    pub(super) fn changed_bytes(&self) -> u64 {
        self.changed.len() as u64 * BLOCK
    }

    /// The share of the image's pieces of `piece_bytes` that hold a changed block, in percent.
    pub(super) fn touched_percent(&self, piece_bytes: u64) -> f64 {
        let pieces: BTreeSet<u64> = self
            .changed
            .iter()
            .map(|number| number * BLOCK / piece_bytes)
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let share = pieces.len() as f64 / (self.size_bytes / piece_bytes) as f64;
        share * 100.0
    }
}

/// SplitMix64: small, and the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            piece.copy_from_slice(&number[..piece.len()]);
        }
    }
}

pub(super) fn make(folder: &Path, size_bytes: u64) -> Result<Corpus> {
    println!("making a corpus of {} MiB", size_bytes >> 20);
    super::remove(folder)?;
    let content = folder.join("content");
    fs::create_dir_all(&content).with_context(|| format!("cannot create {}", content.display()))?;
    let mut numbers = Numbers(1);
    copy_system_files(&content, size_bytes * 34 / 100, &mut numbers)?;
    write_pages(
        &content.join("database"),
        size_bytes * 12 / 100,
        &mut numbers,
    )?;
    write_random(&content.join("photos"), size_bytes * 14 / 100, &mut numbers)?;

    let day1 = folder.join("day1/vm.img");
    let day2 = folder.join("day2/vm.img");
    for day in [&day1, &day2] {
        let parent = day.parent().context("an image lies in a folder")?;
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let mut mke2fs =
        shell::command(shell::find_program("mke2fs").context("mke2fs is not installed")?);
    mke2fs
        .args(["-q", "-F", "-t", "ext4", "-m", "0", "-d"])
        .arg(&content)
        .arg(&day1);
    shell::output(mke2fs.arg(format!("{}k", size_bytes >> 10)))?;
    fs::remove_dir_all(&content).context("cannot remove the copied files")?;

    shell::output(
        shell::command("cp")
            .arg("--sparse=always")
            .arg(&day1)
            .arg(&day2),
    )?;
    let used = used_blocks(&day1)?;
    let changed = change_a_day(&day2, &used, size_bytes * 3 / 100, &mut numbers)?;
    Ok(Corpus {
        size_bytes,
        day1,
        day2,
        zero_bytes: size_bytes - used.len() as u64 * BLOCK,
        changed,
    })
}

fn copy_system_files(content: &Path, budget_bytes: u64, numbers: &mut Numbers) -> Result<()> {
    let mut left = budget_bytes;
    for (index, (_, file)) in shuffled_system_files(numbers).iter().enumerate() {
        let Ok(size) = file.metadata().map(|metadata| metadata.len()) else {
            continue; // gone since it was listed
        };
        if size == 0 || size > left.min(LARGEST_FILE) {
            continue;
        }
        let folder = content.join(format!("system-{}", index % 64));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        if fs::copy(file, folder.join(index.to_string())).is_ok() {
            left -= size;
        }
    }
    if left > budget_bytes / 20 {
        bail!(
            "this machine has too few system files for a corpus of this size; take a smaller --size"
        );
    }
    Ok(())
}

/// Readable or not; in an order that mixes the folders.
fn shuffled_system_files(numbers: &mut Numbers) -> BTreeMap<u64, PathBuf> {
    let mut folders: Vec<PathBuf> = SYSTEM_FOLDERS.map(PathBuf::from).to_vec();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        // A folder that cannot be listed has no files for us.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|file| (numbers.next(), file))
        .collect()
}

/// 8 KiB pages: a header, rows of which half is text that repeats, half random.
fn write_pages(path: &Path, size_bytes: u64, numbers: &mut Numbers) -> Result<()> {
    let mut file =
        File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut page = vec![0; 8192];
    for number in 0..size_bytes / 8192 {
        page[..8].copy_from_slice(&number.to_le_bytes());
        for row in page[8..].chunks_mut(88) {
            let half = row.len() / 2;
            numbers.fill(&mut row[..half]);
            let text = b"customer pending 2024-01-01 warehouse north ...";
            row[half..]
                .iter_mut()
                .zip(text)
                .for_each(|(to, from)| *to = *from);
        }
        file.write_all(&page).context("cannot write the database")?;
    }
    Ok(())
}

fn write_random(path: &Path, size_bytes: u64, numbers: &mut Numbers) -> Result<()> {
    let mut file =
        File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..size_bytes >> 20 {
        numbers.fill(&mut buffer);
        file.write_all(&buffer)
            .context("cannot write random data")?;
    }
    Ok(())
}

/// Numbers of the blocks that are not all zeros.
fn used_blocks(image: &Path) -> Result<Vec<u64>> {
    let mut used = Vec::new();
    let mut number = 0;
    for_each_piece(image, |piece| {
        for block in piece.chunks(4096) {
            if block.iter().any(|byte| *byte != 0) {
                used.push(number);
            }
            number += 1;
        }
    })?;
    Ok(used)
}

/// Rewrites blocks until `budget_bytes` have changed: scattered ones in part, runs of 64 KiB to 1 MiB by half.
fn change_a_day(
    image: &Path,
    used: &[u64],
    budget_bytes: u64,
    numbers: &mut Numbers,
) -> Result<BTreeSet<u64>> {
    let file = File::options()
        .read(true)
        .write(true)
        .open(image)
        .with_context(|| format!("cannot open {}", image.display()))?;
    // The first blocks are the file system's own tables; changing those would prove nothing.
    let data = &used[used.len() / 50..];
    // Every fourth 16 MiB are a busy place.
    let busy: Vec<u64> = data.chunks(4096).step_by(4).flatten().copied().collect();
    let mut changed = BTreeSet::new();
    while (changed.len() as u64) * BLOCK < budget_bytes / 5 {
        let number = *pick(&busy, numbers)?.0;
        rewrite(&file, number, 256, numbers)?;
        changed.insert(number);
    }
    while (changed.len() as u64) * BLOCK < budget_bytes {
        let (_, from_here) = pick(data, numbers)?;
        let length = usize::try_from(16 + numbers.below(241)).context("a length")?;
        for number in from_here.iter().take(length) {
            rewrite(&file, *number, 2048, numbers)?;
            changed.insert(*number);
        }
    }
    Ok(changed)
}

/// One of `blocks`, and the rest of them from there on.
fn pick<'a>(blocks: &'a [u64], numbers: &mut Numbers) -> Result<(&'a u64, &'a [u64])> {
    if blocks.is_empty() {
        bail!("the image has no data to change");
    }
    let index = usize::try_from(numbers.below(blocks.len() as u64)).context("an index")?;
    Ok((&blocks[index], &blocks[index..]))
}

/// Gives the first `length` bytes of a block new, random content.
fn rewrite(file: &File, number: u64, length: usize, numbers: &mut Numbers) -> Result<()> {
    let mut block = vec![0; length];
    numbers.fill(&mut block);
    file.write_all_at(&block, number * BLOCK)
        .context("cannot write a block")
}

/// Brings the image into the page cache, so that no tool pays for the disk.
pub(super) fn read_once(image: &Path) -> Result<()> {
    for_each_piece(image, |_| {})
}

/// Fails unless both files have the same bytes.
pub(super) fn compare(original: &Path, restored: &Path) -> Result<()> {
    let same = shell::succeeds(
        shell::command("cmp")
            .arg("--quiet")
            .arg(original)
            .arg(restored),
    );
    if !same {
        bail!("{} differs from what was backed up", restored.display());
    }
    Ok(())
}

fn for_each_piece(image: &Path, mut visit: impl FnMut(&[u8])) -> Result<()> {
    let mut file = File::open(image).with_context(|| format!("cannot open {}", image.display()))?;
    let end = file.seek(SeekFrom::End(0)).context("cannot seek")?;
    file.seek(SeekFrom::Start(0)).context("cannot seek")?;
    let mut buffer = vec![0; 1 << 20];
    let mut position = 0;
    while position < end {
        let length = usize::try_from((end - position).min(1 << 20)).context("a piece fits")?;
        file.read_exact(&mut buffer[..length])
            .with_context(|| format!("cannot read {}", image.display()))?;
        visit(&buffer[..length]);
        position += length as u64;
    }
    Ok(())
}

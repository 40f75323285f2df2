//! What happens to a disk in a day: a given share of its 4 KiB blocks changes, in the ways that real systems change them.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::content::{self, PAGE_BYTES, Prose};
use super::disk::{DATABASE, Disk, LOG, STORE, copy_in, media};
use super::ext4::{BLOCK_BYTES, Ext4};
use super::numbers::Numbers;
use super::system::{self, Planned};

/// What a day may change, in bytes, and where its parts come from.
pub(super) struct Day<'a> {
    pub(super) number: u64,
    pub(super) budget_bytes: u64,
    pub(super) staging: &'a Path,
    pub(super) prose: &'a Prose,
}

impl Day<'_> {
    fn percent(&self, percent: u64) -> u64 {
        self.budget_bytes * percent / 100
    }
}

/// Copies the disk's image to `path` and lets the day happen to the copy, which is the disk from then on.
pub(super) fn live_through(disk: &mut Disk, path: PathBuf, day: &Day) -> Result<()> {
    let mut numbers = Numbers::named(&format!("day {}", day.number));
    disk.image = disk.image.copy_to(path)?;
    let commands = change_files(disk, day, &mut numbers)?;
    disk.image.change(&commands)?;
    update_database(disk, day, &mut numbers)?;
    overwrite_store(disk, day, &mut numbers)?;
    append_to_log(disk, day, &mut numbers)?;
    write_journal(&disk.image, day, &mut numbers)?;
    disk.image.check()
}

/// 15 % upgraded files, 7 % files moved by copy, 5 % new media; 40 renames and 20 deletions.
fn change_files(disk: &mut Disk, day: &Day, numbers: &mut Numbers) -> Result<Vec<String>> {
    numbers.shuffle(&mut disk.untouched);
    let mut commands = Vec::new();
    upgrade(disk, day, numbers, &mut commands)?;
    move_by_copy(disk, day, &mut commands)?;
    let renamed = format!("/usr/renamed{}", day.number);
    commands.push(format!("mkdir {renamed}"));
    for number in 0..40 {
        let Some(file) = disk.untouched.pop() else {
            break;
        };
        commands.push(format!("ln {} {renamed}/r{number}", file.target()));
        commands.push(format!("unlink {}", file.target()));
    }
    for _ in 0..20 {
        let Some(file) = disk.untouched.pop() else {
            break;
        };
        commands.push(format!("rm {}", file.target()));
    }
    let prefix = format!("new{}-", day.number);
    let new = media(day.percent(5), &prefix, day.staging, numbers)?;
    copy_in(&new, &mut commands);
    Ok(commands)
}

/// Replaces files by longer ones: behind the inserted bytes everything shifts.
fn upgrade(
    disk: &mut Disk,
    day: &Day,
    numbers: &mut Numbers,
    commands: &mut Vec<String>,
) -> Result<()> {
    let mut done = 0;
    while done < day.percent(15)
        && let Some(file) = disk.untouched.pop()
    {
        let mut bytes = system::read(&file)?;
        if bytes.len() as u64 > day.percent(8) {
            continue;
        }
        let place = numbers.index(bytes.len());
        let length = numbers.length(1, 64);
        bytes.splice(place..place, content::random(numbers, length));
        let source = day
            .staging
            .join(format!("upgraded{}-{}", day.number, commands.len()));
        content::write(&source, &bytes)?;
        commands.push(format!("rm {}", file.target()));
        copy_in(&[Planned { source, ..file }], commands);
        done += (bytes.len() as u64).next_multiple_of(BLOCK_BYTES);
    }
    Ok(())
}

fn move_by_copy(disk: &mut Disk, day: &Day, commands: &mut Vec<String>) -> Result<()> {
    let (mut done, mut moved) = (0, 0);
    while done < day.percent(7)
        && let Some(file) = disk.untouched.pop()
    {
        let bytes = std::fs::metadata(&file.source)
            .context("a system file went away")?
            .len();
        if bytes > day.percent(4) {
            continue;
        }
        let folder = format!("/usr/moved{}-{}", day.number, moved / 100);
        if moved % 100 == 0 {
            commands.push(format!("mkdir {folder}"));
        }
        commands.push(format!("rm {}", file.target()));
        copy_in(
            &[Planned::new(file.source, folder, format!("f{moved}"))],
            commands,
        );
        moved += 1;
        done += bytes.next_multiple_of(BLOCK_BYTES);
    }
    Ok(())
}

/// 35 %: rows of pages are rewritten; half of the pages lie scattered, half in runs.
fn update_database(disk: &Disk, day: &Day, numbers: &mut Numbers) -> Result<()> {
    let page_bytes = PAGE_BYTES as u64;
    let wanted = usize::try_from((day.percent(35) / page_bytes).min(disk.database_pages))?;
    let last = disk.database_pages - 1;
    let mut pages = BTreeSet::new();
    while pages.len() < wanted / 2 {
        pages.insert(numbers.between(0, last));
    }
    while pages.len() < wanted {
        let start = numbers.between(0, last);
        let end = (start + numbers.between(8, 64)).min(disk.database_pages);
        pages.extend(start..end);
    }
    let database = disk.image.open(DATABASE)?;
    let mut page = [0; PAGE_BYTES];
    for number in pages {
        database.read_at(&mut page, number * page_bytes)?;
        page[..8].copy_from_slice(&numbers.next().to_le_bytes());
        for _ in 0..numbers.between(1, 6) {
            let length = numbers.length(20, 200);
            let start = numbers.length(PAGE_BYTES / 2, PAGE_BYTES - length);
            page[start..start + length].copy_from_slice(&day.prose.text(numbers, length));
        }
        database.write_at(&page, number * page_bytes)?;
    }
    Ok(())
}

/// 25 %: writes of 4 to 64 KiB at any block, mostly small ones.
fn overwrite_store(disk: &Disk, day: &Day, numbers: &mut Numbers) -> Result<()> {
    let store = disk.image.open(STORE)?;
    let blocks = store.bytes() / BLOCK_BYTES;
    let mut done = 0;
    while done < day.percent(25) {
        let length = [1, 1, 1, 2, 2, 4, 8, 16][numbers.index(8)] * BLOCK_BYTES;
        let start = numbers.between(0, blocks - 16) * BLOCK_BYTES;
        let size = usize::try_from(length)?;
        let bytes = if numbers.one_in(2) {
            content::random(numbers, size)
        } else {
            day.prose.text(numbers, size)
        };
        store.write_at(&bytes, start)?;
        done += length;
    }
    Ok(())
}

/// 7 %, into the room that the log already has.
fn append_to_log(disk: &mut Disk, day: &Day, numbers: &mut Numbers) -> Result<()> {
    let log = disk.image.open(LOG)?;
    let length = day.percent(7).min(log.bytes() - disk.log_bytes);
    let text = day.prose.text(numbers, usize::try_from(length)?);
    log.write_at(&text, disk.log_bytes)?;
    disk.log_bytes += length;
    Ok(())
}

/// 6 %: the journal receives copies of blocks of the disk's first part, where its tables lie.
fn write_journal(image: &Ext4, day: &Day, numbers: &mut Numbers) -> Result<()> {
    let disk = std::fs::File::open(image.path())
        .with_context(|| format!("cannot open {}", image.path().display()))?;
    let all = disk.metadata().context("cannot look at the image")?.len() / BLOCK_BYTES;
    // Inode 8 is the journal; its first block says that it is empty and must stay.
    let journal = image.open("<8>")?;
    let blocks = journal.bytes() / BLOCK_BYTES;
    let count = (day.percent(6) / BLOCK_BYTES).min(blocks - 2);
    let first = numbers.between(1, blocks - count - 1);
    let mut block = [0; 4096];
    for number in 0..count {
        let from = numbers.between(1, all / 16);
        disk.read_exact_at(&mut block, from * BLOCK_BYTES)
            .context("cannot read from the image")?;
        block[..8].copy_from_slice(&numbers.next().to_le_bytes());
        journal.write_at(&block, (first + number) * BLOCK_BYTES)?;
    }
    Ok(())
}

//! The first day of a disk, and a second disk with largely the same files in other places.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::content::{self, PAGE_BYTES, Prose};
use super::ext4::{BLOCK_BYTES, Ext4, InnerFile};
use super::numbers::Numbers;
use super::system::{self, Planned};

pub(super) const DATABASE: &str = "/var/lib/db/base";
pub(super) const STORE: &str = "/var/lib/app/store.dat";
pub(super) const LOG: &str = "/var/log/app.log";

/// A disk that lives on from day to day.
pub(super) struct Disk {
    pub(super) image: Ext4,
    /// System files that are still as they were installed.
    pub(super) untouched: Vec<Planned>,
    pub(super) database_pages: u64,
    pub(super) log_bytes: u64,
    pub(super) generated_bytes: u64,
}

/// What both disks hold, waiting outside of them.
pub(super) struct Files {
    system: system::System,
    media: Vec<Planned>,
    /// Database, store and log.
    large: Vec<Planned>,
    database_pages: u64,
    log_mib: u64,
}

/// Makes or chooses the files. Of the used 55 % of the disk 57 % are system files, 15 % media, 15 % a database, 10 % a
/// store and 3 % a log.
pub(super) fn prepare(size_bytes: u64, staging: &Path, prose: &Prose) -> Result<Files> {
    let used = size_bytes * 55 / 100;
    let system = system::choose(used * 57 / 100, staging, prose)?;
    let mut numbers = Numbers::named("files");
    let media = media(used * 15 / 100, "m", staging, &mut numbers)?;

    let database = staging.join("database");
    let database_pages = used * 15 / 100 / PAGE_BYTES as u64;
    content::write_database(&database, database_pages, prose, &mut numbers)?;
    let store = staging.join("store");
    let extents = content::extents(used / 10);
    content::write_store(&store, extents, prose, &mut numbers)?;
    let log = staging.join("log");
    let log_mib = (used * 3 / 100) >> 20;
    let room_mib = ((size_bytes / 100) >> 20) + 1;
    content::write_log(&log, log_mib, room_mib, prose, &mut numbers)?;
    let large = vec![
        Planned::new(database, "/var/lib/db", "base"),
        Planned::new(store, "/var/lib/app", "store.dat"),
        Planned::new(log, "/var/log", "app.log"),
    ];
    Ok(Files {
        system,
        media,
        large,
        database_pages,
        log_mib,
    })
}

impl Files {
    /// The disk as it is first backed up.
    pub(super) fn first_disk(
        &self,
        path: PathBuf,
        size_bytes: u64,
        staging: &Path,
        prose: &Prose,
    ) -> Result<Disk> {
        let mut numbers = Numbers::named("first disk");
        let stale = stale(size_bytes / 25, "s", staging, prose, &mut numbers)?;
        let image = Ext4::make(path, size_bytes, &[])?;
        let extra = [&self.media[..], &self.large, &stale].concat();
        fill(&image, &self.system.folders, extra, &stale, &mut numbers)?;
        self.empty_the_log(&image)?;
        image.check()?;
        Ok(Disk {
            image,
            untouched: self.system.folders.concat(),
            database_pages: self.database_pages,
            log_bytes: self.log_mib << 20,
            generated_bytes: self.system.generated_bytes,
        })
    }

    /// Another disk: nineteen of twenty files are the first one's, in another order on a file system of another shape;
    /// some media are its own.
    pub(super) fn second_disk(
        &self,
        path: PathBuf,
        size_bytes: u64,
        staging: &Path,
        prose: &Prose,
    ) -> Result<()> {
        let mut numbers = Numbers::named("second disk");
        let stale = stale(size_bytes / 100, "t", staging, prose, &mut numbers)?;
        let own = media(size_bytes / 100, "o", staging, &mut numbers)?;
        let image = Ext4::make(path, size_bytes, &["-g", "16384", "-i", "8192"])?;
        let mut folders = self.system.folders.clone();
        for folder in &mut folders {
            folder.retain(|_| !numbers.one_in(20));
        }
        numbers.shuffle(&mut folders);
        let mut media = self.media.clone();
        media.retain(|_| !numbers.one_in(20));
        let extra = [&media[..], &own, &self.large, &stale].concat();
        fill(&image, &folders, extra, &stale, &mut numbers)?;
        self.empty_the_log(&image)?;
        image.check()
    }

    /// The end of the log, which nothing has written yet, reads as zeros.
    fn empty_the_log(&self, image: &Ext4) -> Result<()> {
        let log: InnerFile = image.open(LOG)?;
        let zeros = vec![0; 1 << 20];
        for mib in self.log_mib..log.bytes() >> 20 {
            log.write_at(&zeros, mib << 20)?;
        }
        Ok(())
    }
}

/// Random files, as photos, archives and encrypted data look.
pub(super) fn media(
    budget_bytes: u64,
    prefix: &str,
    staging: &Path,
    numbers: &mut Numbers,
) -> Result<Vec<Planned>> {
    let largest = usize::try_from((budget_bytes / 8).clamp(512 << 10, 24 << 20))?;
    let mut media = Vec::new();
    let mut done = 0;
    while done < budget_bytes {
        let length = numbers.length(256 << 10, largest);
        let name = format!("{prefix}{}.bin", media.len());
        let source = staging.join(&name);
        content::write(&source, &content::random(numbers, length))?;
        media.push(Planned::new(source, "/srv/media", name));
        done += length as u64;
    }
    Ok(media)
}

/// Files that are deleted again: their blocks stay in the image as free space that is not zero.
fn stale(
    budget_bytes: u64,
    prefix: &str,
    staging: &Path,
    prose: &Prose,
    numbers: &mut Numbers,
) -> Result<Vec<Planned>> {
    let mut stale = Vec::new();
    let mut done = 0;
    while done < budget_bytes {
        let length = numbers.length(64 << 10, 2 << 20);
        let bytes = if numbers.one_in(3) {
            content::random(numbers, length)
        } else {
            prose.text(numbers, length)
        };
        let name = format!("{prefix}{}.tmp", stale.len());
        let source = staging.join(&name);
        content::write(&source, &bytes)?;
        stale.push(Planned::new(source, "/tmp", name));
        done += (length as u64).next_multiple_of(BLOCK_BYTES);
    }
    Ok(stale)
}

/// Copies the files into the image, `extra` ones between the folders as on an aged disk, then deletes the stale ones.
fn fill(
    image: &Ext4,
    folders: &[Vec<Planned>],
    mut extra: Vec<Planned>,
    stale: &[Planned],
    numbers: &mut Numbers,
) -> Result<()> {
    numbers.shuffle(&mut extra);
    let mut commands: Vec<String> = [
        "/usr",
        "/srv",
        "/srv/media",
        "/tmp",
        "/var",
        "/var/lib",
        "/var/lib/db",
        "/var/lib/app",
        "/var/log",
    ]
    .map(|folder| format!("mkdir {folder}"))
    .into();
    let mut extra = extra.into_iter();
    let between = extra.len().div_ceil(folders.len().max(1));
    for folder in folders {
        if let Some(first) = folder.first() {
            commands.push(format!("mkdir {}", first.folder));
        }
        copy_in(folder, &mut commands);
        copy_in(
            &extra.by_ref().take(between).collect::<Vec<_>>(),
            &mut commands,
        );
    }
    copy_in(&extra.collect::<Vec<_>>(), &mut commands);
    commands.extend(stale.iter().map(|file| format!("rm {}", file.target())));
    image.change(&commands)
}

/// The commands that copy files into folders that exist.
pub(super) fn copy_in(files: &[Planned], commands: &mut Vec<String>) {
    for file in files {
        commands.push(format!("cd {}", file.folder));
        commands.push(format!("write {} {}", file.source.display(), file.name));
    }
}

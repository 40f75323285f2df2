//! The folder that a run writes to and leaves nothing in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;

const PREFIX: &str = "strongroom-bench-";
/// A file system in memory that every Linux has.
const IN_MEMORY: &str = "/dev/shm";
/// Tools need memory beside what lies in memory.
const SPARE_BYTES: u64 = 2 << 30;

/// A new folder, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// A folder of our own in `parent`, which is made if it is missing. Folders of runs that were killed go.
    pub(super) fn new(parent: &Path) -> Result<Self> {
        remove_abandoned(parent);
        let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes the folder and says when that fails; `drop` can only try.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.folder.exists()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            println!("warning: {} stays: {error}", self.folder.display());
        }
    }
}

/// Memory if `bytes` fit there, so that no disk's mood is measured; else the build's folder.
pub(super) fn default_parent(bytes: u64) -> PathBuf {
    in_memory(bytes).unwrap_or_else(|| shell::root().join("target/bench"))
}

/// A folder in memory, if it has room for so many bytes; says so if not.
pub(super) fn in_memory(bytes: u64) -> Option<PathBuf> {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = nix::sys::statvfs::statvfs(IN_MEMORY)
        .map_or(0, |found| found.blocks_available() * found.fragment_size());
    let needed = bytes + SPARE_BYTES;
    if free >= needed && available_memory(&memory) >= needed {
        return Some(IN_MEMORY.into());
    }
    println!(
        "{} MiB are not free in {IN_MEMORY}: working on disk, whose speed is then part of all figures",
        needed >> 20
    );
    None
}

/// What `/proc/meminfo` says can be used, in bytes.
pub(super) fn available_memory(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // Another user's stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

//! Disks for the demonstration: real file systems made from this machine's own files where its tools allow.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use strongroom_block::{BlockSource, create_raw, open_sink, open_source, probe};
use strongroom_types::{IdSource, SystemIds, VolumeFormat};

use crate::output::print_line;

const DISK_BYTES: u64 = 1 << 30;
const PIECE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    pub(super) format: VolumeFormat,
    pub(super) size_bytes: u64,
}

/// One raw and, if `qemu-img` is there, one qcow2 disk of 1 GiB.
pub(super) fn make(folder: &Path) -> anyhow::Result<Vec<Disk>> {
    let data = folder.join("data.raw");
    make_raw(&data, Path::new("/etc"))?;
    let system = folder.join("system.qcow2");
    let raw = folder.join("system.raw");
    make_raw(&raw, Path::new("/usr/lib/x86_64-linux-gnu"))?;
    let converted = run(
        "qemu-img",
        &[
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            text(&raw)?,
            text(&system)?,
        ],
    );
    let system = if converted {
        std::fs::remove_file(&raw)?;
        system
    } else {
        print_line("  (qemu-img is not installed: both disks are raw)");
        raw
    };
    [system, data].into_iter().map(described).collect()
}

fn described(path: PathBuf) -> anyhow::Result<Disk> {
    let image = probe(&path)?;
    Ok(Disk {
        path,
        format: image.format,
        size_bytes: image.size_bytes,
    })
}

/// A sparse file with an ext4 file system that holds `files`, as many as fit.
fn make_raw(path: &Path, files: &Path) -> anyhow::Result<()> {
    drop(create_raw(path, DISK_BYTES)?);
    let staging = tempfile::tempdir_in(path.parent().context("a file has a folder")?)?;
    copy_files(files, staging.path(), DISK_BYTES / 3)?;
    let made = run(
        "mke2fs",
        &[
            "-q",
            "-F",
            "-t",
            "ext4",
            "-d",
            text(staging.path())?,
            text(path)?,
        ],
    );
    if !made {
        print_line("  (mke2fs is not installed: the disk holds the files without a file system)");
        lay_end_to_end(staging.path(), path)?;
    }
    Ok(())
}

/// Copies regular files from one folder, largest tree first come, up to a number of bytes.
fn copy_files(from: &Path, to: &Path, bytes_max: u64) -> anyhow::Result<()> {
    let mut left = bytes_max;
    let entries =
        std::fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let size = entry.metadata()?.len();
        if kind.is_file()
            && size <= left
            && std::fs::copy(entry.path(), to.join(entry.file_name())).is_ok()
        {
            left -= size;
        }
    }
    Ok(())
}

fn lay_end_to_end(from: &Path, disk: &Path) -> anyhow::Result<()> {
    let mut sink = open_sink(disk, VolumeFormat::Raw)?;
    let mut offset = 0;
    for entry in std::fs::read_dir(from)? {
        let content = std::fs::read(entry?.path())?;
        sink.write_at(offset, &content)?;
        offset += (content.len() as u64).next_multiple_of(4096);
    }
    Ok(sink.flush()?)
}

/// Overwrites the beginning and a stretch in the middle with random bytes.
pub(super) fn damage(disks: &[Disk]) -> anyhow::Result<()> {
    let mut noise = vec![0; PIECE_BYTES];
    SystemIds.fill(&mut noise);
    for disk in disks {
        let mut sink = open_sink(&disk.path, disk.format)?;
        for offset in [0, disk.size_bytes / 3, disk.size_bytes / 2 + 12_345] {
            sink.write_at(offset, &noise)?;
        }
        sink.zero_range(disk.size_bytes / 4, 8 << 20)?;
        sink.flush()?;
        print_line(&format!(
            "  {}: 3 MiB of noise, 8 MiB of zeros",
            disk.path.display()
        ));
    }
    Ok(())
}

/// A hash of each disk's content as its machine sees it.
pub(super) fn fingerprints(disks: &[Disk]) -> anyhow::Result<Vec<blake3::Hash>> {
    disks
        .iter()
        .map(|disk| fingerprint(open_source(&disk.path, disk.format)?.as_mut()))
        .collect()
}

fn fingerprint(source: &mut dyn BlockSource) -> anyhow::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < source.size_bytes() {
        let length = usize::try_from(source.size_bytes() - offset)
            .unwrap_or(usize::MAX)
            .min(PIECE_BYTES);
        source.read_at(offset, &mut buffer[..length])?;
        hasher.update(&buffer[..length]);
        offset += length as u64;
    }
    Ok(hasher.finalize())
}

/// Whether the program is there and succeeded.
fn run(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    let text = path.to_str();
    ensure!(text.is_some(), "{} is not UTF-8", path.display());
    Ok(text.unwrap_or_default())
}

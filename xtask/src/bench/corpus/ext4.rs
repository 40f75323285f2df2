//! An ext4 image that is made, filled and changed without privileges: mke2fs, debugfs and writes through the file's extents.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

pub(super) const BLOCK_BYTES: u64 = 4096;
/// Fixed, so that the same files make the same image.
const IDENTITY: &str = "5a3f1c60-1d2e-4b7a-9c41-d0a6b1e2f304";
const NOW: &str = "20240102030405";

pub(super) struct Ext4 {
    path: PathBuf,
}

/// A stretch of a file that lies in one piece, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) logical: u64,
    pub(super) physical: u64,
    pub(super) blocks: u64,
}

/// A file in the image, written in place as a running system does.
pub(super) struct InnerFile {
    image: File,
    extents: Vec<Extent>,
}

impl Ext4 {
    /// An empty file system; `geometry` are further arguments of mke2fs.
    pub(super) fn make(path: PathBuf, size_bytes: u64, geometry: &[&str]) -> Result<Self> {
        let mut mke2fs = program("mke2fs")?;
        mke2fs
            .env("E2FSPROGS_FAKE_TIME", "1704164645")
            .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1"])
            // Checksums of tables would make it impossible to write the journal directly.
            .args(["-O", "^metadata_csum,^resize_inode", "-U", IDENTITY, "-E"])
            .arg(format!(
                "hash_seed={IDENTITY},root_owner=0:0,lazy_itable_init=0,nodiscard"
            ))
            .args(geometry)
            .arg(&path)
            .arg(format!("{}k", size_bytes >> 10));
        shell::output(&mut mke2fs)?;
        Ok(Self { path })
    }

    pub(super) fn copy_to(&self, path: PathBuf) -> Result<Self> {
        let mut copy = shell::command("cp");
        shell::output(copy.arg("--sparse=always").arg(&self.path).arg(&path))?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs debugfs commands, one a line; any complaint is an error.
    pub(super) fn change(&self, commands: &[String]) -> Result<()> {
        let script = self.path.with_extension("commands");
        let text = format!("set_current_time {NOW}\n{}\n", commands.join("\n"));
        super::content::write(&script, text.as_bytes())?;
        let mut debugfs = program("debugfs")?;
        debugfs.env("LC_ALL", "C").arg("-w").arg("-f").arg(&script);
        // It complains on stderr and ends with success all the same.
        let complaint = shell::complaint(debugfs.arg(&self.path))?;
        std::fs::remove_file(&script)
            .with_context(|| format!("cannot remove {}", script.display()))?;
        let complaint: Vec<&str> = complaint
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("debugfs 1."))
            .collect();
        if let [first, ..] = complaint[..] {
            bail!(
                "debugfs complains {} times, first: {first}",
                complaint.len()
            );
        }
        Ok(())
    }

    /// The file named `name`, or `<N>` for inode N.
    pub(super) fn open(&self, name: &str) -> Result<InnerFile> {
        let mut debugfs = program("debugfs")?;
        debugfs.env("LC_ALL", "C").arg("-R");
        let listed = shell::output(debugfs.arg(format!("ex -l {name}")).arg(&self.path))?;
        let extents: Vec<Extent> = listed.lines().filter_map(parse_extent).collect();
        if extents.is_empty() {
            bail!("{name} has no extents: {listed}");
        }
        let image = File::options()
            .read(true)
            .write(true)
            .open(&self.path)
            .with_context(|| format!("cannot open {}", self.path.display()))?;
        Ok(InnerFile { image, extents })
    }

    /// Fails unless the file system is without a fault.
    pub(super) fn check(&self) -> Result<()> {
        shell::output(program("e2fsck")?.arg("-fn").arg(&self.path))?;
        Ok(())
    }
}

impl InnerFile {
    pub(super) fn bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.blocks).sum::<u64>() * BLOCK_BYTES
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (place, room) = self.place(offset + done as u64)?;
            let end = bytes.len().min(done.saturating_add(room));
            self.image
                .write_all_at(&bytes[done..end], place)
                .context("cannot write into the image")?;
            done = end;
        }
        Ok(())
    }

    pub(super) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (place, room) = self.place(offset + done as u64)?;
            let end = bytes.len().min(done.saturating_add(room));
            self.image
                .read_exact_at(&mut bytes[done..end], place)
                .context("cannot read from the image")?;
            done = end;
        }
        Ok(())
    }

    /// Where a byte of the file lies in the image, and how many bytes follow it there.
    fn place(&self, offset: u64) -> Result<(u64, usize)> {
        let block = offset / BLOCK_BYTES;
        let extent = self
            .extents
            .iter()
            .find(|extent| (extent.logical..extent.logical + extent.blocks).contains(&block))
            .with_context(|| format!("byte {offset} of a file lies in a hole"))?;
        let into = offset - extent.logical * BLOCK_BYTES;
        let room = extent.blocks * BLOCK_BYTES - into;
        Ok((
            extent.physical * BLOCK_BYTES + into,
            usize::try_from(room).context("an extent fits into memory")?,
        ))
    }
}

/// A line of debugfs' extent list: level/depth, entry/entries, logical from - to, physical from - to, length.
pub(super) fn parse_extent(line: &str) -> Option<Extent> {
    let numbers: Vec<u64> = line
        .split(|c: char| c == '/' || c == '-' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map_while(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [_, _, _, _, logical, _, physical, _, blocks] => Some(Extent {
            logical,
            physical,
            blocks,
        }),
        _ => None,
    }
}

fn program(name: &str) -> Result<std::process::Command> {
    let file = shell::find_program(name).with_context(|| format!("{name} is not installed"))?;
    Ok(shell::command(file))
}

//! The machine that is backed up, in a libvirt of its own.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_testkit::Libvirt;

use crate::tools::run;

pub(crate) const BARE: &str = "bare";
pub(crate) const IMAGE: &str = "0.qcow2";
/// Of what is compared between two days, and written at least.
const PIECE: usize = 64 << 10;
const WRITE_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) libvirt: Libvirt,
    pub(crate) name: &'static str,
    /// The first disk is called [`IMAGE`].
    pub(crate) disks: &'static [&'static str],
    pub(crate) folder: PathBuf,
}

impl Domain {
    /// A machine that does nothing by itself, with one disk that holds the image.
    pub(crate) fn start(folder: &Path, image: &Path) -> Result<Self> {
        let libvirt = prepare(folder, image)?;
        libvirt.start_bare_over();
        Ok(Self {
            libvirt,
            name: BARE,
            disks: &[IMAGE],
            folder: folder.to_owned(),
        })
    }

    /// A Linux that writes files all the time, on a first disk that holds the image, and on a second one.
    pub(crate) fn start_linux(folder: &Path, image: &Path) -> Result<Self> {
        let libvirt = prepare(folder, image)?;
        let started = libvirt.start_linux(256 << 20);
        started.context("there is no guest: run `cargo xtask setup`")?;
        Ok(Self {
            libvirt,
            name: "linux",
            disks: &[IMAGE, "1.qcow2"],
            folder: folder.to_owned(),
        })
    }

    /// Where QEMU's user may write.
    pub(crate) fn shared_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
        Ok(folder)
    }

    /// The machine writes, where `after` differs from `before`, what is there.
    pub(crate) fn live_through(&self, before: &Path, after: &Path) -> Result<()> {
        let file = self.folder.join("written");
        let mut images = [File::open(before)?, File::open(after)?];
        let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
        let mut run: Vec<u8> = Vec::new();
        let mut place = 0;
        loop {
            let [old, new] = &mut pieces;
            let length = read_full(&mut images[0], old)?;
            ensure!(
                read_full(&mut images[1], new)? == length,
                "images of one size"
            );
            let differs = old[..length] != new[..length];
            if differs {
                run.extend_from_slice(&new[..length]);
            }
            if !run.is_empty() && (!differs || run.len() >= WRITE_MAX) {
                let end = place + if differs { length } else { 0 };
                fs::write(&file, &run)?;
                self.libvirt
                    .write_file(0, &file, u64::try_from(end - run.len())?);
                run.clear();
            }
            if length == 0 {
                return Ok(());
            }
            place += length;
        }
    }
}

fn prepare(folder: &Path, image: &Path) -> Result<Libvirt> {
    fs::create_dir_all(folder)?;
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", "raw", "-O", "qcow2"]);
    run(convert.arg(image).arg(folder.join(IMAGE)))?;
    Libvirt::start(folder).context("libvirt is not installed: run `cargo xtask setup`")
}

/// Less than the buffer only at the end.
fn read_full(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

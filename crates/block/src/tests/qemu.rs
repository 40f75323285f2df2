//! QEMU's own tools, the judges of everything qcow2.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BlockSource, ExtentKind};

pub(super) const MIB: u64 = 1 << 20;

/// A folder for one test's images, or nothing where QEMU's tools are missing.
pub(super) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(super) fn open() -> Option<Self> {
        if Command::new("qemu-img").arg("--version").output().is_err() {
            let sentence = "qemu-img is missing: install qemu-utils to test qcow2";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{sentence}");
            eprintln!("{sentence}");
            return None;
        }
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `qemu-img create -f qcow2 ARGUMENTS NAME SIZE`
    pub(super) fn create(&self, name: &str, size: u64, arguments: &[&str]) -> PathBuf {
        let path = self.path(name);
        let mut command = Command::new("qemu-img");
        command.current_dir(self.folder.path());
        command
            .args(["create", "-q", "-f", "qcow2"])
            .args(arguments);
        check(command.arg(&path).arg(size.to_string()));
        path
    }

    /// The image as one raw file, as QEMU sees it.
    pub(super) fn expected(&self, path: &Path) -> Vec<u8> {
        let raw = self.path("expected.raw");
        qemu_img(&[
            "convert",
            "-q",
            "-O",
            "raw",
            path.to_str().unwrap(),
            raw.to_str().unwrap(),
        ]);
        fs::read(raw).unwrap()
    }
}

/// Runs `qemu-img` and returns what it printed.
pub(super) fn qemu_img<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    check(Command::new("qemu-img").args(arguments))
}

/// Runs commands of `qemu-io` on an image.
pub(super) fn qemu_io(path: &Path, commands: &[&str]) {
    let mut command = Command::new("qemu-io");
    command.args(["-f", "qcow2"]);
    for text in commands {
        command.args(["-c", text]);
    }
    let output = check(command.arg(path));
    assert!(!output.contains("failed"), "{commands:?}: {output}");
}

/// Fails if `qemu-img check` finds errors or leaks.
pub(super) fn assert_sound(path: &Path) {
    qemu_img(&["check", "-q", path.to_str().unwrap()]);
}

fn check(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{complained}");
    said
}

/// Reads a whole disk, holes by their extents and data in uneven pieces.
pub(super) fn read_all(source: &mut dyn BlockSource) -> Vec<u8> {
    let size = source.size_bytes();
    let mut disk = vec![0xee; usize::try_from(size).unwrap()];
    let mut offset = 0;
    while offset < size {
        let extent = source.next_extent(offset).unwrap();
        assert!(extent.length > 0 && extent.length <= size - offset);
        let start = usize::try_from(offset).unwrap();
        let end = usize::try_from(offset + extent.length).unwrap();
        if extent.kind == ExtentKind::Hole {
            disk[start..end].fill(0);
        } else {
            for at in (start..end).step_by(300_001) {
                let piece = &mut disk[at..end.min(at + 300_001)];
                source.read_at(at as u64, piece).unwrap();
            }
        }
        offset += extent.length;
    }
    // Extents are one way to see the disk, plain reads must show the same.
    let mut plain = vec![0xdd; disk.len()];
    source.read_at(0, &mut plain).unwrap();
    assert!(plain == disk, "extents and reads disagree");
    disk
}

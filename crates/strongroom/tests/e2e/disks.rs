//! Disks for tests: file systems made from this machine's files, and what to do to them.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program that the tests need; `cargo xtask setup` installs all of them.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}; run `cargo xtask setup`"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A sparse raw image with an ext4 file system that holds about `bytes` of this machine's files.
pub(crate) fn ext4(path: &Path, size_bytes: u64, bytes: u64) {
    let staging = tempfile::tempdir().unwrap();
    let mut left = bytes;
    for folder in ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/sbin", "/etc"] {
        copy_some(Path::new(folder), staging.path(), &mut left);
    }
    let file = std::fs::File::create_new(path).unwrap();
    file.set_len(size_bytes).unwrap();
    run(
        "/usr/sbin/mke2fs",
        &[
            "-q",
            "-F",
            "-t",
            "ext4",
            "-d",
            text(staging.path()),
            text(path),
        ],
    );
}

fn copy_some(from: &Path, to: &Path, left: &mut u64) {
    let Ok(entries) = std::fs::read_dir(from) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let target = to.join(entry.file_name());
        if metadata.is_file()
            && metadata.len() <= *left
            && std::fs::copy(entry.path(), target).is_ok()
        {
            *left -= metadata.len();
        }
    }
}

/// The same content as a qcow2 image.
pub(crate) fn to_qcow2(raw: &Path, qcow2: &Path) {
    run(
        "qemu-img",
        &[
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            text(raw),
            text(qcow2),
        ],
    );
}

/// A raw image of random bytes with a hole in the middle.
pub(crate) fn random(path: &Path, size_bytes: usize, seed: u64) {
    let mut file = std::fs::File::create_new(path).unwrap();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut content = vec![0; size_bytes];
    hasher.finalize_xof().fill(&mut content);
    content[size_bytes / 3..size_bytes / 2].fill(0);
    file.write_all(&content).unwrap();
}

/// Overwrites stretches of a raw image with other bytes.
pub(crate) fn damage_raw(path: &Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    for offset in [0, size / 4 + 100, size / 2 + 777, size - 70_000] {
        file.write_all_at(&vec![0xA5; 70_000], offset).unwrap();
    }
}

pub(crate) fn damage_qcow2(path: &Path) {
    let commands = [
        "write -P 0xa5 0 1M",
        "write -P 0x5a 300M 3M",
        "write -z 10M 4M",
        "discard 20M 2M",
    ];
    for command in commands {
        run("qemu-io", &["-f", "qcow2", "-c", command, text(path)]);
    }
}

/// The disk as its machine sees it, as a raw file beside it.
pub(crate) fn flattened(path: &Path, format: &str) -> PathBuf {
    let flat = path.with_extension("flat");
    run(
        "qemu-img",
        &[
            "convert",
            "-f",
            format,
            "-O",
            "raw",
            text(path),
            text(&flat),
        ],
    );
    flat
}

/// `cmp`, byte by byte.
pub(crate) fn same(left: &Path, right: &Path) -> bool {
    Command::new("cmp")
        .args(["-s", text(left), text(right)])
        .status()
        .unwrap()
        .success()
}

pub(crate) fn hash(path: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(std::fs::File::open(path).unwrap())
        .unwrap();
    hasher.finalize()
}

/// Rewrites a few stretches of a raw image, others for every n; returns what it holds then.
pub(crate) fn change(disk: &Path, n: u64) -> blake3::Hash {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(disk).unwrap();
    let size = file.metadata().unwrap().len();
    for stretch in 0..8 {
        let offset = ((n * 8 + stretch) * 5_242_883) % (size - (1 << 20));
        let mut bytes = vec![0; 1 << 20];
        blake3::Hasher::new()
            .update(&(n * 8 + stretch).to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        file.write_all_at(&bytes, offset).unwrap();
    }
    hash(disk)
}

//! Looks through the ext file systems of a backup with `e2fsck`, before any machine has touched them. QEMU's storage daemon shows each as a
//! file, by FUSE.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use strongroom_service::rows::FileSystemCheck;
use strongroom_types::FileSystemState;
use tokio::net::UnixListener;
use tokio::process::Command;

use super::disks::ServedDisks;
use super::process::{Process, find};

/// Which of a machine's overlays are used, and thrown away, here.
pub(super) const LETTER: char = 'c';
const READY: &str = "ready";
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Ends of `e2fsck` that say that there is more than a power cut leaves, and that it could not look.
const LEFT_UNCORRECTED: i32 = 4;
const CORRECTED_MAX: i32 = 3;
const SAID_BYTES_MAX: usize = 1000;

/// Every ext file system of the disks, in their order. Whatever hinders a check is told in its place.
pub(super) async fn check(
    disks: &ServedDisks,
    folder: &Path,
    time_limit: Duration,
) -> Vec<FileSystemCheck> {
    let mut checks = Vec::new();
    for (disk, places) in disks.ext_file_systems().await.into_iter().enumerate() {
        for place in places {
            let checking = check_one(folder, disk, &place);
            let found = tokio::time::timeout(time_limit, checking).await;
            let (state, message) = match found {
                Ok(Ok(found)) => found,
                Ok(Err(hindrance)) => (FileSystemState::NotChecked, hindrance),
                Err(_) => (FileSystemState::NotChecked, "the time is over".to_owned()),
            };
            checks.push(FileSystemCheck {
                disk: disk as u64,
                offset_bytes: place.start,
                size_bytes: place.end - place.start,
                state,
                message,
            });
        }
    }
    checks
}

async fn check_one(
    folder: &Path,
    disk: usize,
    place: &Range<u64>,
) -> Result<(FileSystemState, String), String> {
    let checker = checker().ok_or("e2fsck is not installed on this host")?;
    let shown = Shown::show(folder, disk, place).await?;
    let output = Command::new(checker)
        .args(["-f", "-p", &shown.name])
        .current_dir(folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    shown.daemon.terminate().await;
    let output = output.map_err(|error| format!("e2fsck cannot be run: {error}"))?;
    let said = said(&output);
    match output.status.code() {
        Some(0..=CORRECTED_MAX) => Ok((FileSystemState::Clean, said)),
        Some(code) if code & !CORRECTED_MAX == LEFT_UNCORRECTED => {
            Ok((FileSystemState::Damaged, said))
        }
        _ => Err(format!("e2fsck has failed: {said}")),
    }
}

/// Administrators' programs are not in everybody's `PATH`.
fn checker() -> Option<PathBuf> {
    let places = ["e2fsck", "/usr/sbin/e2fsck", "/sbin/e2fsck"];
    places.iter().find_map(|place| find(Path::new(place)).ok())
}

/// A file system that lies in the machine's folder like a file.
struct Shown {
    name: String,
    daemon: Process,
}

impl Shown {
    async fn show(folder: &Path, disk: usize, place: &Range<u64>) -> Result<Self, String> {
        let program = find(Path::new("qemu-storage-daemon"))
            .map_err(|_| "qemu-storage-daemon is not installed on this host")?;
        let name = format!("fs-{disk}-{}", place.start);
        let cannot =
            |error: &dyn std::error::Error| format!("it cannot be shown as a file: {error}");
        File::create(folder.join(&name)).map_err(|error| cannot(&error))?;
        std::fs::remove_file(folder.join(READY)).ok();
        let ready = UnixListener::bind(folder.join(READY)).map_err(|error| cannot(&error))?;
        let length = place.end - place.start;
        let arguments = [
            "--blockdev".to_owned(),
            format!("driver=nbd,node-name=disk,server.type=unix,server.path={LETTER}{disk}"),
            "--blockdev".to_owned(),
            format!(
                "driver=raw,node-name=part,file=disk,offset={},size={length}",
                place.start
            ),
            "--export".to_owned(),
            format!("type=fuse,id=part,node-name=part,mountpoint={name},writable=on"),
            // It comes to this when the file is there.
            "--chardev".to_owned(),
            format!("socket,id=ready,path={READY}"),
        ];
        let mut daemon = Process::start(&program, arguments, folder)
            .await
            .map_err(|error| cannot(&error))?;
        tokio::select! {
            accepted = ready.accept() => { accepted.map_err(|error| cannot(&error))?; }
            words = &mut daemon.ended => {
                return Err(format!("it cannot be shown as a file: {}", words.unwrap_or_default()));
            }
            () = tokio::time::sleep(START_PATIENCE) => {
                return Err("it was not shown as a file in time".to_owned());
            }
        }
        Ok(Self { name, daemon })
    }
}

fn said(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let start = said.len().saturating_sub(SAID_BYTES_MAX);
    String::from_utf8_lossy(&said[start..])
        .replace('\0', "")
        .trim()
        .to_owned()
}

/// Whatever of a folder is still shown when its daemon was killed stands in the way of removing it.
pub(super) fn forget(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("fs-")) {
        for (program, option) in [("fusermount3", "-uzq"), ("umount", "-lq")] {
            let mut unmount = std::process::Command::new(program);
            let ended = unmount
                .arg(option)
                .arg(entry.path())
                .stderr(Stdio::null())
                .status();
            if ended.is_ok_and(|status| status.success()) {
                break;
            }
        }
    }
}

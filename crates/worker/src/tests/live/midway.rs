//! What goes wrong while disks are being read.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use strongroom_testkit::QemuMachine;
use strongroom_types::CheckpointId;

use super::installation::{Installation, MIB};

/// Bytes a second, so that reading what is filled takes seconds.
const PACE: u64 = 2 << 20;
const FILLED: usize = 6 * MIB;
const TOO_SMALL: &str = "the scratch folder was too small";

/// The attempt has failed and the guest does not know; the next one is right.
async fn is_made_again(at: &Installation, id: &CheckpointId) {
    let backup = at.only_backup_of(id).await;
    assert!(backup.status.is_protecting(), "{backup:?}");
    assert_eq!(at.machine().state(), (true, vec![]));
    let backup = at.finish(id).await;
    at.holds(&backup).await;
    assert_eq!(at.machine().state(), (true, vec![]));
    assert_eq!(at.scratch_files(), 0);
}

/// And it says why; there is room again for what the guest overwrote with nines.
async fn is_made_again_with_room(
    at: &mut Installation,
    id: &CheckpointId,
    overwritten: Range<usize>,
) {
    let why = at.why_it_waits().await;
    assert!(why.contains(TOO_SMALL), "{why}");
    at.machine().limit_files(None);
    let mut content = at.content(0);
    content[overwritten].fill(9);
    at.set_content(0, content);
    is_made_again(at, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_are_lost_midway_fail_the_attempt() {
    let Some(mut at) = Installation::with_pace(PACE).await else {
        return;
    };
    for disk in [0, 1] {
        at.write(disk, 7, 0..FILLED);
    }
    let id = at.checkpoint().await;
    at.attempted_and_midway(&id, QemuMachine::lose_exports)
        .await;
    is_made_again(&at, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_folder_that_is_full_behind_the_instant_fails_the_attempt_and_not_the_guest() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    // What is written first lies first in the qcow2 image; in the scratch file, where it lies on the disk.
    let overwritten = 12 * MIB..13 * MIB;
    at.write(0, 7, overwritten.clone());
    at.write(0, 7, 0..FILLED);
    let id = at.checkpoint().await;
    let bound = 8 * MIB as u64;
    at.attempted_while("nbd-server-start", |machine| {
        machine.limit_files(Some(bound));
        machine.write(0, 9, &overwritten);
    })
    .await;
    is_made_again_with_room(&mut at, &id, overwritten).await;
}

/// One whose first disk is several times as long as what is read ahead.
fn with_a_long_disk(folder: &Path) -> Option<QemuMachine> {
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "0.qcow2", "64M"])
        .current_dir(folder)
        .status();
    // Where it is missing, so is the machine.
    made.is_ok().then(|| QemuMachine::bare(folder)).flatten()
}

/// The guest overwrites more and more of what was not read yet, until nothing of it fits any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_folder_that_fills_up_midway_fails_the_attempt_and_not_the_guest() {
    const FAST: u64 = 8 << 20;
    let Some(mut at) = Installation::with_machine(with_a_long_disk, 1, Some(FAST)).await else {
        return;
    };
    at.backed_up().await;
    // Here as well, what is overwritten lies first in the image, where the bound does not matter.
    let overwritten = 44 * MIB..60 * MIB;
    at.write(0, 7, overwritten.clone());
    at.write(0, 7, 0..overwritten.start);
    let id = at.checkpoint().await;
    at.attempted_and_midway(&id, |machine| {
        machine.limit_files(Some(52 * MIB as u64));
        for start in overwritten.clone().step_by(MIB) {
            machine.write(0, 9, &(start..start + MIB));
        }
    })
    .await;
    is_made_again_with_room(&mut at, &id, overwritten).await;
}

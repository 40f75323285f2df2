//! What is read of a running server's disks.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_service::Settings;
use strongroom_service::rows::{DiskReading, NoticeEvent};
use strongroom_testkit::QemuMachine;
use strongroom_types::NoticeChannel;

use super::installation::{Installation, MIB};

/// The audit reads so much of a small disk, and the ends of what has changed are read with the chunks around them.
const BESIDES: usize = 2 * MIB;

fn whole(reading: &DiskReading) -> &str {
    reading.whole.as_deref().unwrap_or("")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_changed_is_read() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.write(0, 1, 0..9 * MIB);
    at.write(1, 2, 0..9 * MIB);
    let full = at.backed_up().await;
    for reading in at.readings(&full).await {
        assert!(whole(&reading).contains("no backup yet"), "{reading:?}");
        assert_eq!(reading.read_bytes, 9 * MIB as u64);
    }
    for round in 3..6 {
        let start = usize::from(round) * MIB;
        at.write(0, round, start..start + MIB);
        let backup = at.backed_up().await;
        at.holds(&backup).await;
        let readings = at.readings(&backup).await;
        for (reading, changed) in readings.iter().zip([MIB, 0]) {
            assert_eq!(reading.whole, None);
            let most = u64::try_from(changed + BESIDES).unwrap();
            assert!(reading.read_bytes <= most, "{reading:?}");
        }
    }

    let id = at.try_checkpoint_of(false).await.unwrap();
    let asked = at.backed_up_by(&id).await;
    at.holds(&asked).await;
    for reading in at.readings(&asked).await {
        assert!(whole(&reading).contains("was asked for"), "{reading:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_whose_changes_are_not_known_is_read_whole_and_the_other_is_not() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.write(0, 1, 0..4 * MIB);
    at.write(1, 2, 0..4 * MIB);
    at.backed_up().await;
    at.stop();
    at.start();
    at.write(0, 3, MIB..2 * MIB);
    at.write(1, 4, MIB..2 * MIB);
    let started_anew = at.backed_up().await;
    at.holds(&started_anew).await;
    let readings = at.readings(&started_anew).await;
    assert_eq!(readings[0].whole, None);
    assert!(whole(&readings[1]).contains("keeps no bitmaps"));

    at.write(0, 6, 3 * MIB..4 * MIB);
    at.stop();
    let off = at.backed_up().await;
    at.holds(&off).await;
    let readings = at.readings(&off).await;
    assert_eq!(readings[0].whole, None);
    assert!(readings[0].read_bytes <= (MIB + BESIDES) as u64);
    assert!(whole(&readings[1]).contains("at rest"));
    // What the image has counted is not counted from this one.
    let off_again = at.backed_up().await;
    at.holds(&off_again).await;
    let readings = at.readings(&off_again).await;
    assert!(whole(&readings[0]).contains("no bitmap of the last backup"));
    at.start();
    at.write(0, 5, 0..MIB);
    let on_again = at.backed_up().await;
    at.holds(&on_again).await;
    let readings = at.readings(&on_again).await;
    assert!(whole(&readings[0]).contains("not about the last backup"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bitmap_that_lost_changes_is_found_by_the_audit_and_the_backup_is_right() {
    let Some(mut at) = Installation::with_audit(1000).await else {
        return;
    };
    at.worker.app.settings = Arc::new(Settings {
        notice_channels: vec![NoticeChannel::Log],
        ..Settings::default()
    });
    at.write(0, 1, 0..4 * MIB);
    at.backed_up().await;
    at.write(0, 2, 2 * MIB..3 * MIB);
    at.machine().clear_bitmaps("0.qcow2");
    at.write(1, 3, 0..MIB);
    let backup = at.backed_up().await;
    at.holds(&backup).await;
    let readings = at.readings(&backup).await;
    assert!(whole(&readings[0]).contains("did not mark"));
    assert_eq!(readings[1].whole, None);
    let found = readings[0].wrong_at.unwrap();
    let mut tx = at.worker.app.db.read().await.unwrap();
    let notices = tx.list_notices(10).await.unwrap();
    assert_eq!(notices.len(), 1);
    let told = NoticeEvent::ChangesMissed {
        project_id: backup.project_id.clone(),
        backup_id: backup.id.clone(),
        volume_id: readings[0].volume_id.clone(),
        offset: found,
    };
    assert_eq!(notices[0].event.0, told);
    // As receivers of webhooks know it.
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["event"], "changes_missed");
    drop(tx);

    // The bitmap that was begun with this backup is trusted again.
    at.write(0, 4, 0..MIB);
    let next = at.backed_up().await;
    at.holds(&next).await;
    let readings = at.readings(&next).await;
    assert_eq!(readings[0].whole, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bitmap_in_an_image_that_lost_changes_is_found_by_the_audit_too() {
    let Some(mut at) = Installation::with_audit(1000).await else {
        return;
    };
    at.write(0, 1, 0..4 * MIB);
    at.backed_up().await;
    at.write(0, 2, 2 * MIB..3 * MIB);
    at.machine().clear_bitmaps("0.qcow2");
    at.write(0, 3, 6 * MIB..7 * MIB);
    at.stop();
    let off = at.backed_up().await;
    at.holds(&off).await;
    let readings = at.readings(&off).await;
    assert!(whole(&readings[0]).contains("did not mark"));
    assert!(readings[0].wrong_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_smaller_size_took_from_an_image_is_not_carried_over() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.write(0, 1, 0..12 * MIB);
    at.backed_up().await;
    at.write(0, 2, MIB..2 * MIB);
    at.stop();
    let image = at.folder.path().join("0.qcow2");
    for size in ["8M", "16M"] {
        let mut resize = std::process::Command::new("qemu-img");
        resize.args(["resize", "-q", "--shrink", "-f", "qcow2"]);
        assert!(resize.arg(&image).arg(size).status().unwrap().success());
    }
    let mut content = at.content(0);
    content[8 * MIB..].fill(0);
    at.set_content(0, content);
    let off = at.backed_up().await;
    at.holds(&off).await;
    assert_eq!(at.readings(&off).await[0].whole, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_to_its_own_images_a_server_is_read_whole() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.write(0, 1, 0..4 * MIB);
    let first = at.backed_up().await;
    let then = at.content(0);
    at.write(0, 2, 0..8 * MIB);
    let second = at.backed_up().await;
    at.holds(&second).await;
    at.stop();
    at.restore_system_disk(&first, then).await;
    at.start();
    at.write(0, 3, MIB..2 * MIB);
    let third = at.backed_up().await;
    at.holds(&third).await;
    let readings = at.readings(&third).await;
    assert_ne!(readings[0].whole, None);
}

fn enlarge(machine: &QemuMachine, bytes: usize) -> Result<Value, Value> {
    let wanted = json!({"node-name": "disk0", "size": bytes});
    machine.try_command("block_resize", &wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_has_grown_is_read_whole() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.write(0, 1, 0..4 * MIB);
    at.backed_up().await;
    let mut content = at.content(0);
    content.resize(17 * MIB, 0);
    enlarge(at.machine(), content.len()).unwrap();
    at.set_content(0, content);
    at.write(0, 2, 15 * MIB..17 * MIB);
    let grown = at.backed_up().await;
    at.holds(&grown).await;
    let readings = at.readings(&grown).await;
    assert!(whole(&readings[0]).contains("size has changed"));
    assert_eq!(readings[1].whole, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_disk_behind_the_instant_is_of_the_next_backup() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.write(0, 1, 0..4 * MIB);
    at.backed_up().await;
    for (round, command) in ["nbd-server-start", "block-export-add", "block-export-del"]
        .into_iter()
        .enumerate()
    {
        let mark = u8::try_from(10 * (round + 1)).unwrap();
        at.write(0, mark, MIB..2 * MIB);
        let (before, mut after) = (at.content(0), at.content(0));
        let overwritten = 3 * MIB / 2..3 * MIB;
        after[overwritten.clone()].fill(mark + 1);
        let backup = at
            .backed_up_while(command, |machine| {
                machine.write(0, mark + 1, &overwritten);
                // QEMU itself sees to it that a disk keeps its size meanwhile.
                assert!(enlarge(machine, 17 * MIB).is_err());
            })
            .await;
        at.holds(&backup).await;
        assert_eq!(at.content(0), before);
        at.set_content(0, after);
        let next = at.backed_up().await;
        at.holds(&next).await;
    }
}

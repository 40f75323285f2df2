//! What is read of a running server's disks.

use std::sync::Arc;

use strongroom_service::Settings;
use strongroom_service::rows::{DiskReading, NoticeEvent};
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

    at.stop();
    let off = at.backed_up().await;
    for reading in at.readings(&off).await {
        assert!(whole(&reading).contains("at rest"));
    }
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
    drop(tx);

    // The bitmap that was begun with this backup is trusted again.
    at.write(0, 4, 0..MIB);
    let next = at.backed_up().await;
    at.holds(&next).await;
    let readings = at.readings(&next).await;
    assert_eq!(readings[0].whole, None);
}

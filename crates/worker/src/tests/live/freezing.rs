//! A guest that is asked to hold still and does not answer: its backup is what the policy that makes it has chosen.

use std::os::unix::net::UnixListener;

use strongroom_service::rows::Quiesce;
use strongroom_types::{BackupStatus, FailedFreeze, Trouble};

use super::installation::{Installation, MIB};
use super::refusal_of;
use crate::live::frozen;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_freeze_has_no_backup_where_its_policy_wants_none() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    // Whoever connects is never answered.
    let agent = at.folder.path().join("silent.sock");
    let _listening = UnixListener::bind(&agent).unwrap();
    at.has_agent(&agent).await;
    let policy = at.policy().await;
    at.write(0, 1, 0..MIB);
    let made = at.backed_up_by(&at.automatic_checkpoint().await).await;
    assert_eq!(made.policy_id.as_ref(), Some(&policy));
    assert!(matches!(refusal_of(&made), Some(reason) if reason.contains("guest agent")));
    let bitmaps = at.machine().bitmaps("0.qcow2");

    at.choose(&policy, FailedFreeze::Fail).await;
    at.write(1, 2, 0..MIB);
    let refused = at.finish(&at.automatic_checkpoint().await).await;
    assert_eq!(refused.status, BackupStatus::Error);
    assert_eq!(refused.trouble, Some(Trouble::GuestNotFrozen));
    let reason = refusal_of(&refused).unwrap();
    assert!(refused.trouble_message.ends_with(reason), "{refused:?}");
    for child in at.children(&refused).await {
        assert_eq!((child.status, child.point_id), (BackupStatus::Error, None));
    }
    // As if it had not been: nothing was read, and what has changed is still known.
    assert!(at.readings(&refused).await.is_empty());
    assert_eq!(at.machine().state(), (true, vec![]));
    assert_eq!(at.scratch_files(), 0);
    assert_eq!(at.machine().bitmaps("0.qcow2"), bitmaps);

    // One that somebody makes by hand is none of the policy's.
    let manual = at.backed_up().await;
    at.holds(&manual).await;
    assert!(refusal_of(&manual).is_some());
    let readings = at.readings(&manual).await;
    assert!(
        readings.iter().all(|reading| reading.whole.is_none()),
        "{readings:?}"
    );
    // Nobody is there to hold still in a machine that is off.
    at.stop();
    let off = at.backed_up_by(&at.automatic_checkpoint().await).await;
    at.holds(&off).await;
}

#[test]
fn a_freeze_of_nothing_is_none() {
    assert_eq!(frozen(2), Quiesce::Frozen { file_systems: 2 });
    assert!(matches!(frozen(0), Quiesce::Failed { .. }));
}

//! A real QEMU without a guest is backed up by jobs, whatever fails meanwhile.

mod changes;
mod failures;
mod freezing;
mod installation;
mod midway;
mod resets;
mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use strongroom_service::rows::{Backup, Quiesce};
use strongroom_service::{MachineAddress, MachineError, Machines};
use strongroom_testkit::QemuMachine;
use strongroom_types::BackupStatus;

use crate::LocalMachines;
use installation::{Installation, MIB};

const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS: u32 = 1000;

/// Until a machine that was told to take a disk away has done so.
async fn wait_until_lost(machine: &QemuMachine, file: &str) {
    for _ in 0..ATTEMPTS {
        if !machine
            .command("query-block", &json!({}))
            .to_string()
            .contains(file)
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the machine still has {file}");
}

/// Why the guest did not hold still, if it was to.
fn refusal_of(backup: &Backup) -> Option<&str> {
    match &backup.quiesce.as_ref()?.0 {
        Quiesce::Frozen { .. } => None,
        Quiesce::Failed { reason } => Some(reason),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_backed_up_as_it_runs_and_when_it_is_off() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.write(0, 1, 0..MIB);
    at.write(1, 2, 3 * MIB..4 * MIB);
    let full = at.backed_up().await;
    at.holds(&full).await;
    for (disk, child) in ["0.qcow2", "1.raw"]
        .into_iter()
        .zip(at.children(&full).await)
    {
        let names = at.machine().bitmaps(disk);
        assert_eq!(names, [format!("strongroom-{}", child.id)]);
    }
    assert_eq!(at.machine().state(), (true, vec![]));

    // The vault asks for a guest that holds still, and there is no agent.
    assert!(matches!(refusal_of(&full), Some(reason) if reason.contains("no guest agent")));

    at.write(0, 3, 5 * MIB..6 * MIB);
    let second = at.backed_up().await;
    at.holds(&second).await;

    at.stop();
    let third = at.backed_up().await;
    at.holds(&third).await;
    assert!(matches!(refusal_of(&third), Some(reason) if reason.contains("was off")));
    at.start();
    at.write(1, 4, 0..MIB);
    let fourth = at.backed_up().await;
    at.holds(&fourth).await;
    assert_eq!(at.machine().state(), (true, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_tell_which_disks_they_have() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    let monitor = at.proxy.socket().to_str().unwrap().to_owned();
    let folder = at.folder.path().to_owned();
    let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(place("1.raw"), place("link")).unwrap();
    std::fs::write(place("other"), "").unwrap();
    let asked = BTreeSet::from(["0.qcow2", "link", "other", "nowhere"].map(place));
    let facts = LocalMachines
        .ask(&MachineAddress::Monitor(monitor), &asked)
        .await
        .unwrap();
    assert!(facts.is_on);
    assert_eq!(facts.places, BTreeSet::from(["0.qcow2", "link"].map(place)));
    at.stop();
    let gone = LocalMachines
        .ask(&MachineAddress::Monitor(place("qmp.sock")), &asked)
        .await;
    assert_eq!(gone, Err(MachineError::Unreachable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_without_one_of_its_disks_is_not_backed_up_in_part() {
    let Some(at) = Installation::new().await else {
        return;
    };
    let id = at.checkpoint().await;
    let device = serde_json::json!({"id": "dev1"});
    at.machine().command("device_del", &device);
    // A guest that is there would let go of it; this one is reset.
    at.machine().command("system_reset", &serde_json::json!({}));
    wait_until_lost(at.machine(), "1.raw").await;
    at.worker.run_until_idle().await;
    let backup = at.only_backup_of(&id).await;
    assert_eq!(backup.status, BackupStatus::Error);
    assert!(backup.trouble_message.contains("does not have the disk"));
    assert!(at.try_checkpoint().await.is_err());
}

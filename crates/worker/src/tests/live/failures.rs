//! Every command that changes something in QEMU fails once during a backup.

use strongroom_testkit::MonitorFault;
use strongroom_types::Trouble;

use super::installation::{Installation, MIB};

/// More than a backup has.
const COMMANDS_MAX: usize = 200;
/// Some that a backup must have, so that what is tried is what it does.
const AMONG_THEM: [&str; 8] = [
    "blockdev-create",
    "stop",
    "qom-set",
    "transaction",
    "cont",
    "nbd-server-start",
    "block-export-add",
    "nbd-server-stop",
];

fn mark(at: &mut Installation, round: usize) {
    let byte = u8::try_from(round % 250 + 1).unwrap();
    let start = round % 15 * MIB;
    at.write(round % 2, byte, start..start + MIB);
}

/// The next backup is right, and then all is as if nothing had been.
async fn goes_on(at: &mut Installation, round: usize, struck: Option<&String>) {
    mark(at, round + 1);
    let next = at.backed_up().await;
    at.holds(&next).await;
    is_clear(at, struck);
}

fn is_clear(at: &Installation, struck: Option<&String>) {
    assert_eq!(at.machine().state(), (true, vec![]), "{struck:?}");
    assert_eq!(at.scratch_files(), 0, "{struck:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_monitor_that_hangs_up_at_any_command_the_next_backup_is_right() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.backed_up().await;
    let mut tried = Vec::new();
    for commands in 0..COMMANDS_MAX {
        mark(&mut at, commands);
        let id = at.checkpoint().await;
        let faults = [MonitorFault::Cut, MonitorFault::CutAfter];
        at.proxy.fail_after(commands, faults[commands % 2]);
        at.finish(&id).await;
        let struck = at.proxy.heal();
        assert!(at.machine().state().0, "{struck:?}");
        goes_on(&mut at, commands, struck.as_ref()).await;
        match struck {
            Some(struck) => tried.push(struck),
            None => break,
        }
    }
    for command in AMONG_THEM {
        assert!(tried.iter().any(|tried| tried == command), "{tried:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_killed_at_any_command_is_cleared_up_after_by_the_next() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.backed_up().await;
    for commands in 0..COMMANDS_MAX {
        mark(&mut at, commands);
        let id = at.checkpoint().await;
        at.proxy.fail_after(commands, MonitorFault::Stall);
        let struck = at.work_until_struck().await;
        at.proxy.heal();
        at.next_worker(&format!("worker {commands}")).await;
        is_clear(&at, struck.as_ref());
        at.finish(&id).await;
        if struck.is_none() {
            return;
        }
        goes_on(&mut at, commands, struck.as_ref()).await;
    }
    panic!("a backup has more commands than are tried here");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_machine_that_was_killed_at_some_command_the_next_backup_is_right() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    at.backed_up().await;
    for commands in (0..COMMANDS_MAX).step_by(4) {
        mark(&mut at, commands);
        let id = at.checkpoint().await;
        at.proxy.fail_after(commands, MonitorFault::Stall);
        let struck = at.work_until_struck().await;
        at.kill_machine();
        at.proxy.heal();
        at.start();
        at.next_worker(&format!("worker {commands}")).await;
        at.finish(&id).await;
        goes_on(&mut at, commands, struck.as_ref()).await;
        if struck.is_none() {
            return;
        }
    }
    panic!("a backup has more commands than are tried here");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_scratch_files_a_backup_waits_for_it() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    mark(&mut at, 0);
    let scratch = at.folder.path().join("scratch");
    std::fs::write(&scratch, "no folder").unwrap();
    let id = at.checkpoint().await;
    at.worker.run_until_idle().await;
    assert!(at.only_backup_of(&id).await.status.is_protecting());
    assert_eq!(at.machine().state(), (true, vec![]));
    std::fs::remove_file(scratch).unwrap();
    let backup = at.finish(&id).await;
    at.holds(&backup).await;
    is_clear(&at, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_monitor_is_gone_is_not_read_behind_its_back() {
    let Some(mut at) = Installation::new().await else {
        return;
    };
    mark(&mut at, 0);
    let id = at.checkpoint().await;
    at.take_monitor_away();
    let backup = at.finish(&id).await;
    assert_eq!(backup.trouble, Some(Trouble::DiskInUse));
    assert!(at.try_checkpoint().await.is_err());
    at.give_monitor_back();
    goes_on(&mut at, 0, None).await;
}

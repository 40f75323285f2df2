//! Whatever fails, and wherever: the machine runs on as it was, and the next backup knows all changes.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::peers::{AGENT_TOKEN, Listener};
use super::snapshot::{ALL, begin, bitmaps, request};
use super::world::{Kind, Lab, filled};
use crate::steps::Beginning;
use crate::{
    Agent, Error, Failed, Machine, Qmp, Quiesced, Recipe, Request, Snapshot, Step, block,
    leftovers, settle,
};

const MIB: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// All that a backup could change in a QEMU, as text.
async fn state(qmp: &mut Qmp) -> String {
    let status = Machine::inspect(qmp).await.unwrap().status;
    let mut nodes: Vec<String> = Vec::new();
    for node in block::nodes(qmp).await.unwrap() {
        nodes.push(format!("{} {:?}", node.name(), names(&node)));
    }
    nodes.sort();
    let devices = block::devices(qmp).await.unwrap();
    let under =
        |device: &block::Device| device.inserted.as_ref().map(|node| node.name().to_owned());
    let devices: Vec<_> = devices.iter().map(under).collect();
    let exports = block::exports(qmp).await.unwrap();
    let exports: Vec<String> = exports.into_iter().map(|export| export.id).collect();
    let jobs = block::jobs(qmp).await.unwrap();
    format!("{status:?} {nodes:?} {devices:?} {exports:?} {jobs:?}")
}

fn names(node: &block::Node) -> Vec<(Option<&str>, bool)> {
    let bitmaps = node.dirty_bitmaps.iter();
    bitmaps
        .map(|bitmap| (bitmap.name.as_deref(), bitmap.is_recording))
        .collect()
}

fn files(lab: &Lab) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(lab.scratch()).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

async fn settle_all(qmp: &mut Qmp, request: &Request) {
    for disk in &request.disks {
        let last = disk.last.as_ref().map(|last| &last.point);
        settle(qmp, &disk.node, last).await.unwrap();
    }
}

/// The first backup, which nothing disturbs.
async fn back_up(qmp: &mut Qmp, lab: &Lab) {
    let snapshot = begin(qmp, lab, 1, None).await;
    snapshot.commit(qmp).await.unwrap();
}

/// Takes all steps up to this one.
async fn steps_to(beginning: &mut Beginning<'_>, qmp: &mut Qmp, end: Step) {
    while let Some(step) = beginning.next_step() {
        beginning.perform(qmp, step).await.unwrap();
        if step == end {
            return;
        }
    }
}

#[tokio::test]
async fn what_a_service_left_that_vanished_after_any_step_is_removed_by_the_next() {
    for kind in ALL {
        let Some(lab) = Lab::open() else { return };
        let (machine, mut qmp) = lab.start(kind).await;
        back_up(&mut qmp, &lab).await;
        let before = state(&mut qmp).await;
        let mut expected = Vec::new();
        for (step, byte) in Step::ALL.into_iter().zip(1..) {
            let request = request(&mut qmp, &lab, 2, Some(1)).await;
            steps_to(&mut Beginning::new(&request, None), &mut qmp, step).await;
            drop(qmp);
            qmp = machine.connect().await;
            let at = usize::from(byte) * MIB;
            machine.write(&mut qmp, 0, byte, &format!("{at} 1M")).await;
            expected.push((byte, at..at + MIB));
            for _ in 0..2 {
                leftovers(&mut qmp, None, &lab.scratch()).await.unwrap();
                settle_all(&mut qmp, &request).await;
                assert_eq!(state(&mut qmp).await, before, "{step:?}");
                assert_eq!(files(&lab), [""; 0], "{step:?}");
            }
        }
        let snapshot = begin(&mut qmp, &lab, 2, Some(1)).await;
        let disk0 = &snapshot.disks[0];
        assert_eq!(lab.read_marked(disk0, &filled(&[])), filled(&expected));
        snapshot.commit(&mut qmp).await.unwrap();
    }
}

#[tokio::test]
async fn a_failure_at_any_step_is_undone() {
    for kind in ALL {
        let Some(lab) = Lab::open() else { return };
        let (machine, mut qmp) = lab.start(kind).await;
        back_up(&mut qmp, &lab).await;
        let before = state(&mut qmp).await;
        for step in Step::ALL {
            let request = request(&mut qmp, &lab, 2, Some(1)).await;
            let mut beginning = Beginning::new(&request, None);
            steps_to(&mut beginning, &mut qmp, step).await;
            beginning.undo(&mut qmp).await.unwrap();
            assert_eq!(state(&mut qmp).await, before, "{step:?}");
            assert_eq!(files(&lab), [""; 0], "{step:?}");
        }
        drop(machine);
    }
}

#[tokio::test]
async fn a_machine_killed_before_any_step_leaves_no_file() {
    for kind in [Kind::Machine, Kind::Daemon] {
        let Some(lab) = Lab::open() else { return };
        for step in Step::ALL {
            let (mut machine, mut qmp) = lab.start(kind).await;
            let request = request(&mut qmp, &lab, 2, None).await;
            let mut beginning = Beginning::new(&request, None);
            while beginning.next_step() != Some(step) {
                let earlier = beginning.next_step().unwrap();
                beginning.perform(&mut qmp, earlier).await.unwrap();
            }
            machine.kill().await;
            match beginning.perform(&mut qmp, step).await {
                Ok(()) | Err(Error::Gone) => {}
                other => panic!("{step:?}: {other:?}"),
            }
            let undone = beginning.undo(&mut qmp).await;
            let is_gone = matches!(undone, Err(Error::Unreachable { .. }));
            assert!(is_gone, "{step:?}: {undone:?}");
            assert_eq!(files(&lab), [""; 0], "{step:?}");
        }
    }
}

#[tokio::test]
async fn a_full_scratch_file_ends_the_snapshot_and_not_the_guest() {
    for kind in [Kind::Machine, Kind::Daemon] {
        let Some(lab) = Lab::open() else { return };
        let (machine, mut qmp) = lab.start_with_small_scratch(kind, "2m").await;
        let qmp = &mut qmp;
        machine.write(qmp, 0, 1, "0 8M").await;
        begin(qmp, &lab, 1, None).await.commit(qmp).await.unwrap();
        let before = state(qmp).await;
        let snapshot = begin(qmp, &lab, 2, Some(1)).await;
        let wrote = machine.try_write(qmp, 0, 2, "0 8M").await;
        // A filter gives up; a job would rather fail the guest's write.
        assert_eq!(wrote, snapshot.recipe == Recipe::Filter);
        if snapshot.recipe == Recipe::Filter {
            let output = lab.try_read(&snapshot.disks[0]).unwrap_err();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("command failed"), "{said}");
        }
        snapshot.abandon(qmp).await.unwrap();
        machine.write(qmp, 0, 2, "0 8M").await;
        assert_eq!(state(qmp).await, before);
        let snapshot = begin(qmp, &lab, 3, Some(1)).await;
        assert_eq!(lab.marked(&snapshot.disks[0]), [(0, 8 * MIB)]);
        assert_eq!(lab.read(&snapshot.disks[0]), filled(&[(2, 0..8 * MIB)]));
    }
}

/// What a guest does, whose writes go through a device: it is paused, and must not stay so.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_a_full_scratch_file_paused_goes_on() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start_with_small_scratch(Kind::Counting, "2m").await;
    let qmp = &mut qmp;
    qmp.version.major = 6;
    // Then all clusters that it writes hold something that must be copied.
    wait_for_writes(qmp, 3 * 256).await;
    for number in 1..3 {
        let snapshot = begin(qmp, &lab, number, None).await;
        assert_eq!(snapshot.recipe, Recipe::Fleece);
        let full = qmp.event(LONG, |event| event.name == "BLOCK_IO_ERROR");
        full.await.unwrap();
        qmp.event(LONG, |event| event.name == "STOP").await.unwrap();
        assert!(!snapshot.is_intact(qmp).await.unwrap());
        snapshot.abandon(qmp).await.unwrap();
        let status = Machine::inspect(qmp).await.unwrap().status;
        assert_eq!(status.as_deref(), Some("running"));
        wait_for_writes(qmp, 10).await;
    }
}

/// Waits until the guest has written so many times more.
async fn wait_for_writes(qmp: &mut Qmp, more: u64) {
    let start = writes(qmp).await;
    let waited = tokio::time::timeout(LONG, async {
        while writes(qmp).await < start + more {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap();
}

async fn writes(qmp: &mut Qmp) -> u64 {
    let stats: Vec<Value> = qmp.execute("query-blockstats", json!({})).await.unwrap();
    let writes = |device: &Value| device["stats"]["wr_operations"].as_u64().unwrap();
    stats.iter().map(writes).sum()
}

#[tokio::test]
async fn an_nbd_server_that_is_not_ours_is_not_touched() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let qmp = &mut qmp;
    let address = json!({"type": "unix", "data": {"path": "theirs.sock"}});
    let start = json!({"addr": address});
    qmp.command("nbd-server-start", start).await.unwrap();
    let before = state(qmp).await;
    let wanted = request(qmp, &lab, 1, None).await;
    let failed = Snapshot::begin(qmp, None, &wanted).await.unwrap_err();
    let Failed { step, error, left } = failed;
    assert!(error.is_refusal(), "{error:?}");
    assert_eq!((step, left.is_none()), (Step::Serve, true));
    assert_eq!(state(qmp).await, before);
    // It still runs.
    qmp.command("nbd-server-stop", json!({})).await.unwrap();

    let snapshot = begin(qmp, &lab, 1, None).await;
    let theirs = json!({"type": "nbd", "id": "theirs", "node-name": "disk0", "name": "theirs"});
    qmp.command("block-export-add", theirs).await.unwrap();
    snapshot.commit(qmp).await.unwrap();
    let ids: Vec<String> = block::exports(qmp)
        .await
        .unwrap()
        .into_iter()
        .map(|export| export.id)
        .collect();
    assert_eq!(ids, ["theirs"]);
    let theirs = json!({"id": "theirs", "mode": "hard"});
    qmp.command("block-export-del", theirs).await.unwrap();
    let gone = qmp.event(LONG, |event| {
        event.name == "BLOCK_EXPORT_DELETED" && event.data["id"] == "theirs"
    });
    gone.await.unwrap();
    leftovers(qmp, None, &lab.scratch()).await.unwrap();
    let stopped: Result<Value, Error> = qmp.execute("nbd-server-stop", json!({})).await;
    stopped.unwrap_err();
}

#[tokio::test]
async fn names_that_only_begin_like_ours_are_not_ours() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let qmp = &mut qmp;
    let node = json!({"driver": "null-co", "node-name": "strongroom-disk", "size": 65536});
    qmp.command("blockdev-add", node).await.unwrap();
    let bitmap = json!({"node": "disk0", "name": "strongroom-audit"});
    qmp.command("block-dirty-bitmap-add", bitmap).await.unwrap();
    let before = state(qmp).await;
    begin(qmp, &lab, 1, None).await.abandon(qmp).await.unwrap();
    assert_eq!(state(qmp).await, before);
}

#[tokio::test]
async fn a_request_that_cannot_be_met_changes_nothing() {
    let Some(lab) = Lab::open() else { return };
    let (_daemon, mut qmp) = lab.start(Kind::Daemon).await;
    let qmp = &mut qmp;
    let before = state(qmp).await;
    let good = request(qmp, &lab, 1, None).await;

    let mut unknown = good.clone();
    unknown.disks[1].node = "disk7".to_owned();
    let mut homeless = good.clone();
    homeless.folder = lab.path("nowhere");
    let mut far = good.clone();
    far.server = crate::Server::At(lab.path(&"deep/".repeat(30)));
    for (request, at) in [
        (unknown, Step::Clear),
        (homeless, Step::Scratch),
        (far, Step::Clear),
    ] {
        let failed = sendable(Snapshot::begin(qmp, None, &request))
            .await
            .unwrap_err();
        assert_eq!(failed.step, at);
        assert!(failed.left.is_none(), "{failed:?}");
        assert_eq!(state(qmp).await, before);
    }
}

/// Tasks of any runtime may do it.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test]
async fn a_guest_that_was_left_frozen_is_thawed() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let listener = Listener::bind();
    let socket = listener.socket();
    let answers = ["{\"return\": \"frozen\"}", "{\"return\": 2}"];
    let guest = listener.serve_as_agent(&answers);
    let host = async {
        let mut agent = Agent::connect(&socket, AGENT_TOKEN, LONG).await.unwrap();
        leftovers(&mut qmp, Some(&mut agent), &lab.scratch())
            .await
            .unwrap();
    };
    let ((), heard) = tokio::join!(host, guest);
    assert_eq!(heard, ["guest-fsfreeze-status", "guest-fsfreeze-thaw"]);
}

#[tokio::test]
async fn a_guest_is_thawed_when_the_instant_fails() {
    let Some(lab) = Lab::open() else { return };
    let (machine, mut qmp) = lab.start(Kind::Machine).await;
    let request = request(&mut qmp, &lab, 1, None).await;
    let listener = Listener::bind();
    let socket = listener.socket();
    let answers = ["{\"return\": 2}", "{\"return\": 2}"];
    let guest = listener.serve_as_agent(&answers);
    let host = async {
        let mut agent = Agent::connect(&socket, AGENT_TOKEN, LONG).await.unwrap();
        let mut beginning = Beginning::new(&request, Some(&mut agent));
        steps_to(&mut beginning, &mut qmp, Step::Insert).await;
        let status =
            json!({"node": "disk0", "name": format!("strongroom-{}", request.disks[0].point)});
        qmp.command("block-dirty-bitmap-add", status).await.unwrap();
        beginning
            .perform(&mut qmp, Step::Instant)
            .await
            .unwrap_err();
        beginning.undo(&mut qmp).await.unwrap();
    };
    let ((), heard) = tokio::join!(host, guest);
    assert_eq!(heard, ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]);
    assert_eq!(bitmaps(&mut qmp, "disk0").await, []);
    drop(machine);
}

#[tokio::test]
async fn a_guest_that_stands_still_too_late_is_backed_up_as_it_is() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let request = request(&mut qmp, &lab, 1, None).await;
    let listener = Listener::bind();
    let socket = listener.socket();
    let guest = async {
        let mut peer = listener.accept_as_agent(AGENT_TOKEN).await;
        let freeze = peer.hear().await;
        // Nothing: until the next synchronisation, which is the host's second thought.
        peer.hear().await;
        peer.say("{\"return\": 2}").await;
        peer.write(&[0xff]).await;
        peer.say(&format!("{{\"return\": {}}}", AGENT_TOKEN + 1))
            .await;
        let thaw = peer.hear().await;
        peer.say("{\"return\": 2}").await;
        [freeze, thaw]
    };
    let host = async {
        let mut agent = Agent::connect(&socket, AGENT_TOKEN, SHORT).await.unwrap();
        let snapshot = Snapshot::begin(&mut qmp, Some(&mut agent), &request).await;
        snapshot.unwrap().quiesced
    };
    let (quiesced, [freeze, thaw]) = tokio::join!(host, guest);
    assert!(matches!(quiesced, Quiesced::Failed(_)), "{quiesced:?}");
    assert!(freeze.contains("guest-fsfreeze-freeze"), "{freeze}");
    assert!(thaw.contains("guest-fsfreeze-thaw"), "{thaw}");
}

#[tokio::test]
async fn a_guest_that_may_still_stand_still_is_told_as_left() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let before = state(&mut qmp).await;
    let request = request(&mut qmp, &lab, 1, None).await;
    let listener = Listener::bind();
    let socket = listener.socket();
    let guest = async {
        let mut peer = listener.accept_as_agent(AGENT_TOKEN).await;
        peer.hear().await;
        peer.say("{\"return\": 2}").await;
    };
    let host = async {
        let mut agent = Agent::connect(&socket, AGENT_TOKEN, LONG).await.unwrap();
        Snapshot::begin(&mut qmp, Some(&mut agent), &request).await
    };
    let (begun, ()) = tokio::join!(host, guest);
    let Failed { step, error, left } = begun.unwrap_err();
    assert_eq!(step, Step::Thaw);
    assert!(matches!(error, Error::Gone), "{error:?}");
    assert!(matches!(left, Some(Error::Gone)), "{left:?}");
    assert_eq!(state(&mut qmp).await, before);
}

#[tokio::test]
async fn a_snapshot_outlives_the_connection_that_made_it() {
    let Some(lab) = Lab::open() else { return };
    let (machine, mut qmp) = lab.start(Kind::Machine).await;
    machine.write(&mut qmp, 0, 7, "1M 1M").await;
    let snapshot = begin(&mut qmp, &lab, 1, None).await;
    drop(qmp);
    assert_eq!(lab.read(&snapshot.disks[0]), filled(&[(7, MIB..2 * MIB)]));
    let mut qmp = machine.connect().await;
    snapshot.commit(&mut qmp).await.unwrap();
    assert_eq!(bitmaps(&mut qmp, "disk0").await.len(), 1);
    assert_eq!(files(&lab), [""; 0]);
}

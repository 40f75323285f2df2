use std::time::Duration;

use serde_json::json;
use strongroom_types::BackupId;

use super::counting_guest;
use super::peers::{AGENT_TOKEN, Listener};
use super::world::{Kind, Lab, Running, SIZE, filled, point};
use crate::{
    Agent, Changes, DiskRequest, Error, LastPoint, Machine, Qmp, Quiesced, Recipe, Request,
    ServedDisk, Server, Snapshot, Step, Whole,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
pub(super) const ALL: [Kind; 3] = [Kind::Machine, Kind::OldMachine, Kind::Daemon];

/// Asks for both disks: point 10 × `number` of the first, and the next of the second.
pub(super) async fn request(qmp: &mut Qmp, lab: &Lab, number: u32, last: Option<u32>) -> Request {
    let machine = Machine::inspect(qmp).await.unwrap();
    let old = machine.drives.iter().find(|drive| drive.backend.is_some());
    let disk1 = old.map_or("disk1", |drive| &drive.node);
    let disks = ["disk0", disk1].into_iter().zip(0..);
    let disks = disks.map(|(node, index)| DiskRequest {
        node: node.to_owned(),
        point: point(10 * number + index),
        last: last.map(|last| LastPoint {
            point: point(10 * last + index),
            size: SIZE,
        }),
    });
    let server = lab.path("nbd.sock");
    Request {
        disks: disks.collect(),
        folder: lab.scratch(),
        server: if server.exists() {
            Server::At(server)
        } else {
            Server::Own
        },
    }
}

pub(super) async fn begin(qmp: &mut Qmp, lab: &Lab, number: u32, last: Option<u32>) -> Snapshot {
    let request = request(qmp, lab, number, last).await;
    Snapshot::begin(qmp, None, &request).await.unwrap()
}

/// Names and recording of the bitmaps of a disk.
pub(super) async fn bitmaps(qmp: &mut Qmp, node: &str) -> Vec<(String, bool)> {
    let nodes = crate::block::nodes(qmp).await.unwrap();
    let node = nodes.iter().find(|found| found.name() == node).unwrap();
    let bitmaps = node.dirty_bitmaps.iter();
    bitmaps
        .map(|bitmap| (bitmap.name.clone().unwrap(), bitmap.is_recording))
        .collect()
}

fn since(disk: &ServedDisk) -> &BackupId {
    match &disk.changes {
        Changes::Since { point, .. } => point,
        Changes::Whole(why) => panic!("{why:?}"),
    }
}

fn whole(snapshot: &Snapshot) -> Vec<Whole> {
    let disks = snapshot.disks.iter();
    disks
        .map(|disk| match &disk.changes {
            Changes::Whole(why) => *why,
            Changes::Since { point, .. } => panic!("since {point}"),
        })
        .collect()
}

/// One round of a backup whose disks are read whole and compared with what they should hold.
async fn first_backup(lab: &Lab, machine: &Running, qmp: &mut Qmp) -> [Vec<u8>; 2] {
    machine.write(qmp, 0, 1, "0 4M").await;
    machine.write(qmp, 1, 2, "8M 1M").await;
    let snapshot = begin(qmp, lab, 1, None).await;
    assert_eq!(whole(&snapshot), [Whole::First; 2]);
    machine.write(qmp, 0, 9, "1M 128k").await;
    machine.write(qmp, 1, 9, "0 64k").await;
    let read = [lab.read(&snapshot.disks[0]), lab.read(&snapshot.disks[1])];
    assert_eq!(read[0], filled(&[(1, 0..4 * MIB)]));
    assert_eq!(read[1], filled(&[(2, 8 * MIB..9 * MIB)]));
    assert!(snapshot.is_intact(qmp).await.unwrap());
    snapshot.commit(qmp).await.unwrap();
    read
}

#[tokio::test]
async fn a_snapshot_shows_the_instant_and_the_next_one_what_changed() {
    for kind in ALL {
        let Some(lab) = Lab::open() else { return };
        let (machine, mut qmp) = lab.start(kind).await;
        let qmp = &mut qmp;
        let before = first_backup(&lab, &machine, qmp).await;
        machine.write(qmp, 0, 3, "15M 64k").await;

        let snapshot = begin(qmp, &lab, 2, Some(1)).await;
        let expected = match kind {
            Kind::Machine => Recipe::Filter,
            _ => Recipe::Fleece,
        };
        assert_eq!(snapshot.recipe, expected);
        machine.write(qmp, 0, 8, "0 16M").await;
        machine.write(qmp, 1, 8, "0 16M").await;
        let [disk0, disk1] = snapshot.disks.as_slice() else {
            panic!("{snapshot:?}");
        };
        assert_eq!((since(disk0), since(disk1)), (&point(10), &point(11)));
        assert_eq!(lab.marked(disk0), [(MIB, 128 * KIB), (15 * MIB, 64 * KIB)]);
        assert_eq!(lab.marked(disk1), [(0, 64 * KIB)]);
        for (disk, before) in [disk0, disk1].into_iter().zip(&before) {
            assert_eq!(lab.read_marked(disk, before), lab.read(disk));
            assert_eq!(disk.size, SIZE);
        }
        snapshot.commit(qmp).await.unwrap();
        let kept = bitmaps(qmp, "disk0").await;
        assert_eq!(kept, [(format!("strongroom-{}", point(20)), true)]);
    }
}

#[tokio::test]
async fn an_abandoned_snapshot_forgets_no_change() {
    for kind in ALL {
        let Some(lab) = Lab::open() else { return };
        let (machine, mut qmp) = lab.start(kind).await;
        let qmp = &mut qmp;
        let before = first_backup(&lab, &machine, qmp).await;
        let abandoned = begin(qmp, &lab, 2, Some(1)).await;
        machine.write(qmp, 0, 5, "12M 64k").await;
        abandoned.abandon(qmp).await.unwrap();
        abandoned.abandon(qmp).await.unwrap();
        let kept = bitmaps(qmp, "disk0").await;
        assert_eq!(kept, [(format!("strongroom-{}", point(10)), true)]);

        machine.write(qmp, 0, 6, "14M 64k").await;
        let snapshot = begin(qmp, &lab, 3, Some(1)).await;
        let disk0 = &snapshot.disks[0];
        let changed = [(MIB, 128 * KIB), (12 * MIB, 64 * KIB), (14 * MIB, 64 * KIB)];
        assert_eq!(lab.marked(disk0), changed);
        assert_eq!(lab.read_marked(disk0, &before[0]), lab.read(disk0));
        snapshot.abandon(qmp).await.unwrap();
    }
}

#[tokio::test]
async fn an_abandoned_first_snapshot_leaves_no_bitmap() {
    let Some(lab) = Lab::open() else { return };
    let (_daemon, mut qmp) = lab.start(Kind::Daemon).await;
    let snapshot = begin(&mut qmp, &lab, 1, None).await;
    snapshot.abandon(&mut qmp).await.unwrap();
    assert_eq!(bitmaps(&mut qmp, "disk0").await, []);
    assert_eq!(bitmaps(&mut qmp, "disk1").await, []);
}

#[tokio::test]
async fn changes_are_known_after_an_orderly_restart_where_the_image_keeps_them() {
    let Some(lab) = Lab::open() else { return };
    let (machine, mut qmp) = lab.start(Kind::Machine).await;
    first_backup(&lab, &machine, &mut qmp).await;
    machine.quit(qmp).await;
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let snapshot = begin(&mut qmp, &lab, 2, Some(1)).await;
    assert_eq!(lab.marked(&snapshot.disks[0]), [(MIB, 128 * KIB)]);
    let raw = &snapshot.disks[1].changes;
    assert_eq!(*raw, Changes::Whole(Whole::NotKept));
    snapshot.abandon(&mut qmp).await.unwrap();
}

#[tokio::test]
async fn a_bitmap_after_a_power_cut_is_not_believed() {
    let Some(lab) = Lab::open() else { return };
    let (machine, mut qmp) = lab.start(Kind::Daemon).await;
    first_backup(&lab, &machine, &mut qmp).await;
    machine.quit(qmp).await;
    let (mut daemon, _qmp) = lab.start(Kind::Daemon).await;
    daemon.kill().await;
    let (machine, mut qmp) = lab.start(Kind::Daemon).await;
    let snapshot = begin(&mut qmp, &lab, 2, Some(1)).await;
    assert_eq!(whole(&snapshot), [Whole::Inconsistent, Whole::NotKept]);
    snapshot.commit(&mut qmp).await.unwrap();
    machine.write(&mut qmp, 0, 4, "0 64k").await;
    let snapshot = begin(&mut qmp, &lab, 3, Some(2)).await;
    assert_eq!(lab.marked(&snapshot.disks[0]), [(0, 64 * KIB)]);
}

#[tokio::test]
async fn a_bitmap_is_believed_only_if_it_is_that_of_the_last_point_and_as_we_made_it() {
    let Some(lab) = Lab::open() else { return };
    let (_daemon, mut qmp) = lab.start(Kind::Daemon).await;
    let qmp = &mut qmp;
    let add = async |qmp: &mut Qmp, number: u32, granularity: u64| {
        for (node, index) in [("disk0", 0), ("disk1", 1)] {
            let name = format!("strongroom-{}", point(10 * number + index));
            let bitmap = json!({"node": node, "name": name, "granularity": granularity});
            qmp.command("block-dirty-bitmap-add", bitmap).await.unwrap();
        }
    };
    add(qmp, 1, 4096).await;
    let snapshot = begin(qmp, &lab, 2, Some(1)).await;
    assert_eq!(whole(&snapshot), [Whole::Granularity; 2]);
    snapshot.commit(qmp).await.unwrap();

    let mut resized = request(qmp, &lab, 3, Some(2)).await;
    for disk in &mut resized.disks {
        disk.last.as_mut().unwrap().size -= 65536;
    }
    let snapshot = Snapshot::begin(qmp, None, &resized).await.unwrap();
    assert_eq!(whole(&snapshot), [Whole::Resized; 2]);
    snapshot.abandon(qmp).await.unwrap();

    let snapshot = begin(qmp, &lab, 4, Some(3)).await;
    assert_eq!(whole(&snapshot), [Whole::Lost; 2]);
    snapshot.commit(qmp).await.unwrap();
    for node in ["disk0", "disk1"] {
        let point = point(if node == "disk0" { 40 } else { 41 });
        let arguments = json!({"node": node, "name": format!("strongroom-{point}")});
        qmp.command("block-dirty-bitmap-disable", arguments)
            .await
            .unwrap();
    }
    let snapshot = begin(qmp, &lab, 5, Some(4)).await;
    assert_eq!(whole(&snapshot), [Whole::Interrupted; 2]);
    snapshot.abandon(qmp).await.unwrap();
}

/// The guest writes each number to the first disk before it writes it to the second.
#[tokio::test(flavor = "multi_thread")]
async fn the_instant_is_one_over_all_disks_of_a_guest_that_writes() {
    for kind in [Kind::Counting, Kind::CountingInThreads] {
        let Some(lab) = Lab::open() else { return };
        let (_machine, mut qmp) = lab.start(kind).await;
        let qmp = &mut qmp;
        if kind == Kind::CountingInThreads && qmp.version().major < 8 {
            refuses_threads(qmp, &lab).await;
            continue;
        }
        let mut last = None;
        let mut seen = 0;
        let mut before: Option<Vec<u8>> = None;
        for round in 1..=6 {
            let snapshot = begin_beyond(qmp, &lab, round, last, seen).await;
            assert_eq!(snapshot.recipe, Recipe::Filter);
            let disk0 = lab.read(&snapshot.disks[0]);
            let disk1 = lab.read(&snapshot.disks[1]);
            let [first, second] = [&disk0, &disk1].map(|disk| counting_guest::number(disk));
            assert!(
                first == second || first == second + 1,
                "{first} and {second}"
            );
            if let Some(before) = &before {
                assert!(lab.read_marked(&snapshot.disks[0], before) == disk0);
            }
            snapshot.commit(qmp).await.unwrap();
            (last, seen, before) = (Some(round), second, Some(disk0));
        }
        let status = Machine::inspect(qmp).await.unwrap().status;
        assert_eq!(status.as_deref(), Some("running"));
    }
}

/// Begins again until the guest has gone on.
async fn begin_beyond(
    qmp: &mut Qmp,
    lab: &Lab,
    number: u32,
    last: Option<u32>,
    seen: u32,
) -> Snapshot {
    loop {
        let snapshot = begin(qmp, lab, number, last).await;
        if counting_guest::number(&lab.read(&snapshot.disks[1])) > seen {
            return snapshot;
        }
        snapshot.abandon(qmp).await.unwrap();
    }
}

async fn refuses_threads(qmp: &mut Qmp, lab: &Lab) {
    let request = request(qmp, lab, 1, None).await;
    let failed = Snapshot::begin(qmp, None, &request).await.unwrap_err();
    assert_eq!(failed.step, Step::Clear);
    assert!(matches!(failed.error, Error::Unsupported { .. }));
}

#[tokio::test]
async fn a_machine_that_was_paused_stays_paused() {
    let Some(lab) = Lab::open() else { return };
    let (machine, mut qmp) = lab.start(Kind::Machine).await;
    let qmp = &mut qmp;
    qmp.command("stop", json!({})).await.unwrap();
    first_backup(&lab, &machine, qmp).await;
    let status = Machine::inspect(qmp).await.unwrap().status;
    assert_eq!(status.as_deref(), Some("paused"));
}

#[tokio::test]
async fn a_guest_with_an_agent_stands_still_at_the_instant() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let request = request(&mut qmp, &lab, 1, None).await;
    let answers = ["{\"return\": 2}", "{\"return\": 2}"];
    let (quiesced, heard) = begin_with_agent(&mut qmp, &request, &answers).await;
    assert_eq!(quiesced, Quiesced::Frozen { file_systems: 2 });
    assert_eq!(heard, ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]);

    let forbidden = ["{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"disabled\"}}"];
    let (quiesced, heard) = begin_with_agent(&mut qmp, &request, &forbidden).await;
    assert!(matches!(quiesced, Quiesced::Failed(_)), "{quiesced:?}");
    assert_eq!(heard, ["guest-fsfreeze-freeze"]);

    let impatient = ["{\"return\": 2}", "{\"return\": 0}"];
    let (quiesced, _) = begin_with_agent(&mut qmp, &request, &impatient).await;
    assert!(matches!(quiesced, Quiesced::Failed(_)), "{quiesced:?}");
}

/// Makes a snapshot and abandons it; tells what the agent, who answers so, was asked.
async fn begin_with_agent(
    qmp: &mut Qmp,
    request: &Request,
    answers: &[&str],
) -> (Quiesced, Vec<String>) {
    let listener = Listener::bind();
    let socket = listener.socket();
    let host = async {
        let patience = Duration::from_secs(20);
        let mut agent = Agent::connect(&socket, AGENT_TOKEN, patience)
            .await
            .unwrap();
        let snapshot = Snapshot::begin(qmp, Some(&mut agent), request)
            .await
            .unwrap();
        snapshot.abandon(qmp).await.unwrap();
        snapshot.quiesced
    };
    tokio::join!(host, listener.serve_as_agent(answers))
}

//! The judge of live backups: a Linux that writes to two file systems all the time.

use std::fs;
use std::time::Duration;

use strongroom_testkit::{CORRECTED, check_guest_disks};

use super::snapshot::request;
use super::world::{Kind, Lab};
use crate::{Agent, Changes, Quiesced, Snapshot};

const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 2400;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_writes_all_the_time_is_restored_whole() {
    let Some(lab) = Lab::open() else { return };
    if !Kind::Linux.is_here() {
        return;
    }
    let (_machine, mut qmp) = lab.start(Kind::Linux).await;
    let qmp = &mut qmp;
    wait_for(&lab, "GUEST wrote 20").await;
    let mut agent = Agent::connect(&lab.path("agent.sock"), 1, PATIENCE)
        .await
        .unwrap();

    let wanted = request(qmp, &lab, 1, None).await;
    let frozen = Snapshot::begin(qmp, Some(&mut agent), &wanted)
        .await
        .unwrap();
    assert_eq!(frozen.quiesced, Quiesced::Frozen { file_systems: 2 });
    assert!(!agent.is_frozen().await.unwrap());
    let first = [lab.read(&frozen.disks[0]), lab.read(&frozen.disks[1])];
    frozen.commit(qmp).await.unwrap();
    let reached = check(&lab, &first, &[0]);

    wait_for(&lab, &format!("GUEST wrote {}", (reached / 20 + 2) * 20)).await;
    let wanted = request(qmp, &lab, 2, Some(1)).await;
    let cut = Snapshot::begin(qmp, None, &wanted).await.unwrap();
    assert_eq!(cut.quiesced, Quiesced::NotAsked);
    let second = [0, 1].map(|index| {
        let disk = &cut.disks[index];
        let Changes::Since { marked, .. } = &disk.changes else {
            panic!("{:?}", disk.changes);
        };
        assert!(*marked > 0);
        let rebuilt = lab.read_marked(disk, &first[index]);
        assert!(rebuilt == lab.read(disk));
        rebuilt
    });
    cut.commit(qmp).await.unwrap();
    assert!(check(&lab, &second, &[0, CORRECTED]) > reached);
}

async fn wait_for(lab: &Lab, words: &str) {
    for _ in 0..ATTEMPTS {
        let said = fs::read_to_string(lab.path("console")).unwrap_or_default();
        if said.contains(words) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{}", fs::read_to_string(lab.path("console")).unwrap());
}

fn check(lab: &Lab, disks: &[Vec<u8>; 2], repair: &[i32]) -> u32 {
    let images = ["restored-0.raw", "restored-1.raw"].map(|name| lab.path(name));
    for (image, disk) in images.iter().zip(disks) {
        fs::write(image, disk).unwrap();
    }
    check_guest_disks(&lab.path(""), &images, repair)
}

//! The judge of live backups: a Linux that writes to two file systems all the time.

use std::fs;
use std::time::Duration;

use strongroom_testkit::{CORRECTED, QemuMachine, check_guest_disks};

use super::world::Lab;
use crate::{Changes, Domain, Freeze, Quiesced, Snapshot, State, leftovers};

const PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 2400;
const DISKS: [&str; 2] = ["vda", "sda"];

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_writes_all_the_time_is_restored_whole() {
    let Some(lab) = Lab::open() else { return };
    if lab.libvirt.start_linux(QemuMachine::DISK_SIZE).is_none() {
        return;
    }
    let virsh = lab.virsh("linux");
    wait_for(&lab, "GUEST wrote 20").await;

    let wanted = lab.request(DISKS, 1, None, Freeze::IfPossible);
    let frozen = Snapshot::begin(&virsh, &wanted).await.unwrap();
    assert_eq!(frozen.quiesced, Quiesced::Frozen { file_systems: 2 });
    let first = [lab.read(&frozen.disks[0]), lab.read(&frozen.disks[1])];
    assert!(frozen.is_intact().await.unwrap());
    frozen.commit().await.unwrap();
    let mut reached = check(&lab, &first, &[0]);

    let mut before = first;
    for number in [2, 3] {
        wait_for(&lab, &format!("GUEST wrote {}", (reached / 20 + 2) * 20)).await;
        let wanted = lab.request(DISKS, number, Some(number - 1), Freeze::No);
        let cut = Snapshot::begin(&virsh, &wanted).await.unwrap();
        assert_eq!(cut.quiesced, Quiesced::NotAsked);
        let next = [0, 1].map(|index| {
            let disk = &cut.disks[index];
            let Changes::Since { bitmap, .. } = &disk.changes else {
                panic!("{:?}", disk.changes);
            };
            let rebuilt = lab.read_marked(disk, bitmap, &before[index]);
            assert!(rebuilt == lab.read(disk));
            rebuilt
        });
        cut.commit().await.unwrap();
        let now = check(&lab, &next, &[0, CORRECTED]);
        assert!(now > reached);
        (reached, before) = (now, next);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_a_full_scratch_folder_paused_goes_on() {
    let Some(lab) = Lab::with_little_scratch(3 << 20) else {
        return;
    };
    if lab.libvirt.start_linux(QemuMachine::DISK_SIZE).is_none() {
        return;
    }
    let virsh = lab.virsh("linux");
    wait_for(&lab, "GUEST wrote 20").await;
    let wanted = lab.request(DISKS, 1, None, Freeze::No);
    let snapshot = Snapshot::begin(&virsh, &wanted).await.unwrap();
    wait_until_full(&snapshot).await;
    let stopped = Domain::inspect(&virsh).await.unwrap();
    assert_eq!(stopped.state, State::PausedByError);
    snapshot.abandon().await.unwrap();
    let running = Domain::inspect(&virsh).await.unwrap();
    assert_eq!(running.state, State::Running);
    let said = fs::read_to_string(lab.path("console")).unwrap();
    let more = said.matches("GUEST wrote").count() * 20 + 40;
    wait_for(&lab, &format!("GUEST wrote {more}")).await;

    // Once more, and whoever ended the job was killed behind that.
    let whole = Snapshot::begin(&virsh, &wanted).await.unwrap();
    wait_until_full(&whole).await;
    lab.libvirt.virsh(&["domjobabort", "linux"]);
    let left = Domain::inspect(&virsh).await.unwrap();
    assert_eq!(left.state, State::PausedByError);
    leftovers(&virsh, &lab.path("scratch")).await.unwrap();
    let running = Domain::inspect(&virsh).await.unwrap();
    assert_eq!(running.state, State::Running);
    whole.abandon().await.unwrap();
}

async fn wait_until_full(snapshot: &Snapshot) {
    let mut looks = 0..ATTEMPTS;
    while snapshot.is_intact().await.unwrap() {
        assert!(looks.next().is_some(), "it was never full");
        tokio::time::sleep(PAUSE).await;
    }
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

use std::fs;
use std::ops::Range;

use strongroom_testkit::QemuMachine;

use super::world::{Lab, point};
use crate::{
    Changes, Domain, Error, Freeze, Quiesced, Snapshot, State, Virsh, Whole, leftovers, settle,
};

const MIB: usize = 1 << 20;

fn filled(ranges: &[(u8, Range<usize>)]) -> Vec<u8> {
    let mut disk = vec![0; usize::try_from(QemuMachine::DISK_SIZE).unwrap()];
    for (byte, range) in ranges {
        disk[range.clone()].fill(*byte);
    }
    disk
}

fn bitmap(changes: &Changes) -> &str {
    let Changes::Since { bitmap, .. } = changes else {
        panic!("{changes:?}");
    };
    bitmap
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_since_the_last_point_is_served() {
    let Some(lab) = Lab::open() else { return };
    lab.libvirt.start_bare();
    lab.libvirt.write(0, 1, &(0..MIB));
    lab.libvirt.write(1, 2, &(3 * MIB..4 * MIB));

    let full = lab.begin(1, None).await;
    let [disk, raw] = &full.disks[..] else {
        panic!("{full:?}");
    };
    assert_eq!(disk.changes, Changes::Whole(Whole::First));
    assert_eq!(raw.changes, Changes::Whole(Whole::NotKept));
    assert_eq!(disk.size, QemuMachine::DISK_SIZE);
    // Behind the instant.
    lab.libvirt.write(0, 9, &(0..MIB));
    let first = filled(&[(1, 0..MIB)]);
    assert!(lab.read(disk) == first);
    assert!(lab.read(raw) == filled(&[(2, 3 * MIB..4 * MIB)]));
    assert!(full.is_intact().await.unwrap());
    full.commit().await.unwrap();
    assert_eq!(
        lab.checkpoints("bare"),
        [format!("strongroom-{}", point(10))]
    );
    assert_eq!(lab.scratch_files(), 0);

    lab.libvirt.write(0, 3, &(5 * MIB..6 * MIB));
    let given_up = lab.begin(2, Some(1)).await;
    assert!(given_up.disks[0].changes != Changes::Whole(Whole::Lost));
    lab.libvirt.write(0, 4, &(7 * MIB..8 * MIB));
    given_up.abandon().await.unwrap();
    assert!(!given_up.is_intact().await.unwrap());

    let second = lab.begin(3, Some(1)).await;
    let disk = &second.disks[0];
    let expected = filled(&[(9, 0..MIB), (3, 5 * MIB..6 * MIB), (4, 7 * MIB..8 * MIB)]);
    assert!(lab.read_marked(disk, bitmap(&disk.changes), &first) == expected);
    second.commit().await.unwrap();
    assert_eq!(
        lab.checkpoints("bare"),
        [format!("strongroom-{}", point(30))]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_service_that_was_killed_is_removed() {
    let Some(lab) = Lab::open() else { return };
    lab.libvirt.start_bare();
    let virsh = lab.virsh("bare");
    lab.begin(1, None).await.commit().await.unwrap();
    let lost = lab.begin(2, Some(1)).await;
    drop(lost);
    leftovers(&virsh, &lab.path("scratch")).await.unwrap();
    assert_eq!(lab.scratch_files(), 0);
    assert!(lab.libvirt.virsh(&["domjobinfo", "bare"]).contains("None"));

    // The next one begins without it having been called, too.
    lab.libvirt.write(0, 3, &(5 * MIB..6 * MIB));
    drop(lab.begin(3, Some(1)).await);
    let next = lab.begin(4, Some(1)).await;
    let disk = &next.disks[0];
    let expected = filled(&[(3, 5 * MIB..6 * MIB)]);
    assert!(lab.read_marked(disk, bitmap(&disk.changes), &filled(&[])) == expected);
    next.commit().await.unwrap();
    assert_eq!(lab.checkpoints("bare").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_outlive_a_machine_that_ends_and_not_a_power_cut() {
    let Some(lab) = Lab::open() else { return };
    lab.libvirt.start_bare();
    lab.begin(1, None).await.commit().await.unwrap();
    lab.libvirt.virsh(&["destroy", "bare", "--graceful"]);
    lab.libvirt.virsh(&["start", "bare"]);
    let second = lab.begin(2, Some(1)).await;
    bitmap(&second.disks[0].changes);
    second.commit().await.unwrap();

    // Those of other points are not believed.
    let third = lab.begin(3, Some(1)).await;
    assert_eq!(third.disks[0].changes, Changes::Whole(Whole::Lost));
    third.commit().await.unwrap();

    lab.libvirt.virsh(&["destroy", "bare", "--graceful"]);
    lab.libvirt.virsh(&["start", "bare"]);
    lab.libvirt.cut_power("bare");
    lab.libvirt.virsh(&["start", "bare"]);
    let fourth = lab.begin(4, Some(3)).await;
    assert_eq!(fourth.disks[0].changes, Changes::Whole(Whole::Refused));
    fourth.commit().await.unwrap();
    assert_eq!(
        lab.checkpoints("bare"),
        [format!("strongroom-{}", point(40))]
    );
}

#[tokio::test]
async fn a_domain_may_have_a_name_with_all_that_virsh_reads_otherwise() {
    let Some(lab) = Lab::open() else { return };
    let xml = "<domain type='qemu'><name>it&apos;s; a \"b\" \\c $d</name><memory>65536</memory>\
               <os><type arch='x86_64'>hvm</type></os><devices/></domain>";
    let file = lab.path("odd.xml");
    fs::write(&file, xml).unwrap();
    crate::define(lab.libvirt.uri().as_str(), &file)
        .await
        .unwrap();
    let virsh = lab.virsh("it's; a \"b\" \\c $d");
    let domain = Domain::inspect(&virsh).await.unwrap();
    assert_eq!(domain.state, State::Off);
    leftovers(&virsh, &lab.path("scratch")).await.unwrap();
    settle(&virsh, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_that_cannot_be_backed_up_say_so() {
    let Some(lab) = Lab::open() else { return };
    let unknown = Domain::inspect(&lab.virsh("bare")).await;
    assert!(matches!(unknown, Err(Error::NoDomain)), "{unknown:?}");
    let nobody = Virsh::new("qemu+unix:///session?socket=/nowhere", "bare");
    let nobody = Domain::inspect(&nobody).await;
    assert!(
        matches!(nobody, Err(Error::Unreachable { .. })),
        "{nobody:?}"
    );

    lab.libvirt.start_bare();
    let virsh = lab.virsh("bare");
    let other = lab.request(["vda", "vdz"], 1, None, Freeze::No);
    let refused = Snapshot::begin(&virsh, &other).await;
    assert!(refused.is_err());
    assert_eq!(lab.scratch_files(), 0);

    let frozen = lab.request(["vda", "vdb"], 1, None, Freeze::IfPossible);
    let snapshot = Snapshot::begin(&virsh, &frozen).await.unwrap();
    assert!(matches!(snapshot.quiesced, Quiesced::Failed(_)));
    snapshot.abandon().await.unwrap();
    assert_eq!(lab.checkpoints("bare"), [""; 0]);

    lab.libvirt.virsh(&["destroy", "bare"]);
    let domain = Domain::inspect(&virsh).await.unwrap();
    assert_eq!(domain.state, State::Off);
    let places = domain.disks.iter().map(|disk| disk.place.clone());
    let expected = ["0.qcow2", "1.raw"].map(|name| lab.path(name).to_str().unwrap().to_owned());
    assert_eq!(places.collect::<Vec<_>>(), expected);
}

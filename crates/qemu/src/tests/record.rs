//! A machine that is recorded is made again from its record, by a real QEMU.

use std::fs;

use strongroom_types::{
    Firmware, IdSource, MachineDiskBus, MachineRecord, MachineSource, NewMachine, NewMachineDisk,
    VolumeFormat, VolumeId,
};
use tokio::process::Command;

use super::world::{Kind, Lab};
use crate::{Machine, Qmp, command_file, record};

const KINDS: [(&str, MachineDiskBus); 5] = [
    ("virtio-blk-pci", MachineDiskBus::Virtio),
    ("scsi-hd,serial=it's ,, $HOME", MachineDiskBus::Scsi),
    ("ide-hd,bus=ide.0,bootindex=2", MachineDiskBus::Ide),
    ("ide-hd,bus=ahci.0", MachineDiskBus::Sata),
    ("nvme,serial=n1", MachineDiskBus::Nvme),
];

/// Of the new machine.
const NAME: &str = "it's, new; $(false)";

#[derive(Debug)]
struct Counting(std::sync::atomic::AtomicU8);

impl IdSource for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

async fn record_all(qmp: &mut Qmp, ids: &[VolumeId]) -> MachineRecord {
    let machine = Machine::inspect(qmp).await.unwrap();
    let drives = machine.drives.iter().rev().take(ids.len());
    let mut drives: Vec<_> = drives.collect();
    drives.reverse();
    let disks: Vec<_> = ids.iter().cloned().zip(drives).collect();
    record(qmp, &machine, &disks).await.unwrap()
}

/// What a machine is given beside its two disks, the images of which are made.
fn more(lab: &Lab) -> Vec<String> {
    let fixed = "-smp 2 -device virtio-scsi-pci -device ich9-ahci,id=ahci \
        -nic user,model=e1000,mac=52:54:00:AB:cd:01,restrict=on";
    let mut more: Vec<_> = fixed.split_whitespace().map(str::to_owned).collect();
    for (number, (device, _)) in KINDS.iter().enumerate() {
        let file = format!("k{number}.qcow2");
        lab.tool("qemu-img", ["create", "-q", "-f", "qcow2", &file, "16M"]);
        more.extend([
            "-blockdev".to_owned(),
            format!("driver=qcow2,node-name=k{number},file.driver=file,file.filename={file}"),
            "-device".to_owned(),
            format!("{device},drive=k{number}"),
        ]);
    }
    more
}

fn new_machine(lab: &Lab, ids: &[VolumeId]) -> NewMachine {
    let disks = ids.iter().enumerate().map(|(number, id)| {
        let path = lab.path(&format!("it's new, $(no) \"{number}\".qcow2"));
        fs::copy(lab.path(&format!("k{number}.qcow2")), &path).unwrap();
        NewMachineDisk {
            resource_id: id.clone(),
            path: path.to_str().unwrap().to_owned(),
            format: VolumeFormat::Qcow2,
        }
    });
    NewMachine {
        name: NAME.to_owned(),
        uuid: "5b0e17aa-0000-4000-8000-000000000002".to_owned(),
        monitor: Some(lab.path("qmp.sock").to_str().unwrap().to_owned()),
        disks: disks.collect(),
    }
}

#[tokio::test]
async fn a_machine_is_made_again_from_what_is_recorded() {
    let Some(lab) = Lab::open() else { return };
    let source = Counting(1.into());
    let ids = KINDS.map(|_| VolumeId::random(&source));
    let more = more(&lab);
    let more: Vec<_> = more.iter().map(String::as_str).collect();
    let (machine, mut qmp) = lab.start_with(Kind::Machine, &more).await;
    let first = record_all(&mut qmp, &ids).await;
    drop((machine, qmp));
    is_as_it_was_given(&first);

    let new = new_machine(&lab, &ids);
    fs::write(lab.path("machine.sh"), command_file(&first, &new)).unwrap();
    let mut script = Command::new("sh");
    script.args(["machine.sh", "-S", "-display", "none"]);
    let (_running, mut qmp) = lab.spawn(Kind::Machine, script).await;
    let again = record_all(&mut qmp, &ids).await;
    let [card] = &again.network_cards[..] else {
        panic!("{:?}", again.network_cards);
    };
    assert_eq!(card.mac, Some(new.mac(0)));
    assert_eq!(again.name.as_deref(), Some(NAME));
    let same = MachineRecord {
        name: first.name.clone(),
        firmware: first.firmware,
        network_cards: first.network_cards.clone(),
        ..again
    };
    assert_eq!(same, first);
}

fn is_as_it_was_given(record: &MachineRecord) {
    assert_eq!((record.source, record.version), (MachineSource::Qemu, 1));
    assert_eq!(record.architecture.as_deref(), Some("x86_64"));
    let kind = record.machine_type.as_deref().unwrap();
    assert!(kind.starts_with("pc-i440fx-"), "{kind}");
    assert_eq!((record.cpus, record.memory_mib), (Some(2), Some(16)));
    // Its firmware is a file of the test.
    assert_eq!(record.firmware, None::<Firmware>);
    let buses: Vec<_> = record.disks.iter().map(|disk| disk.bus.unwrap()).collect();
    assert_eq!(buses, KINDS.map(|(_, bus)| bus));
    let scsi = &record.disks[1];
    assert_eq!(scsi.serial.as_deref(), Some("it's , $HOME"));
    assert_eq!(scsi.controller.as_deref(), Some("virtio-scsi-pci"));
    assert_eq!(record.disks[2].boot_index, Some(2));
    let [card] = &record.network_cards[..] else {
        panic!("{:?}", record.network_cards);
    };
    assert_eq!(card.model.as_deref(), Some("e1000"));
    assert_eq!(card.mac.as_deref(), Some("52:54:00:ab:cd:01"));
}

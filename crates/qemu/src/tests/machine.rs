use serde_json::json;

use super::world::{Kind, Lab, SIZE};
use crate::{Error, Machine, Version};

#[tokio::test]
async fn a_machine_tells_what_it_is_and_what_disks_it_has() {
    let Some(lab) = Lab::open() else { return };
    lab.tool(
        "qemu-img",
        ["create", "-q", "-f", "qcow2", "2.qcow2", "16M"],
    );
    let more = [
        "-uuid",
        "5b0e17aa-0000-4000-8000-000000000001",
        "-object",
        "iothread,id=thread",
        "-device",
        "virtio-scsi-pci,id=scsi,iothread=thread",
        "-blockdev",
        "driver=file,node-name=file2,filename=2.qcow2",
        "-blockdev",
        "driver=qcow2,node-name=disk2,file=file2,read-only=on",
        "-device",
        "scsi-hd,bus=scsi.0,drive=disk2,id=dev2,bootindex=3",
        "-device",
        "ide-cd,id=empty",
    ];
    let (_machine, mut qmp) = lab.start_with(Kind::Machine, &more).await;
    let bitmap =
        json!({"node": "disk0", "name": "theirs", "granularity": 32768, "persistent": true});
    qmp.command("block-dirty-bitmap-add", bitmap).await.unwrap();

    let machine = Machine::inspect(&mut qmp).await.unwrap();
    assert_eq!(machine.name.as_deref(), Some("lab"));
    assert_eq!(
        machine.uuid.as_deref(),
        Some("5b0e17aa-0000-4000-8000-000000000001")
    );
    assert_eq!(machine.status.as_deref(), Some("running"));
    assert_eq!(machine.version, qmp.version());
    assert_eq!(machine.drives.len(), 3);

    let disk0 = machine.drive("disk0").unwrap();
    assert_eq!(disk0.device, "/machine/peripheral/dev0/virtio-backend");
    assert_eq!(
        (disk0.file.as_str(), disk0.file_node.as_deref()),
        ("0.qcow2", Some("file0"))
    );
    assert_eq!((disk0.format.as_str(), disk0.size), ("qcow2", SIZE));
    assert_eq!((&disk0.iothread, disk0.boot_index), (&None, None));
    let [bitmap] = disk0.bitmaps.as_slice() else {
        panic!("{:?}", disk0.bitmaps);
    };
    assert_eq!(bitmap.name.as_deref(), Some("theirs"));
    assert!(bitmap.is_recording && bitmap.is_persistent);
    assert!(!bitmap.is_busy && !bitmap.is_inconsistent);
    assert_eq!((bitmap.granularity, bitmap.count), (32768, 0));

    let old = machine
        .drives
        .iter()
        .find(|drive| drive.backend.as_deref() == Some("old"));
    let old = old.unwrap();
    assert!(old.node.starts_with("#block"), "{old:?}");
    assert_eq!((old.file.as_str(), old.format.as_str()), ("1.raw", "raw"));

    let disk2 = machine.drive("disk2").unwrap();
    assert_eq!(disk2.device, "/machine/peripheral/dev2");
    assert_eq!(disk2.boot_index, Some(3));
    assert_eq!(disk2.iothread.as_deref(), Some("/objects/thread"));
    assert!(disk2.is_read_only);
}

#[tokio::test]
async fn disks_with_iothreads_are_not_read_from_a_qemu_that_could_abort() {
    let Some(lab) = Lab::open() else { return };
    let (_machine, mut qmp) = lab.start(Kind::Machine).await;
    let mut machine = Machine::inspect(&mut qmp).await.unwrap();
    let mut drive = machine.drive("disk0").unwrap().clone();
    machine.version = version(7, 2);
    machine.check_can_be_read(&drive).unwrap();
    drive.iothread = Some("/objects/thread".to_owned());
    let refused = machine.check_can_be_read(&drive);
    assert!(
        matches!(refused, Err(Error::Unsupported { .. })),
        "{refused:?}"
    );
    machine.version = version(8, 0);
    machine.check_can_be_read(&drive).unwrap();
}

#[tokio::test]
async fn a_storage_daemon_is_a_machine_without_name_and_drives() {
    let Some(lab) = Lab::open() else { return };
    let (_daemon, mut qmp) = lab.start(Kind::Daemon).await;
    let machine = Machine::inspect(&mut qmp).await.unwrap();
    assert_eq!(
        (machine.name, machine.uuid, machine.status),
        (None, None, None)
    );
    assert!(machine.drives.is_empty());
}

fn version(major: u32, minor: u32) -> Version {
    Version {
        major,
        minor,
        micro: 0,
    }
}

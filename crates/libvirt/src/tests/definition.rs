use strongroom_types::{
    Firmware, MachineDiskBus, MachineRecord, MachineSource, NewMachine, NewMachineDisk,
    VolumeFormat, VolumeId,
};

use crate::definition;
use crate::record::parse;

const DOMAIN: &str = "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web</name>
  <uuid>5b0e17aa-0000-4000-8000-000000000001</uuid>
  <memory unit='KiB'>2097152</memory>
  <vcpu placement='static'>3</vcpu>
  <sysinfo type='smbios'><system><entry name='uuid'>5b0e17aa-0000-4000-8000-000000000001</entry></system></sysinfo>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/var/lib/libvirt/web_VARS.fd</nvram>
    <smbios mode='sysinfo'/>
  </os>
  <devices>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source dev='/dev/vg/web'/>
      <target dev='sda' bus='scsi'/><serial>W &amp; D</serial><boot order='1'/>
    </disk>
    <disk type='file' device='disk'><target dev='vdb' bus='virtio'/><source file='/images/data.qcow2'/>
      <driver type='qcow2'/><encryption format='luks'><secret type='passphrase' usage='/images/key'/></encryption></disk>
    <disk type='file' device='cdrom'><source file='/iso/install.iso'/><target dev='sdb' bus='sata'/><readonly/></disk>
    <interface type='bridge'><mac address='52:54:00:01:02:03'/><source bridge='br0'/><virtualport type='openvswitch'><parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/></virtualport><model type='virtio'/></interface>
    <serial type='unix'><source mode='bind' path='/run/web.serial'/><target port='0'/></serial>
    <channel type='unix'><source mode='bind' path='/run/web.agent'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  </devices>
  <qemu:commandline><qemu:arg value='secret,id=s,data=hidden'/></qemu:commandline>
</domain>
";

fn volume(number: u8) -> VolumeId {
    format!("00000000-0000-4000-8000-0000000000{number:02}")
        .parse()
        .unwrap()
}

fn recorded() -> MachineRecord {
    let disks = [(volume(1), "sda".to_owned()), (volume(2), "vdb".to_owned())];
    parse(DOMAIN, &disks).unwrap()
}

fn new(disks: &[VolumeId]) -> NewMachine {
    let disk = |id: &VolumeId| NewMachineDisk {
        resource_id: id.clone(),
        path: format!("/new/<{id}>.qcow2"),
        format: VolumeFormat::Qcow2,
    };
    NewMachine {
        name: "web & co".to_owned(),
        uuid: "5b0e17aa-0000-4000-8000-000000000002".to_owned(),
        monitor: None,
        disks: disks.iter().map(disk).collect(),
    }
}

#[test]
fn firmware_is_known_or_not_told() {
    let pflash = "<loader type='pflash'>";
    for (loader, firmware) in [
        ("<loader type='rom'>", None),
        (pflash, Some(Firmware::Uefi)),
    ] {
        let record = parse(&DOMAIN.replace(pflash, loader), &[]).unwrap();
        assert_eq!(record.firmware, firmware);
    }
    let (before, rest) = DOMAIN.split_once(pflash).unwrap();
    let (_, behind) = rest.split_once("</loader>").unwrap();
    let record = parse(&format!("{before}{behind}"), &[]).unwrap();
    assert_eq!(record.firmware, Some(Firmware::Bios));
}

#[test]
fn a_domain_is_recorded_without_places_and_secrets() {
    let record = recorded();
    assert_eq!(record.source, MachineSource::Libvirt);
    assert_eq!(record.name.as_deref(), Some("web"));
    assert_eq!(record.machine_type.as_deref(), Some("pc-q35-7.2"));
    assert_eq!(record.firmware, Some(Firmware::Uefi));
    assert_eq!((record.cpus, record.memory_mib), (Some(3), Some(2048)));
    let [first, second] = &record.disks[..] else {
        panic!("{:?}", record.disks);
    };
    assert_eq!(
        (first.bus, first.boot_index, first.serial.as_deref()),
        (Some(MachineDiskBus::Scsi), Some(1), Some("W & D"))
    );
    assert_eq!(second.target.as_deref(), Some("vdb"));
    assert_eq!(
        record.network_cards[0].mac.as_deref(),
        Some("52:54:00:01:02:03")
    );
    let xml = record.libvirt_xml.unwrap();
    for private in [
        "/dev/vg",
        "/images",
        "/iso",
        "web_VARS",
        "/run",
        "hidden",
        "sysinfo",
        "luks",
        "interfaceid",
    ] {
        assert!(!xml.contains(private), "{private}: {xml}");
    }
    assert!(xml.contains("template='/usr/share/OVMF/OVMF_VARS.fd'"));
}

#[test]
fn a_domain_is_defined_again_with_other_disks_and_another_identity() {
    let xml = definition(&recorded(), &new(&[volume(1), volume(2)])).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let text = |name: &str| {
        let node = document.descendants().find(|node| node.has_tag_name(name));
        node.unwrap().text().unwrap().to_owned()
    };
    assert_eq!(text("name"), "web & co");
    assert_eq!(text("uuid"), "5b0e17aa-0000-4000-8000-000000000002");
    let sources = document
        .descendants()
        .filter(|node| node.has_tag_name("source"));
    let files: Vec<_> = sources
        .filter_map(|source| source.attribute("file"))
        .collect();
    let expected = [1, 2].map(|number| format!("/new/<{}>.qcow2", volume(number)));
    assert_eq!(files, expected);
    let disks = document
        .descendants()
        .filter(|node| node.has_tag_name("disk"));
    let kinds: Vec<_> = disks.map(|disk| disk.attribute("type")).collect();
    assert_eq!(kinds, [Some("file"); 2]);
    assert!(!xml.contains("52:54:00") && xml.contains("br0"), "{xml}");
    assert!(xml.contains("<boot order='1'/>") && xml.contains("machine='pc-q35-7.2'"));

    // The machine had a third disk when it was backed up.
    let three = definition(&recorded(), &new(&[volume(1), volume(2), volume(3)])).unwrap();
    let document = roxmltree::Document::parse(&three).unwrap();
    let targets = document
        .descendants()
        .filter_map(|node| node.attribute("dev"));
    assert_eq!(targets.collect::<Vec<_>>(), ["sda", "vdb", "vda"]);
    assert!(three.contains(volume(3).as_str()));

    let one = definition(&recorded(), &new(&[volume(2)])).unwrap();
    assert!(!one.contains("sda") && one.contains("vdb"), "{one}");
}

#[test]
fn a_machine_that_qemu_told_of_becomes_a_domain() {
    let record = MachineRecord {
        libvirt_xml: None,
        source: MachineSource::Qemu,
        ..recorded()
    };
    let xml = definition(&record, &new(&[volume(1), volume(2)])).unwrap();
    let again = parse(
        &xml,
        &[(volume(1), "sda".to_owned()), (volume(2), "vdb".to_owned())],
    )
    .unwrap();
    assert_eq!(again.name.as_deref(), Some("web & co"));
    assert_eq!((again.cpus, again.memory_mib), (Some(3), Some(2048)));
    assert_eq!(again.firmware, Some(Firmware::Uefi));
    assert_eq!(again.disks[0].serial.as_deref(), Some("W & D"));
    assert_eq!(again.disks[1].bus, Some(MachineDiskBus::Virtio));
}

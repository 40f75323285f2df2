use std::fs;
use std::ops::Range;
use std::sync::Arc;

use strongroom_nbd::{Allocation, Export, Fault, Stretch};
use strongroom_types::{Firmware, ProofVerdict, SystemIds};

use super::partitions::{ext_file_systems, is_booted_by_uefi_alone};
use super::signs::{self, Sign};
use super::watch::{End, Seen, Tail};
use super::{ProveOptions, Prover, judge};

fn said(parts: &[&str]) -> Tail {
    let mut tail = Tail::default();
    for part in parts {
        tail.push(part.as_bytes());
    }
    tail
}

#[test]
fn a_machine_is_up_when_it_says_so_however_its_words_arrive() {
    let up = Some(Sign::Console("login:".to_owned()));
    assert_eq!(signs::of_console(&said(&["lab log", "in: "]), "login:"), up);
    assert_eq!(
        signs::of_console(&said(&["systemd-logind: new"]), "login:"),
        None
    );
    let panics = said(&["lab login: ", "Kernel panic - not syncing: no init"]);
    let trouble = signs::of_console(&panics, "login:");
    assert_eq!(trouble, Some(Sign::Trouble("Kernel panic - not syncing")));
    let shell = said(&[
        "BdsDxe: starting Boot0002",
        "\u{1b}[01;01HUEFI Interactive Shell v2.2",
    ]);
    assert_eq!(
        signs::of_console(&shell, "login:"),
        Some(Sign::NothingByDefault)
    );
}

#[test]
fn of_a_machine_that_talks_without_end_the_last_words_are_kept() {
    let mut tail = said(&["first words\0"]);
    assert_eq!(tail.text(), "first words");
    for _ in 0..100 {
        tail.push(&[b'x'; 4096]);
    }
    tail.push(b"last words");
    assert!(!tail.holds("first") && tail.holds("last words"));
    assert_eq!(tail.text().len(), 64 << 10);
}

#[test]
fn silence_is_a_verdict_only_of_a_machine_that_is_known_to_speak() {
    let seen = |console: &str| Seen {
        end: End::TimeOver,
        console: console.to_owned(),
    };
    let verdict = |console, has_agent| judge(&seen(console), has_agent, Firmware::Bios).0;
    assert_eq!(verdict(" \n", false), ProofVerdict::Unknown);
    assert_eq!(verdict(" \n", true), ProofVerdict::DoesNotBoot);
    assert_eq!(verdict("Starting", false), ProofVerdict::DoesNotBoot);
    // UEFI's firmware speaks for the system, too.
    let by_uefi = |has_agent| judge(&seen("BdsDxe: starting"), has_agent, Firmware::Uefi).0;
    assert_eq!(by_uefi(false), ProofVerdict::Unknown);
    assert_eq!(by_uefi(true), ProofVerdict::Unknown);
    let lost = |firmware| {
        let end = End::Sign(Sign::Trouble(signs::LOADER_ALONE));
        let console = String::new();
        judge(&Seen { end, console }, true, firmware).0
    };
    assert_eq!(lost(Firmware::Uefi), ProofVerdict::Unknown);
    assert_eq!(lost(Firmware::Bios), ProofVerdict::DoesNotBoot);
}

/// What `sfdisk` and `sgdisk` write: the kinds lie in the entries of the table, whose length and place the header tells.
#[test]
fn a_disk_says_by_its_partitions_what_boots_it() {
    const EFI: &str = "28732ac11ff8d211ba4b00a0c93ec93b";
    const BIOS: &str = "4861682149646f6e744e656564454649";
    const LINUX: &str = "af3dc60f838472478e793d69d8477de4";
    for (kinds, is_uefi) in [
        (vec![EFI, LINUX], true),
        (vec![LINUX, BIOS, EFI], false),
        (vec![LINUX], false),
        (vec![], false),
    ] {
        let disk = Disk(table(&kinds));
        assert_eq!(
            is_booted_by_uefi_alone(&disk).unwrap(),
            is_uefi,
            "{kinds:?}"
        );
    }
    let mut cut = table(&[EFI]);
    cut.truncate(1024 + 8);
    assert!(!is_booted_by_uefi_alone(&Disk(cut)).unwrap());
    assert!(!is_booted_by_uefi_alone(&Disk(vec![0; 512])).unwrap());
}

fn only_file_system(disk: Vec<u8>) -> Range<u64> {
    let mut found = ext_file_systems(&Disk(disk)).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn file_systems_are_found_on_whole_disks_and_in_both_tables() {
    let mark = |disk: &mut Vec<u8>, start: usize| {
        disk[start + 1080..start + 1082].copy_from_slice(&[0x53, 0xef]);
    };
    let mut whole = vec![0; 4096];
    mark(&mut whole, 0);
    assert_eq!(only_file_system(whole), 0..4096);

    let mut old = vec![0; 64 << 10];
    let second = 446 + 16;
    for (entry, (kind, first)) in [(446, (0x82, 8)), (second, (0x83, 16))] {
        old[entry + 4] = kind;
        old[entry + 8] = first;
        old[entry + 12] = 8;
    }
    mark(&mut old, 16 * 512);
    assert_eq!(only_file_system(old), 8192..12288);

    let mut new = table(&["af3dc60f838472478e793d69d8477de4"]);
    new[1024 + 32] = 34;
    new[1024 + 40] = 41;
    mark(&mut new, 34 * 512);
    assert_eq!(only_file_system(new), 17408..21504);
}

fn table(kinds: &[&str]) -> Vec<u8> {
    let mut disk = vec![0; 64 << 10];
    disk[512..520].copy_from_slice(b"EFI PART");
    disk[512 + 72] = 2;
    disk[512 + 80] = 128;
    disk[512 + 84] = 128;
    for (n, kind) in kinds.iter().enumerate() {
        let entry = 1024 + n * 128;
        disk[entry..entry + 16].copy_from_slice(&hex::decode(kind).unwrap());
    }
    disk
}

struct Disk(Vec<u8>);

impl Export for Disk {
    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }

    fn stretches(&self, _: u64, length: u64) -> Result<Vec<Stretch>, Fault> {
        let allocation = Allocation::Data;
        Ok(vec![Stretch { length, allocation }])
    }
}

#[test]
fn a_start_removes_what_machines_left_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    let prover = Prover::new(
        ProveOptions::default(),
        scratch.clone(),
        Arc::new(SystemIds),
    );
    prover.sweep().unwrap();
    for name in ["prove-1", "server"] {
        fs::create_dir_all(scratch.join(name)).unwrap();
        fs::write(scratch.join(name).join("d0.overlay"), "bytes").unwrap();
    }
    prover.sweep().unwrap();
    assert!(!scratch.join("prove-1").exists() && scratch.join("server/d0.overlay").exists());
}

//! Where the parts of a disk lie, by its table of partitions, old or new. Blocks.

use std::ops::Range;

use strongroom_nbd::{Export, Fault};

const SECTOR_BYTES: u64 = 512;
/// More than any table of partitions has.
const ENTRIES_MAX: u32 = 1024;
/// The kinds of partitions that firmware reads, as the new table has them.
const EFI_SYSTEM: [u8; 16] = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";
/// In an ext2, ext3 or ext4 file system.
const EXT_MAGIC: [u8; 2] = [0x53, 0xef];
const EXT_MAGIC_AT: u64 = 1024 + 56;

struct Partition {
    /// Of the new table.
    kind: [u8; 16],
    /// Bytes of the disk.
    place: Range<u64>,
}

/// Whether a disk has what UEFI boots, and nothing for other firmware.
pub(super) fn is_booted_by_uefi_alone(disk: &dyn Export) -> Result<bool, Fault> {
    let partitions = new_table(disk)?;
    let has = |kind| partitions.iter().any(|partition| partition.kind == kind);
    Ok(has(EFI_SYSTEM) && !has(BIOS_BOOT))
}

/// The places of ext file systems: the whole disk, or partitions of it.
pub(super) fn ext_file_systems(disk: &dyn Export) -> Result<Vec<Range<u64>>, Fault> {
    let mut partitions = new_table(disk)?;
    if partitions.is_empty() {
        partitions = old_table(disk)?;
    }
    let partitions = partitions.into_iter().map(|partition| partition.place);
    let whole = 0..disk.size_bytes();
    let mut found = Vec::new();
    for place in std::iter::once(whole).chain(partitions) {
        if place.end <= disk.size_bytes() && holds_ext(disk, &place)? {
            found.push(place);
        }
    }
    Ok(found)
}

fn holds_ext(disk: &dyn Export, place: &Range<u64>) -> Result<bool, Fault> {
    let mut magic = [0; 2];
    let at = place.start + EXT_MAGIC_AT;
    if at + 2 > place.end {
        return Ok(false);
    }
    disk.read_at(at, &mut magic)?;
    Ok(magic == EXT_MAGIC)
}

/// Of a GUID partition table; none where there is no such table.
fn new_table(disk: &dyn Export) -> Result<Vec<Partition>, Fault> {
    let mut header = [0; 92];
    if disk.size_bytes() < 2 * SECTOR_BYTES {
        return Ok(Vec::new());
    }
    disk.read_at(SECTOR_BYTES, &mut header)?;
    if !header.starts_with(b"EFI PART") {
        return Ok(Vec::new());
    }
    let (count, length) = (word(&header, 80).min(ENTRIES_MAX), word(&header, 84));
    let table = long(&header, 72).saturating_mul(SECTOR_BYTES);
    let mut partitions = Vec::new();
    for number in 0..u64::from(count) {
        let mut entry = [0; 48];
        let at = table.saturating_add(number * u64::from(length));
        if at.saturating_add(entry.len() as u64) > disk.size_bytes() {
            break;
        }
        disk.read_at(at, &mut entry)?;
        let (first, last) = (long(&entry, 32), long(&entry, 40));
        let kind = entry[..16].try_into().expect("sixteen bytes");
        if kind != [0; 16] {
            let place = sectors(first, last.saturating_add(1));
            partitions.push(Partition { kind, place });
        }
    }
    Ok(partitions)
}

/// The four of a PC's first sector, those that hold others left out.
fn old_table(disk: &dyn Export) -> Result<Vec<Partition>, Fault> {
    const TABLE: usize = 446;
    const ENTRY_BYTES: usize = 16;
    const HOLDING_OTHERS: [u8; 3] = [0x05, 0x0f, 0x85];
    let mut sector = [0; 512];
    if disk.size_bytes() < SECTOR_BYTES {
        return Ok(Vec::new());
    }
    disk.read_at(0, &mut sector)?;
    let entries = sector[TABLE..TABLE + 4 * ENTRY_BYTES].chunks(ENTRY_BYTES);
    let used = entries.filter(|entry| entry[4] != 0 && !HOLDING_OTHERS.contains(&entry[4]));
    let partition = |entry: &[u8]| {
        let (first, count) = (u64::from(word(entry, 8)), u64::from(word(entry, 12)));
        Partition {
            kind: [0; 16],
            place: sectors(first, first + count),
        }
    };
    Ok(used.map(partition).collect())
}

const fn sectors(first: u64, end: u64) -> Range<u64> {
    first.saturating_mul(SECTOR_BYTES)..end.saturating_mul(SECTOR_BYTES)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

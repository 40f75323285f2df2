//! A guest in 85 bytes, so that real devices write without an operating system.

use std::fs;
use std::path::Path;

/// Counts, and writes each number with the firmware's help: into sector 1 of the first disk, then into sector 1 of the
/// second, then into one of 256 clusters of the first.
///
/// ```text
///         cli
///         xor %ax,%ax
///         mov %ax,%ds
///         mov %ax,%es
///         mov %ax,%ss
///         mov $0x7c00,%sp
///         sti
/// again:  incl 0x8000             # the number, and what is written
///         movl $1,sector
///         mov $0x80,%dl
///         call write
///         mov $0x81,%dl
///         call write
///         movzbl 0x8000,%eax
///         shl $7,%eax             # 64 KiB apart
///         or $0x40,%al
///         mov %eax,sector
///         mov $0x80,%dl
///         call write
///         jmp again
/// write:  mov $0x4300,%ax         # extended write
///         mov $packet,%si
///         int $0x13
///         ret
/// packet: .byte 16, 0
///         .word 1                 # sectors
///         .word 0x8000, 0         # from
/// sector: .quad 1                 # to
/// ```
const BOOT_SECTOR: [u8; 85] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb, 0x66, 0xff, 0x06,
    0x00, 0x80, 0x66, 0xc7, 0x06, 0x4d, 0x7c, 0x01, 0x00, 0x00, 0x00, 0xb2, 0x80, 0xe8, 0x1c, 0x00,
    0xb2, 0x81, 0xe8, 0x17, 0x00, 0x66, 0x0f, 0xb6, 0x06, 0x00, 0x80, 0x66, 0xc1, 0xe0, 0x07, 0x0c,
    0x40, 0x66, 0xa3, 0x4d, 0x7c, 0xb2, 0x80, 0xe8, 0x02, 0x00, 0xeb, 0xd1, 0xb8, 0x00, 0x43, 0xbe,
    0x45, 0x7c, 0xcd, 0x13, 0xc3, 0x10, 0x00, 0x01, 0x00, 0x00, 0x80, 0x00, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00,
];
const SECTOR: usize = 512;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// Writes a raw disk that boots this guest.
pub(super) fn write_disk(path: &Path, size: u64) {
    let mut sector = BOOT_SECTOR.to_vec();
    sector.resize(SECTOR - SIGNATURE.len(), 0);
    sector.extend(SIGNATURE);
    fs::write(path, sector).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(size).unwrap();
}

/// The number that a disk holds.
pub(super) fn number(disk: &[u8]) -> u32 {
    let bytes = &disk[SECTOR..SECTOR + 4];
    u32::from_le_bytes(bytes.try_into().unwrap())
}

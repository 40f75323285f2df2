//! A disk that a PC's firmware boots: GRUB before the first partition, and there an ext4 file system with the kernel, its
//! memory disk and the first process.

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::BOOT_LOADER;
use crate::shell;

/// The first process of the memory disk.
pub(super) const FROM_ROOT: &[u8] = include_bytes!("disk/from_root.sh");
/// The first process of the root file system.
const INIT: &[u8] = include_bytes!("disk/init.sh");
pub(super) const NAME: &str = "bootable.raw";

pub(super) const SECTOR_BYTES: u64 = 512;
/// Where the partition begins, as in all disks of the last fifteen years.
pub(super) const FIRST_SECTOR: u32 = 2048;
pub(super) const PARTITION_SECTORS: u32 = 62 * 2048;
/// The part of the first sector that is code.
const CODE_BYTES: usize = 440;
const TABLE: usize = 446;
const TYPE_LINUX: u8 = 0x83;
const SIGNATURE_AT: usize = 510;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

const GRUB_MODULES: [&str; 5] = ["biosdisk", "part_msdos", "ext2", "linux", "serial"];
const GRUB_SCRIPT: &str = "set root=(hd0,msdos1)
linux /boot/vmlinuz console=tty0 console=ttyS0 quiet
initrd /boot/initrd
boot
";

/// All that the disk is made from, beside the kernel.
pub(super) fn made_from() -> Vec<u8> {
    [FROM_ROOT, INIT, GRUB_SCRIPT.as_bytes()].concat()
}

/// Makes the disk in the folder that has the kernel.
pub(super) fn make(folder: &Path, memory_disk: &[u8]) -> Result<()> {
    let root = folder.join("root");
    for name in ["boot", "sbin"] {
        fs::create_dir_all(root.join(name)).context("cannot create a folder")?;
    }
    fs::copy(folder.join("vmlinuz"), root.join("boot/vmlinuz"))
        .context("cannot copy the kernel")?;
    fs::write(root.join("boot/initrd"), memory_disk).context("cannot write a memory disk")?;
    let init = root.join("sbin/init");
    fs::write(&init, INIT).context("cannot write the first process")?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;

    let disk = folder.join(NAME);
    let file = fs::File::create(&disk).with_context(|| format!("cannot create {NAME}"))?;
    let sectors = u64::from(FIRST_SECTOR + PARTITION_SECTORS);
    file.set_len(sectors * SECTOR_BYTES)?;
    let offset = u64::from(FIRST_SECTOR) * SECTOR_BYTES;
    let options = format!("offset={offset},lazy_itable_init=0,lazy_journal_init=0");
    let mut mke2fs = shell::command("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-m", "0", "-E", &options, "-d"]);
    mke2fs.arg(&root).arg(&disk);
    shell::output(mke2fs.arg(format!("{}k", PARTITION_SECTORS / 2)))?;
    fs::remove_dir_all(&root).context("cannot remove a folder")?;

    let loader = boot_loader(folder)?;
    ensure!(
        loader.len() as u64 <= offset,
        "GRUB reaches into the partition"
    );
    file.write_all_at(&loader, 0).context("cannot write GRUB")
}

/// What lies before the partition: the first sector, and behind it, where it looks for it, the rest of GRUB.
fn boot_loader(folder: &Path) -> Result<Vec<u8>> {
    let (script, core) = (folder.join("grub.cfg"), folder.join("core.img"));
    fs::write(&script, GRUB_SCRIPT).context("cannot write GRUB's script")?;
    let mut mkimage = shell::command("grub-mkimage");
    mkimage.args(["-O", "i386-pc", "-p", "", "-d", BOOT_LOADER, "-c"]);
    mkimage.arg(&script).arg("-o").arg(&core);
    shell::output(mkimage.args(GRUB_MODULES))?;
    let code = Path::new(BOOT_LOADER).join("boot.img");
    let code = fs::read(&code).with_context(|| format!("cannot read {}", code.display()))?;
    let mut sectors = vec![0; CODE_BYTES];
    sectors.copy_from_slice(&code[..CODE_BYTES]);
    sectors.resize(TABLE, 0);
    sectors.extend(partition());
    sectors.resize(SIGNATURE_AT, 0);
    sectors.extend(SIGNATURE);
    sectors.extend(fs::read(&core).context("cannot read what grub-mkimage made")?);
    for made in [script, core] {
        fs::remove_file(made).context("cannot remove a file")?;
    }
    Ok(sectors)
}

/// An entry of the partition table, whose places are given by sectors alone.
fn partition() -> Vec<u8> {
    const ACTIVE: u8 = 0x80;
    const NO_CYLINDERS: [u8; 3] = [0xfe, 0xff, 0xff];
    let mut entry = vec![ACTIVE];
    entry.extend(NO_CYLINDERS);
    entry.push(TYPE_LINUX);
    entry.extend(NO_CYLINDERS);
    entry.extend(FIRST_SECTOR.to_le_bytes());
    entry.extend(PARTITION_SECTORS.to_le_bytes());
    entry
}

//! A disk that UEFI alone boots: the partition of the other disk, and beside it one with GRUB in the place where firmware
//! looks that knows nothing of the machine.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::EFI_BOOT_LOADER;
use super::disk::{self, FIRST_SECTOR, PARTITION_SECTORS, SECTOR_BYTES};
use crate::shell;

const NAME: &str = "uefi.raw";
const GRUB_MODULES: [&str; 3] = ["part_gpt", "ext2", "linux"];
/// Room for the copy of the table at the end of the disk.
const TABLE_SECTORS: u64 = 2048;
pub(super) const GRUB_SCRIPT: &str = "set root=(hd0,gpt1)
linux /boot/vmlinuz console=tty0 console=ttyS0 quiet
initrd /boot/initrd
boot
";

/// Makes the disk in the folder that has the other one.
pub(super) fn make(folder: &Path) -> Result<()> {
    let system = fs::read(file_system(folder)?).context("cannot read GRUB's file system")?;
    let second = u64::from(FIRST_SECTOR + PARTITION_SECTORS);
    let sectors = system.len() as u64 / SECTOR_BYTES;
    let place = folder.join(NAME);
    let file = fs::File::create(&place).with_context(|| format!("cannot create {NAME}"))?;
    file.set_len((second + sectors + TABLE_SECTORS) * SECTOR_BYTES)?;
    write_table(
        &place,
        &format!(
            "label: gpt\nstart={FIRST_SECTOR}, size={PARTITION_SECTORS}, type=linux\n\
             start={second}, size={sectors}, type=uefi\n"
        ),
    )?;
    let other = fs::read(folder.join(disk::NAME)).context("cannot read the other disk")?;
    let offset = u64::from(FIRST_SECTOR) * SECTOR_BYTES;
    let root = other.get(usize::try_from(offset)?..);
    file.write_all_at(root.context("the other disk is too short")?, offset)?;
    file.write_all_at(&system, second * SECTOR_BYTES)?;
    fs::remove_file(folder.join("efi.raw")).context("cannot remove a file")
}

/// A FAT file system with GRUB, as an image in the folder.
fn file_system(folder: &Path) -> Result<std::path::PathBuf> {
    let (root, script) = (folder.join("efi"), folder.join("grub.cfg"));
    let boot = root.join("EFI/BOOT");
    fs::create_dir_all(&boot).context("cannot create a folder")?;
    fs::write(&script, GRUB_SCRIPT).context("cannot write GRUB's script")?;
    let mut mkimage = shell::command("grub-mkimage");
    mkimage.args(["-O", "x86_64-efi", "-p", "", "-d", EFI_BOOT_LOADER, "-c"]);
    mkimage.arg(&script).arg("-o").arg(boot.join("BOOTX64.EFI"));
    shell::output(mkimage.args(GRUB_MODULES))?;
    let image = folder.join("efi.raw");
    // QEMU shows a folder as a FAT file system, which saves a program that makes one.
    let mut convert = shell::command("qemu-img");
    convert.args(["convert", "-f", "vvfat", "-O", "raw"]);
    shell::output(
        convert
            .arg(format!("fat:floppy:{}", root.display()))
            .arg(&image),
    )?;
    fs::remove_dir_all(&root).context("cannot remove a folder")?;
    fs::remove_file(&script).context("cannot remove a file")?;
    Ok(image)
}

fn write_table(disk: &Path, table: &str) -> Result<()> {
    let mut sfdisk = shell::command("sfdisk");
    sfdisk.arg("-q").arg(disk).stdin(Stdio::piped());
    let mut child = sfdisk.spawn().context("sfdisk cannot be started")?;
    let mut input = child.stdin.take().context("sfdisk reads nothing")?;
    input.write_all(table.as_bytes())?;
    drop(input);
    ensure!(child.wait()?.success(), "sfdisk has failed");
    Ok(())
}

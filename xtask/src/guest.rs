//! A Linux guest for tests, from Debian's packages: the kernel, and a memory disk with busybox, the guest agent and the
//! first process that the tests wrote. Beside it disks that firmware boots the same from. Nothing of it is installed here.

mod archive;
mod disk;
mod uefi;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::archive::Archive;
use crate::shell;

const FOLDER: &str = "target/guest";
const UNPACKED: &str = "unpacked";
const FIRST_PROCESS: &str = "crates/qemu/src/tests/linux_guest/init.sh";
const KERNEL: &str = "linux-image-cloud-amd64";
const MODULES: [&str; 6] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "virtio_console",
    "ext4",
];
/// Where Debian's package has the boot loader of PCs.
pub(crate) const BOOT_LOADER: &str = "/usr/lib/grub/i386-pc";
/// The same for UEFI.
pub(crate) const EFI_BOOT_LOADER: &str = "/usr/lib/grub/x86_64-efi";
/// How the packages are put together: another number makes the guest anew.
const EDITION: u32 = 3;

/// Tells tests and measurements where the guest is.
pub(crate) const VARIABLE: &str = "STRONGROOM_TEST_GUEST";

/// Where the kernel lies as `vmlinuz`, its memory disk as `initrd`, and the disks that firmware boots as `bootable.raw` and, for
/// UEFI, `uefi.raw`.
pub(crate) fn folder() -> PathBuf {
    shell::root().join(FOLDER)
}

/// Makes the guest, unless it was made from the same first process. Where its packages cannot be had or run, there is
/// none, which its tests tell.
pub(crate) fn run() -> Result<()> {
    let first_process = shell::root().join(FIRST_PROCESS);
    let first_process = fs::read(&first_process)
        .with_context(|| format!("cannot read {}", first_process.display()))?;
    let stamp = folder().join("made-from");
    let edition = format!("{EDITION}\n");
    let uefi = uefi::GRUB_SCRIPT.as_bytes();
    let wanted = [edition.as_bytes(), &first_process, &disk::made_from(), uefi].concat();
    if fs::read(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    if !cfg!(target_arch = "x86_64") || shell::find_program("apt-get").is_none() {
        println!("no guest can be made here: that takes x86-64 and Debian's packages");
        return Ok(());
    }
    println!("making a guest in {FOLDER}");
    if folder().exists() {
        fs::remove_dir_all(folder()).with_context(|| format!("cannot remove the old {FOLDER}"))?;
    }
    fs::create_dir_all(folder()).with_context(|| format!("cannot create {FOLDER}"))?;
    make(&first_process)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn make(first_process: &[u8]) -> Result<()> {
    let kernel = kernel_package()?;
    let unpacked = unpack(&kernel)?;
    let version = kernel.trim_start_matches("linux-image-");
    let image = unpacked.join("boot").join(format!("vmlinuz-{version}"));
    fs::copy(&image, folder().join("vmlinuz"))
        .with_context(|| format!("cannot copy {}", image.display()))?;

    let busybox = within(&unpack("busybox-static")?, "bin/busybox")?;
    let modules = within(&unpacked, "lib/modules")?.join(version);
    let memory_disk = |init: &[u8]| -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        archive.add("init", init);
        archive.add_file("bin/busybox", &busybox)?;
        archive.add_link("bin/sh", "busybox");
        add_agent(&mut archive)?;
        add_modules(&mut archive, &modules)?;
        Ok(archive.finish())
    };
    let initrd = folder().join("initrd");
    fs::write(&initrd, memory_disk(first_process)?)
        .with_context(|| format!("cannot write {}", initrd.display()))?;
    disk::make(&folder(), &memory_disk(disk::FROM_ROOT)?)?;
    uefi::make(&folder())?;
    fs::remove_dir_all(folder().join(UNPACKED)).context("cannot remove the packages")
}

/// The package that the name without a version stands for.
fn kernel_package() -> Result<String> {
    if nix::unistd::geteuid().is_root() {
        shell::output(shell::command("apt-get").args(["update", "-q"]))?;
    }
    let depends = shell::output(shell::command("apt-cache").args(["depends", KERNEL]))?;
    let mut lines = depends.lines();
    let package = lines.find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let package = package.with_context(|| format!("{KERNEL} stands for no kernel: {depends}"))?;
    Ok(format!("linux-image-{package}"))
}

/// Fetches a package and unpacks it into a folder of its own.
fn unpack(package: &str) -> Result<PathBuf> {
    let fetched = folder().join("fetched");
    let unpacked = folder().join(UNPACKED).join(package);
    fs::create_dir_all(&fetched).context("cannot create a folder")?;
    fs::create_dir_all(&unpacked).context("cannot create a folder")?;
    let mut download = shell::command("apt-get");
    shell::output(
        download
            .args(["download", "-q", package])
            .current_dir(&fetched),
    )?;
    let mut entries = fs::read_dir(&fetched).context("cannot list a folder")?;
    let archive = entries.next().context("apt-get fetched nothing")??.path();
    let mut extract = shell::command("dpkg-deb");
    shell::output(extract.arg("--extract").arg(&archive).arg(&unpacked))?;
    fs::remove_dir_all(&fetched).context("cannot remove a folder")?;
    Ok(unpacked)
}

/// A path in a package, which newer releases have under `usr`.
fn within(unpacked: &Path, path: &str) -> Result<PathBuf> {
    let places = [unpacked.join("usr").join(path), unpacked.join(path)];
    let place = places.into_iter().find(|place| place.exists());
    place.with_context(|| format!("{} has no {path}", unpacked.display()))
}

/// The agent that is installed here, with its libraries where its loader looks for them.
fn add_agent(archive: &mut Archive) -> Result<()> {
    let agent = shell::find_program("qemu-ga").context("qemu-ga is not installed")?;
    archive.add_file("sbin/qemu-ga", &agent)?;
    let libraries = shell::output(shell::command("ldd").arg(&agent))?;
    for path in libraries
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        archive.add_file(path.trim_start_matches('/'), Path::new(path))?;
    }
    Ok(())
}

fn add_modules(archive: &mut Archive, folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    let mut order = Vec::new();
    for name in MODULES {
        add_module(archive, &files, name, &mut order)?;
    }
    archive.add("modules/order", (order.join("\n") + "\n").as_bytes());
    Ok(())
}

/// Adds a module behind those that it depends on; one that has no file is part of the kernel.
fn add_module(
    archive: &mut Archive,
    files: &[PathBuf],
    name: &str,
    order: &mut Vec<String>,
) -> Result<()> {
    let file = files
        .iter()
        .find(|file| module_name(file).as_deref() == Some(name));
    let Some(file) = file.filter(|_| !order.iter().any(|earlier| earlier == name)) else {
        return Ok(());
    };
    let module = match file.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => fs::read(file).with_context(|| format!("cannot read {}", file.display()))?,
        Some("xz") => decompressed(file)?,
        _ => bail!("{} is compressed in an unknown way", file.display()),
    };
    for dependency in dependencies(&module) {
        add_module(archive, files, &dependency, order)?;
    }
    archive.add(&format!("modules/{name}.ko"), &module);
    order.push(name.to_owned());
    Ok(())
}

/// What the module itself says: no `depmod` has run over unpacked packages.
fn dependencies(module: &[u8]) -> BTreeSet<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return BTreeSet::new();
    };
    let value = &module[start + KEY.len()..];
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    let value = String::from_utf8_lossy(&value[..end]);
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.replace('-', "_")).collect()
}

/// `virtio_blk` of `virtio-blk.ko` and `virtio-blk.ko.xz`.
fn module_name(file: &Path) -> Option<String> {
    let (name, _) = file.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn decompressed(file: &Path) -> Result<Vec<u8>> {
    let mut xz = shell::command("xz");
    let output = xz.args(["--decompress", "--stdout"]).arg(file).output();
    let output = output.context("xz cannot be started")?;
    if !output.status.success() {
        bail!("{} cannot be decompressed", file.display());
    }
    Ok(output.stdout)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{dependencies, module_name};

    #[test]
    fn a_module_says_what_it_depends_on() {
        let module = b"ELF\0license=GPL\0depends=mbcache,jbd2,crc-16\0name=ext4\0";
        let depends: Vec<String> = dependencies(module).into_iter().collect();
        assert_eq!(depends, ["crc_16", "jbd2", "mbcache"]);
        assert!(dependencies(b"\0depends=\0").is_empty());
        assert!(dependencies(b"").is_empty());
    }

    #[test]
    fn a_module_is_known_by_its_file() {
        let name = |file| module_name(Path::new(file));
        assert_eq!(name("fs/ext4/ext4.ko").as_deref(), Some("ext4"));
        assert_eq!(name("virtio-blk.ko.xz").as_deref(), Some("virtio_blk"));
        assert_eq!(name("modules.builtin"), None);
    }
}

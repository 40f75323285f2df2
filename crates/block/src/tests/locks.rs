//! Our locks against those of real QEMU processes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use strongroom_types::VolumeFormat::Qcow2;

use super::qemu::{Lab, MIB};
use crate::file::{ImageFile, Purpose};
use crate::{Error, is_in_use, open_sink, open_source, probe};

/// A `qemu-io` that holds an image until it is dropped.
struct Holder {
    process: Child,
}

impl Holder {
    fn start(path: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new("qemu-io")
            .args(["-f", "qcow2"])
            .args(arguments)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It answers a command only once the image is open.
        process
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"length\n")
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.contains("MiB"), "{line}");
        Self { process }
    }

    fn stop(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

fn opens(path: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new("qemu-io");
    command
        .args(["-f", "qcow2", "-c", "length"])
        .args(arguments);
    command.arg(path).output().unwrap().status.success()
}

#[test]
fn an_image_that_qemu_writes_is_not_read() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", MIB, &[]);
    let holder = Holder::start(&path, &[]);
    assert!(is_in_use(&path).unwrap());
    assert!(matches!(
        open_source(&path, Qcow2),
        Err(Error::InUse { .. })
    ));
    assert!(matches!(open_sink(&path, Qcow2), Err(Error::InUse { .. })));
    assert_eq!(probe(&path).unwrap().size_bytes, MIB);
    holder.stop();
    assert!(!is_in_use(&path).unwrap());
    assert!(open_source(&path, Qcow2).is_ok());
}

#[test]
fn an_image_that_qemu_only_reads_may_be_read_too() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", MIB, &[]);
    let holder = Holder::start(&path, &["-r"]);
    assert!(!is_in_use(&path).unwrap());
    assert!(open_source(&path, Qcow2).is_ok());
    assert!(matches!(open_sink(&path, Qcow2), Err(Error::InUse { .. })));
    holder.stop();
}

#[test]
fn a_base_below_a_running_overlay_may_be_read() {
    let Some(lab) = Lab::open() else { return };
    let base = lab.create("base.qcow2", MIB, &[]);
    let top = lab.create("top.qcow2", MIB, &["-b", "base.qcow2", "-F", "qcow2"]);
    let holder = Holder::start(&top, &[]);
    assert!(open_source(&base, Qcow2).is_ok());
    assert!(matches!(open_sink(&base, Qcow2), Err(Error::InUse { .. })));
    holder.stop();
}

#[test]
fn qemu_does_not_write_what_we_read() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", MIB, &[]);
    let source = open_source(&path, Qcow2).unwrap();
    assert!(!opens(&path, &[]));
    assert!(opens(&path, &["-r"]));
    drop(source);
    assert!(opens(&path, &[]));
}

#[test]
fn qemu_does_not_even_read_what_we_write() {
    let Some(lab) = Lab::open() else { return };
    let path = lab.create("disk.qcow2", MIB, &[]);
    let sink = open_sink(&path, Qcow2).unwrap();
    assert!(!opens(&path, &[]));
    assert!(!opens(&path, &["-r"]));
    drop(sink);
    assert!(opens(&path, &["-r"]));
}

#[test]
fn a_dropped_image_is_free_although_a_starting_process_has_its_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    std::fs::write(&path, [1; 4096]).unwrap();
    let image = ImageFile::open(&path, Purpose::Write).unwrap();
    let copy = image.copy_of_descriptor();
    drop(image);
    ImageFile::open(&path, Purpose::Write).unwrap();
    drop(copy);
}

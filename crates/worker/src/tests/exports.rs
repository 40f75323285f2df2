//! Exports of NBD servers as disks.

use std::path::Path;

use strongroom_block::{BlockSink, BlockSource, Error, ExtentKind};
use strongroom_service::{DiskError, DiskFacts, Disks};
use strongroom_testkit::NbdPeer;
use strongroom_types::VolumeFormat;

use super::transfer::{MIB, Setting, content};
use crate::LocalDisks;
use crate::places::{open_sink, open_source, probe};

fn source(uri: &str) -> Box<dyn BlockSource> {
    open_source(Path::new(uri), VolumeFormat::Raw).unwrap()
}

fn sink(uri: &str) -> Result<Box<dyn BlockSink>, Error> {
    open_sink(Path::new(uri), VolumeFormat::Raw)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_backed_up_and_restored() {
    let setting = Setting::new().await;
    let original = content(24 * MIB + 512, 7);
    setting.disk("disk", &original);
    let point = {
        let arguments = ["-r", "-f", "raw", "-x", "d", "disk"];
        let peer = NbdPeer::qemu(setting.folder.path(), &arguments);
        setting.save("first", Path::new(&peer.uri("d"))).await
    };
    assert_eq!(point.size_bytes, original.len() as u64);

    let mut damaged = original.clone();
    damaged[MIB..2 * MIB].fill(1);
    damaged[9 * MIB] = 1; // in the hole
    let damaged = setting.disk("damaged", &damaged);
    let peer = NbdPeer::qemu(setting.folder.path(), &["-f", "raw", "damaged"]);
    let place = peer.uri("");
    let written = setting.bring_back(&point, Path::new(&place)).await.unwrap();
    assert!(written <= 2 * MIB as u64, "{written}");
    assert!(std::fs::read(damaged).unwrap() == original);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_are_larger_than_what_differs_keep_what_is_around_it() {
    let setting = Setting::new().await;
    let original = content(3 * MIB + 100, 8);
    let disk = setting.disk("disk", &original);
    let point = setting.save("first", &disk).await;
    let larger = [vec![5; original.len()], vec![6; 16 * 4096 - 100]].concat();
    let target = setting.disk("target", &larger);
    let peer = NbdPeer::nbdkit(
        setting.folder.path(),
        &[
            "--filter=blocksize-policy",
            "file",
            "target",
            "blocksize-minimum=4096",
            "blocksize-maximum=64k",
            "blocksize-error-policy=error",
        ],
    );
    let place = peer.uri("");
    setting.bring_back(&point, Path::new(&place)).await.unwrap();
    let restored = std::fs::read(target).unwrap();
    assert!(restored[..original.len()] == original);
    assert!(restored[original.len()..].iter().all(|byte| *byte == 6));
}

#[test]
fn a_source_answers_wherever_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let original = content(12 * MIB, 9);
    std::fs::write(folder.path().join("disk"), &original).unwrap();
    let convert = ["convert", "-f", "raw", "-O", "qcow2", "disk", "disk.qcow2"];
    let mut command = std::process::Command::new("qemu-img");
    let status = command.args(convert).current_dir(folder.path()).status();
    assert!(status.unwrap().success());
    let peer = NbdPeer::qemu(folder.path(), &["-r", "-f", "qcow2", "disk.qcow2"]);
    let mut source = source(&peer.uri(""));

    let hole = 4 * MIB..6 * MIB;
    let extent = source.next_extent(5 * MIB as u64).unwrap();
    assert_eq!(extent.kind, ExtentKind::Hole);
    assert!(extent.length <= MIB as u64);
    // Back and forth, over both ends of the hole, and in order.
    let places = [0, 11 * MIB, 3 * MIB + 7, hole.end - 10, 1, MIB + 1, 8 * MIB];
    for at in places {
        let mut read = vec![1; MIB];
        source.read_at(at as u64, &mut read).unwrap();
        assert!(read == original[at..at + MIB], "{at}");
    }
    assert_eq!(source.next_extent(12 * MIB as u64).unwrap().length, 0);
}

#[tokio::test]
async fn what_is_no_export_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = folder.path().join("nobody");
    let uri = format!("nbd+unix:///?socket={}", nobody.display());
    assert_eq!(LocalDisks.examine(&uri).await, Err(DiskError::Missing));
    for wrong in ["nbd+unix:///", "nbds://host/", "nbd://"] {
        let answer = LocalDisks.examine(wrong).await;
        assert!(matches!(answer, Err(DiskError::Unsupported(_))), "{wrong}");
    }

    std::fs::write(folder.path().join("disk"), [1; 4096]).unwrap();
    let arguments = ["-r", "-f", "raw", "-x", "d", "disk"];
    let peer = NbdPeer::qemu(folder.path(), &arguments);
    let facts = DiskFacts {
        format: VolumeFormat::Raw,
        size_bytes: 4096,
        in_use: false,
    };
    assert_eq!(LocalDisks.examine(&peer.uri("d")).await, Ok(facts));
    let other = LocalDisks.examine(&peer.uri("other")).await;
    assert!(matches!(other, Err(DiskError::Unsupported(_))), "{other:?}");

    let read_only = sink(&peer.uri("d")).map(|_| ()).unwrap_err();
    assert!(
        matches!(read_only, Error::Unsupported { .. }),
        "{read_only}"
    );
    assert!(probe(Path::new(&peer.uri("d"))).is_ok());
}

#[test]
fn a_server_that_goes_while_it_is_read_fails_the_disk_and_tells_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let slow = ["--filter=delay", "pattern", "64M", "delay-read=60"];
    let mut peer = NbdPeer::nbdkit(folder.path(), &slow);
    let uri = peer.uri("");
    let mut source = source(&uri);
    let killing = std::thread::spawn(move || peer.kill());
    let error = source.read_at(0, &mut vec![0; MIB]).unwrap_err();
    killing.join().unwrap();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains(&uri), "{error}");
    let reason = error.reason();
    assert!(reason.contains("connection was lost"), "{reason}");
    assert!(!reason.contains("socket"), "{reason}");
}

//! Machines whose disks are reset while they are backed up. QEMU hung then, when a connection to an export began in that moment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use strongroom_nbd::{Client, ClientOptions, Target};
use strongroom_qemu::{DiskRequest, Qmp, Request, Server, Snapshot};
use strongroom_testkit::QemuMachine;
use strongroom_types::BackupId;

use super::installation::{Installation, MIB};
use crate::live::opening;
use crate::live::serving::Serving;

const PATIENCE: Duration = Duration::from_secs(20);
const OPENINGS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_reset_all_the_time_is_backed_up() {
    let Some(mut at) = Installation::with_machine(QemuMachine::resetting, 1000, None).await else {
        return;
    };
    at.write(0, 1, 0..8 * MIB);
    at.write(1, 2, 3 * MIB..12 * MIB);
    let full = at.backed_up().await;
    at.holds(&full).await;
    at.write(0, 3, 5 * MIB..6 * MIB);
    let second = at.backed_up().await;
    at.holds(&second).await;
    assert_eq!(at.machine().state(), (true, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_reset_while_connections_begin_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(machine) = QemuMachine::resetting(folder.path()) else {
        return;
    };
    machine.write(0, 7, &(0..16 * MIB));
    let mut qmp = Qmp::connect(&machine.monitor(), PATIENCE).await.unwrap();
    // Whoever reads all the time came in before the first reset.
    machine.command("stop", &json!({}));
    let (export, serving) = served(&machine, &mut qmp, folder.path()).await;
    drop(qmp);
    let reader = Rereader::start(&export);
    machine.command("cont", &json!({}));

    for _ in 0..OPENINGS {
        let export = export.clone();
        let open = move || Ok(Client::connect(&export, &ClientOptions::default()).unwrap());
        let opened = opening::opened(&serving, open).await;
        let mut block = vec![0; MIB];
        opened.unwrap().unwrap().read_at(0, &mut block).unwrap();
        assert!(block.iter().all(|byte| *byte == 7));
    }
    reader.stop();
    assert!(machine.state().0);
}

/// The first disk at one instant.
async fn served(machine: &QemuMachine, qmp: &mut Qmp, folder: &Path) -> (Target, Serving) {
    let scratch = folder.join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let point: BackupId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    let request = Request {
        disks: vec![DiskRequest {
            node: "disk0".to_owned(),
            point,
            last: None,
        }],
        folder: scratch,
        server: Server::Own,
    };
    let snapshot = Snapshot::begin(qmp, None, &request).await.unwrap();
    let disk = &snapshot.disks[0];
    let export = Target::unix(&disk.socket, &disk.export);
    let socket = machine.monitor();
    (export, Serving::Monitor { socket, snapshot })
}

/// Reads an export again and again, with many requests in flight.
struct Rereader {
    thread: thread::JoinHandle<()>,
    is_over: Arc<AtomicBool>,
}

impl Rereader {
    fn start(export: &Target) -> Self {
        let mut client = Client::connect(export, &ClientOptions::default()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut disk = vec![0; 16 * MIB];
            while !stop.load(Ordering::Relaxed) {
                client.read_at(0, &mut disk).unwrap();
            }
        });
        Self { thread, is_over }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

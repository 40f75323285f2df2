//! The throw-away QEMU of a proof.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use strongroom_qemu::Qmp;
use strongroom_types::{Accelerator, Firmware};
use tokio::net::{UnixListener, UnixStream};

use super::process::Process;
use super::{DiskBus, ProveError, ProveOptions, socket_of};

/// Which of a machine's overlays are its disks.
pub(super) const LETTER: char = 'd';
const MONITOR: &str = "monitor";
const AGENT: &str = "agent";
const CONSOLE: &str = "console";
const FIRMWARE: &str = "firmware";
const VARIABLES: &str = "variables";
const SCREEN: &str = "screen.png";
/// From the process to its sockets, which come before the guest does anything.
const START_PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);
/// A screen of 1920 by 1200 pixels has so much when every pixel is noise.
const SCREEN_BYTES_MAX: usize = 8 << 20;
/// A guest may hold an attack on QEMU.
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// What a machine is made of.
pub(super) struct Plan<'a> {
    pub(super) options: &'a ProveOptions,
    pub(super) accelerator: Accelerator,
    pub(super) firmware: Firmware,
    pub(super) disks: usize,
}

/// A running QEMU, which is killed when it is dropped, and with this process.
pub(super) struct Emulator {
    pub(super) process: Process,
    folder: PathBuf,
    pub(super) qmp: Qmp,
    /// The serial port.
    pub(super) console: UnixStream,
    /// Where SeaBIOS tells what it does.
    pub(super) firmware: UnixStream,
}

impl Emulator {
    /// Starts the machine in its folder, where its disks' sockets are.
    pub(super) async fn start(
        program: &Path,
        plan: &Plan<'_>,
        folder: &Path,
    ) -> Result<Self, ProveError> {
        if plan.firmware == Firmware::Uefi {
            // A copy would keep that it is not to be written.
            let template = fs::read(&plan.options.uefi_variables)?;
            fs::write(folder.join(VARIABLES), template)?;
        }
        let console = UnixListener::bind(folder.join(CONSOLE))?;
        let firmware = UnixListener::bind(folder.join(FIRMWARE))?;
        let mut process = Process::start(program, arguments(plan), folder).await?;
        // QEMU connects to the first two once the others are there.
        let connecting = async {
            let (console, _) = console.accept().await?;
            let (firmware, _) = firmware.accept().await?;
            let qmp = Qmp::connect(&folder.join(MONITOR), PATIENCE).await?;
            Ok::<_, ProveError>((console, firmware, qmp))
        };
        let connected = tokio::select! {
            connected = tokio::time::timeout(START_PATIENCE, connecting) => connected,
            words = &mut process.ended => return Err(ProveError::Ended(words.unwrap_or_default())),
        };
        let late = |_| ProveError::Ended("it did not start in time".to_owned());
        let (console, firmware, qmp) = connected.map_err(late)??;
        Ok(Self {
            process,
            folder: folder.to_owned(),
            qmp,
            console,
            firmware,
        })
    }

    /// Where a guest agent answers.
    pub(super) fn agent_socket(&self) -> PathBuf {
        self.folder.join(AGENT)
    }

    /// What is on the screen, a PNG. A machine that has lost its monitor has none, which is no reason to lose the verdict.
    pub(super) async fn screen(&mut self) -> Option<Vec<u8>> {
        let arguments = json!({"filename": SCREEN, "format": "png"});
        if let Err(error) = self.qmp.command("screendump", arguments).await {
            tracing::warn!(%error, "a machine's screen cannot be seen");
            return None;
        }
        let screen = tokio::fs::read(self.folder.join(SCREEN)).await.ok();
        screen.filter(|screen| screen.len() <= SCREEN_BYTES_MAX)
    }
}

/// Whether the kernel has KVM, and the processor what makes it fast: without, it may be there and take hours.
pub(super) fn has_kvm() -> bool {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut flags = processor.split_whitespace();
    opened.is_ok() && flags.any(|flag| flag == "vmx" || flag == "svm")
}

/// A machine without a network, on which nothing is kept. Sockets come in the order in which they are needed.
fn arguments(plan: &Plan<'_>) -> Vec<String> {
    let options = plan.options;
    let (accelerator, cpu) = match plan.accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        Accelerator::Tcg => ("tcg", "max"),
    };
    let fixed = format!(
        "-name strongroom-proof -accel {accelerator} -cpu {cpu} -m {} -smp {} \
         -nodefaults -no-user-config -display none -sandbox {SANDBOX} \
         -action reboot=shutdown,shutdown=pause,panic=pause \
         -device VGA -device pvpanic -device virtio-rng-pci \
         -chardev socket,id=monitor,path={MONITOR},server=on,wait=off -mon chardev=monitor,mode=control \
         -chardev socket,id=agent,path={AGENT},server=on,wait=off -device virtio-serial-pci \
         -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 \
         -chardev socket,id=console,path={CONSOLE} -serial chardev:console \
         -chardev socket,id=firmware,path={FIRMWARE} -device isa-debugcon,iobase=0x402,chardev=firmware",
        options.memory_mib, options.cpus
    );
    let mut arguments: Vec<_> = fixed.split_whitespace().map(str::to_owned).collect();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    add_machine(plan, &mut add);
    match options.disk_bus {
        DiskBus::Virtio => {}
        DiskBus::Scsi => add("-device", "virtio-scsi-pci".to_owned()),
        DiskBus::Sata => add("-device", "ich9-ahci,id=sata".to_owned()),
    }
    for disk in 0..plan.disks {
        let socket = socket_of(LETTER, disk);
        add(
            "-blockdev",
            format!(
                "driver=nbd,node-name=disk{disk},server.type=unix,server.path={socket},cache.no-flush=on,discard=unmap"
            ),
        );
        let device = match options.disk_bus {
            DiskBus::Virtio => "virtio-blk-pci".to_owned(),
            DiskBus::Scsi => "scsi-hd".to_owned(),
            DiskBus::Sata => format!("ide-hd,bus=sata.{disk}"),
        };
        add(
            "-device",
            format!("{device},drive=disk{disk},bootindex={disk}"),
        );
    }
    arguments
}

/// A PC, with a BIOS unless it is given other firmware.
fn add_machine(plan: &Plan<'_>, add: &mut impl FnMut(&str, String)) {
    match plan.firmware {
        Firmware::Bios => add("-machine", "pc".to_owned()),
        Firmware::Uefi => {
            let code = json!({"driver": "file", "node-name": "code", "filename": plan.options.uefi_code, "read-only": true});
            let variables =
                json!({"driver": "file", "node-name": "variables", "filename": VARIABLES});
            add("-blockdev", code.to_string());
            add("-blockdev", variables.to_string());
            add("-machine", "pc,pflash0=code,pflash1=variables".to_owned());
        }
    }
}

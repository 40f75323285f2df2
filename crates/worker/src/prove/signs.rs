//! What machines say from which one knows how they are.

use super::watch::Tail;

/// Texts of Linux systems that did not come up, each as it is told.
const TROUBLES: [&str; 8] = [
    "Kernel panic - not syncing",
    "(initramfs)",
    "Entering emergency mode",
    "You are in emergency mode",
    "Give root password for maintenance",
    "Press Enter for maintenance",
    LOADER_ALONE,
    "Dropping to a shell!",
];
/// Where GRUB ends that does not find the rest of itself.
pub(super) const LOADER_ALONE: &str = "grub rescue>";
/// What SeaBIOS tells its debugging port.
const NOTHING_TO_BOOT: &str = "No bootable device";

/// What UEFI's firmware says on the serial port when it has nothing left to try but itself.
const NOTHING_BY_DEFAULT: [&str; 2] = [
    "UEFI Interactive Shell",
    "No bootable option or device was found",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// The guest agent answered.
    Agent,
    /// It is up, by what it said.
    Console(String),
    /// The firmware gave up.
    NothingToBoot,
    /// The firmware gave up, without knowing what the machine's own knew.
    NothingByDefault,
    /// It is not up and will not be, by what it said.
    Trouble(&'static str),
    /// The guest told QEMU so.
    Panic,
    /// The guest ended or reset its machine.
    Off,
}

/// The worst that the serial port has said. A system that said that it is up may panic the next moment.
pub(super) fn of_console(console: &Tail, up: &str) -> Option<Sign> {
    let trouble = TROUBLES.into_iter().find(|text| console.holds(text));
    if let Some(text) = trouble {
        return Some(Sign::Trouble(text));
    }
    if NOTHING_BY_DEFAULT
        .into_iter()
        .any(|text| console.holds(text))
    {
        return Some(Sign::NothingByDefault);
    }
    console.holds(up).then(|| Sign::Console(up.to_owned()))
}

pub(super) fn of_firmware(log: &Tail) -> Option<Sign> {
    log.holds(NOTHING_TO_BOOT).then_some(Sign::NothingToBoot)
}

/// Of an event of the monitor.
pub(super) fn of_event(name: &str) -> Option<Sign> {
    match name {
        "GUEST_PANICKED" => Some(Sign::Panic),
        "SHUTDOWN" => Some(Sign::Off),
        _ => None,
    }
}

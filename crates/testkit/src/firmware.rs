//! Firmware for machines without a guest, in the few instructions that a test needs.

const BYTES: usize = 64 << 10;
const RESET_VECTOR: usize = BYTES - 16;
/// Jumps from the reset vector to the first byte.
const TO_THE_START: [u8; 3] = [0xe9, 0x0d, 0x00];
/// The ports that PCI devices are configured by.
const PCI_ADDRESS: u16 = 0xcf8;
const PCI_DATA: u16 = 0xcfc;
/// Where the legacy registers of a virtio device have its status.
const STATUS: u16 = 0x12;
/// Turns of an empty loop between two resets: some milliseconds.
const PAUSE: [u16; 20] = [0xffff; 20];

/// Firmware that halts at once. The usual one looks for something to boot and resets the disks' devices, at any moment of
/// a test.
pub fn idle_firmware() -> Vec<u8> {
    // cli; hlt; and again
    firmware(&[0xfa, 0xf4, 0xeb, 0xfd])
}

/// Firmware that resets the virtio disks in these PCI slots all the time, as a driver does that begins anew.
pub(crate) fn resetting_firmware(slots: [u8; 2]) -> Vec<u8> {
    const PORTS: [u16; 2] = [0xc000, 0xd000];
    // cli
    let mut code = vec![0xfa];
    for (slot, port) in slots.into_iter().zip(PORTS) {
        let device = 0x8000_0000 | u32::from(slot) << 11;
        // Its registers lie at these ports, and it listens there.
        code.extend(configure(device | 0x10, u32::from(port) | 1));
        code.extend(configure(device | 0x04, 0b101));
    }
    let again = code.len();
    // mov $0, %al
    code.extend([0xb0, 0]);
    for port in PORTS {
        // mov $port, %dx; out %al, %dx
        code.push(0xba);
        code.extend((port + STATUS).to_le_bytes());
        code.push(0xee);
    }
    for turns in PAUSE {
        // mov $turns, %cx; loop .
        code.push(0xb9);
        code.extend(turns.to_le_bytes());
        code.extend([0xe2, 0xfe]);
    }
    // jmp again
    code.push(0xe9);
    let back = i16::try_from(code.len() + 2 - again).expect("a few instructions");
    code.extend((-back).to_le_bytes());
    firmware(&code)
}

/// Writes to a register of a PCI device.
fn configure(register: u32, value: u32) -> Vec<u8> {
    let mut code = Vec::new();
    for (port, long) in [(PCI_ADDRESS, register), (PCI_DATA, value)] {
        // mov $long, %eax; mov $port, %dx; out %eax, %dx
        code.extend([0x66, 0xb8]);
        code.extend(long.to_le_bytes());
        code.push(0xba);
        code.extend(port.to_le_bytes());
        code.extend([0x66, 0xef]);
    }
    code
}

fn firmware(code: &[u8]) -> Vec<u8> {
    let mut firmware = vec![0; BYTES];
    firmware[..code.len()].copy_from_slice(code);
    firmware[RESET_VECTOR..RESET_VECTOR + TO_THE_START.len()].copy_from_slice(&TO_THE_START);
    firmware
}

//! The machines that backups are proven with.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use strongroom_types::Accelerator;
use strongroom_worker::{DiskBus, ProveOptions};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prove {
    /// QEMU for PCs, looked for in `PATH` unless it is a path.
    pub(crate) emulator: PathBuf,
    pub(crate) accelerator: AcceleratorChoice,
    pub(crate) memory_mib: u64,
    pub(crate) cpus: u32,
    /// What the guests have drivers for.
    pub(crate) disk_bus: Bus,
    pub(crate) time_limit_seconds: u64,
    /// What a machine says on its serial port when it is up.
    pub(crate) console_sign: String,
    /// The program of UEFI's firmware, for machines that it boots.
    pub(crate) uefi_code: PathBuf,
    /// Its variables as a new machine has them; each proof has a copy.
    pub(crate) uefi_variables: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AcceleratorChoice {
    /// KVM where this host's processor has it, else TCG.
    Auto,
    Kvm,
    Tcg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bus {
    Virtio,
    Scsi,
    Sata,
}

impl Default for Prove {
    fn default() -> Self {
        let options = ProveOptions::default();
        Self {
            emulator: options.emulator,
            accelerator: AcceleratorChoice::Auto,
            memory_mib: options.memory_mib,
            cpus: options.cpus,
            disk_bus: Bus::Virtio,
            time_limit_seconds: options.time_limit.as_secs(),
            console_sign: options.console_sign,
            uefi_code: options.uefi_code,
            uefi_variables: options.uefi_variables,
        }
    }
}

impl Prove {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        if !(64..=1 << 20).contains(&self.memory_mib) {
            bail!("`worker.prove.memory_mib` must be between 64 and 1048576");
        }
        if !(1..=64).contains(&self.cpus) {
            bail!("`worker.prove.cpus` must be between 1 and 64");
        }
        if !(1..=86_400).contains(&self.time_limit_seconds) {
            bail!("`worker.prove.time_limit_seconds` must be between 1 and 86400");
        }
        if self.console_sign.is_empty() || self.console_sign.len() > 255 {
            bail!("`worker.prove.console_sign` must have 1 to 255 bytes");
        }
        // QEMU runs in a folder of its own.
        if !(self.uefi_code.is_absolute() && self.uefi_variables.is_absolute()) {
            bail!(
                "`worker.prove.uefi_code` and `worker.prove.uefi_variables` must be absolute paths"
            );
        }
        Ok(())
    }

    pub(crate) fn options(&self) -> ProveOptions {
        ProveOptions {
            emulator: self.emulator.clone(),
            accelerator: match self.accelerator {
                AcceleratorChoice::Auto => None,
                AcceleratorChoice::Kvm => Some(Accelerator::Kvm),
                AcceleratorChoice::Tcg => Some(Accelerator::Tcg),
            },
            memory_mib: self.memory_mib,
            cpus: self.cpus,
            disk_bus: match self.disk_bus {
                Bus::Virtio => DiskBus::Virtio,
                Bus::Scsi => DiskBus::Scsi,
                Bus::Sata => DiskBus::Sata,
            },
            time_limit: Duration::from_secs(self.time_limit_seconds),
            console_sign: self.console_sign.clone(),
            uefi_code: self.uefi_code.clone(),
            uefi_variables: self.uefi_variables.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_lies_where_every_process_finds_it() {
        Prove::default().validate().unwrap();
        let beside = Prove {
            uefi_code: PathBuf::from("OVMF_CODE_4M.fd"),
            ..Prove::default()
        };
        beside.validate().unwrap_err();
    }
}

//! Running machines: what each says about itself, asked of whoever can open its monitor's socket.

use std::collections::BTreeSet;
use std::fmt::Debug;

use async_trait::async_trait;

/// Talks to QEMUs of this host. The worker implements it; tests have one that answers from a table.
#[async_trait]
pub trait Machines: Debug + Send + Sync {
    /// Asks the QEMU behind a monitor's socket which of these places are disks of it. Within a bound of a few seconds.
    async fn ask(
        &self,
        monitor: &str,
        places: &BTreeSet<String>,
    ) -> Result<MachineFacts, MachineError>;
}

/// A QEMU that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// The guest was not shut down. A machine that is paused is on.
    pub is_on: bool,
    /// Those of the places that it has as disks; it holds them whether it is on or not.
    pub places: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// Nobody listens, so there is no such machine just now, or not where we look.
    #[error("nobody listens at its monitor's socket")]
    Unreachable,
    /// Somebody listens.
    #[error("its monitor does not answer")]
    Silent,
    #[error("its monitor answers strangely: {0}")]
    Strange(String),
}

/// Every machine is off: for installations that only read, and for tests.
#[derive(Debug, Clone, Copy)]
pub struct NoMachines;

#[async_trait]
impl Machines for NoMachines {
    async fn ask(&self, _: &str, _: &BTreeSet<String>) -> Result<MachineFacts, MachineError> {
        Err(MachineError::Unreachable)
    }
}

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use strongroom_qemu::{Error, Machine, Result};
use strongroom_service::{MachineError, MachineFacts, Machines};
use strongroom_types::Chain;

use super::drives::drive_of;
use super::monitor;

/// The API's client waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// QEMU's word for a guest that ended and whose machine did not.
const SHUT_DOWN: &str = "shutdown";

/// Asks QEMUs through the sockets of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalMachines;

#[async_trait]
impl Machines for LocalMachines {
    async fn ask(
        &self,
        monitor: &str,
        places: &BTreeSet<String>,
    ) -> Result<MachineFacts, MachineError> {
        let machine = inspect(Path::new(monitor)).await.map_err(|error| {
            tracing::debug!(monitor, error = %Chain(&error), "a machine was asked in vain");
            match error {
                Error::Unreachable { .. } => MachineError::Unreachable,
                Error::Silent { .. } | Error::Gone => MachineError::Silent,
                other => MachineError::Strange(other.to_string()),
            }
        })?;
        let is_on = machine.status.as_deref() != Some(SHUT_DOWN);
        let places = places.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let has = |place: &String| drive_of(&machine, place).is_some();
            places.into_iter().filter(has).collect()
        });
        let places = looking.await.map_err(|_| {
            MachineError::Strange("looking at its disks stopped unexpectedly".to_owned())
        })?;
        Ok(MachineFacts { is_on, places })
    }
}

pub(super) async fn inspect(socket: &Path) -> Result<Machine> {
    let asking = async {
        let mut qmp = monitor(socket, PATIENCE).await?;
        Machine::inspect(&mut qmp).await
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| {
        Err(Error::Silent {
            what: "the machine".to_owned(),
            limit: PATIENCE,
        })
    })
}

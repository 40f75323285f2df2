use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use strongroom_qemu::{Error, Machine, Result};
use strongroom_service::{LibvirtDomain, MachineAddress, MachineError, MachineFacts, Machines};
use strongroom_types::Chain;

use super::drives::drive_of;
use super::{domains, monitor};

/// The API's client waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// QEMU's word for a guest that ended and whose machine did not.
const SHUT_DOWN: &str = "shutdown";

/// Asks QEMUs and libvirts through the sockets of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalMachines;

#[async_trait]
impl Machines for LocalMachines {
    async fn ask(
        &self,
        address: &MachineAddress,
        places: &BTreeSet<String>,
    ) -> Result<MachineFacts, MachineError> {
        match address {
            MachineAddress::Monitor(socket) => ask_qemu(socket, places.clone()).await,
            MachineAddress::Libvirt(domain) => ask_libvirt(domain, places.clone()).await,
        }
    }
}

async fn ask_qemu(socket: &str, places: BTreeSet<String>) -> Result<MachineFacts, MachineError> {
    let machine = inspect(Path::new(socket)).await.map_err(|error| {
        tracing::debug!(socket, error = %Chain(&error), "a machine was asked in vain");
        match error {
            Error::Unreachable { .. } => MachineError::Unreachable,
            Error::Silent { .. } | Error::Gone => MachineError::Silent,
            other => MachineError::Strange(other.to_string()),
        }
    })?;
    let is_on = machine.status.as_deref() != Some(SHUT_DOWN);
    let places = those(places, move |place| drive_of(&machine, place).is_some()).await?;
    Ok(MachineFacts { is_on, places })
}

async fn ask_libvirt(
    address: &LibvirtDomain,
    places: BTreeSet<String>,
) -> Result<MachineFacts, MachineError> {
    use strongroom_libvirt::Error;
    let virsh = domains::virsh(address).with_patience(PATIENCE);
    let domain = domains::running(&virsh).await.map_err(|error| {
        let domain = &address.domain;
        tracing::debug!(domain, error = %Chain(&error), "libvirt was asked in vain");
        match error {
            Error::Silent { .. } => MachineError::Silent,
            other => MachineError::Strange(other.to_string()),
        }
    })?;
    let domain = domain.ok_or(MachineError::Unreachable)?;
    let is_here = move |place: &str| domains::disk_of(&domain, place).is_some();
    let places = those(places, is_here).await?;
    Ok(MachineFacts {
        is_on: true,
        places,
    })
}

/// Looks at files, so not here.
async fn those(
    places: BTreeSet<String>,
    is_here: impl Fn(&str) -> bool + Send + 'static,
) -> Result<BTreeSet<String>, MachineError> {
    let looking = move || {
        let here = places.into_iter().filter(|place| is_here(place));
        here.collect()
    };
    let looked = tokio::task::spawn_blocking(looking).await;
    looked
        .map_err(|_| MachineError::Strange("looking at its disks stopped unexpectedly".to_owned()))
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

//! Running machines: what each says about itself, asked of its monitor, or of the libvirt that runs it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use strongroom_db::Server;

use crate::Error;

/// How a machine is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineAddress {
    /// The socket of its QEMU's monitor.
    Monitor(String),
    Libvirt(LibvirtDomain),
}

/// A machine that libvirt runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibvirtDomain {
    /// Of a libvirt of this host, as libvirt writes it: `qemu:///system`.
    pub uri: String,
    /// A name or a UUID.
    pub domain: String,
}

impl MachineAddress {
    /// None for a server that nobody can be asked about.
    pub fn of(server: &Server) -> Option<Self> {
        match LibvirtDomain::of(server) {
            Some(domain) => Some(Self::Libvirt(domain)),
            None => server.qmp_socket.clone().map(Self::Monitor),
        }
    }
}

impl LibvirtDomain {
    pub fn of(server: &Server) -> Option<Self> {
        Some(Self {
            uri: server.libvirt_uri.clone()?,
            domain: server.libvirt_domain.clone()?,
        })
    }

    /// Refuses all but a libvirt of this host, at its own socket or another: other addresses make its client start programs.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_local = ["qemu:///", "qemu+unix:///"].into_iter().any(|scheme| {
            let rest = self.uri.strip_prefix(scheme).unwrap_or_default();
            match rest.split_once('?') {
                None => is_driver(rest),
                Some((driver, query)) => {
                    let socket = query.strip_prefix("socket=/");
                    is_driver(driver) && socket.is_some_and(|path| !path.contains(['&', '#', ';']))
                }
            }
        });
        if is_local {
            return Ok(());
        }
        Err(Error::invalid(
            "A libvirt is qemu:///system, qemu:///session, or one of these with +unix and ?socket=PATH.",
        ))
    }
}

fn is_driver(word: &str) -> bool {
    matches!(word, "system" | "session")
}

/// Talks to QEMUs of this host. The worker implements it; tests have one that answers from a table.
#[async_trait]
pub trait Machines: Debug + Send + Sync {
    /// Asks a machine which of these places are disks of it. Within a bound of a few seconds.
    async fn ask(
        &self,
        address: &MachineAddress,
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
    /// Nobody listens, or libvirt does not run it: there is no such machine just now, or not where we look.
    #[error("it does not run where it is looked for")]
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
    async fn ask(
        &self,
        _: &MachineAddress,
        _: &BTreeSet<String>,
    ) -> Result<MachineFacts, MachineError> {
        Err(MachineError::Unreachable)
    }
}

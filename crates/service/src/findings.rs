//! What disks and machines say when they are looked at. Never look while a transaction is open.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use strongroom_db::{Server, Volume};
use strongroom_types::{ServerId, Trouble, VolumeId};

use crate::{App, DiskError, DiskFacts, MachineAddress, MachineError, MachineFacts};

/// How many disks are opened at a time, and how many machines are asked: a slow one should not hold up the rest.
const EXAMINED_AT_ONCE: usize = 8;

/// A server whose machine can be asked, and the places of its disks.
#[derive(Debug, Clone)]
pub(crate) struct AskedMachine {
    server_id: ServerId,
    address: MachineAddress,
    places: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) struct Findings {
    disks: BTreeMap<VolumeId, Result<DiskFacts, DiskError>>,
    machines: BTreeMap<ServerId, Result<MachineFacts, MachineError>>,
}

impl AskedMachine {
    /// None for a server that nobody can be asked about.
    pub(crate) fn new<'a>(
        server: &Server,
        disks: impl IntoIterator<Item = &'a Volume>,
    ) -> Option<Self> {
        let address = MachineAddress::of(server)?;
        let places = disks.into_iter().map(|volume| volume.path.clone());
        Some(Self {
            server_id: server.id.clone(),
            address,
            places: places.collect(),
        })
    }
}

impl Findings {
    pub(crate) async fn gather(
        app: &App,
        volumes: impl IntoIterator<Item = &Volume>,
        machines: Vec<AskedMachine>,
    ) -> Self {
        let volumes: Vec<_> = volumes
            .into_iter()
            .map(|volume| (volume.id.clone(), volume.path.clone()))
            .collect();
        let disks = stream::iter(volumes)
            .map(|(id, path)| async move { (id, app.disks.examine(&path).await) })
            .buffer_unordered(EXAMINED_AT_ONCE)
            .collect();
        let machines = stream::iter(machines)
            .map(|asked| async move {
                let answer = app.machines.ask(&asked.address, &asked.places).await;
                (asked.server_id, answer)
            })
            .buffer_unordered(EXAMINED_AT_ONCE)
            .collect();
        let (disks, machines) = futures::join!(disks, machines);
        Self { disks, machines }
    }

    /// What a disk is, or why that cannot be told; none if it was not looked at.
    pub(crate) fn get(&self, id: &VolumeId) -> Option<&Result<DiskFacts, DiskError>> {
        self.disks.get(id)
    }

    /// The machine of a server, if it was found.
    pub(crate) fn machine(&self, id: &ServerId) -> Option<&Result<MachineFacts, MachineError>> {
        let machine = self.machines.get(id)?;
        Some(machine).filter(|answer| !matches!(answer, Err(MachineError::Unreachable)))
    }

    /// Whether a machine holds the disk, as far as its image's locks tell.
    pub(crate) fn is_locked(&self, id: &VolumeId) -> bool {
        matches!(self.get(id), Some(Ok(facts)) if facts.in_use)
    }

    /// Whether the server is on: by its machine's word, or, where that cannot be had, because its disks are `held`.
    pub(crate) fn is_on(&self, server: &ServerId, held: bool) -> bool {
        match self.machine(server) {
            Some(Ok(facts)) => facts.is_on,
            // Somebody listens there.
            Some(Err(_)) => true,
            None => held,
        }
    }

    /// Why a server's machine cannot be backed up as it runs, for its owner. None where it is not there at all.
    pub(crate) fn machine_trouble<'a>(
        &self,
        server: &ServerId,
        disks: impl IntoIterator<Item = &'a Volume>,
    ) -> Option<(Trouble, String)> {
        let facts = match self.machine(server)? {
            Ok(facts) => facts,
            Err(error) => {
                let reason = format!("the server cannot be backed up as it runs: {error}");
                return Some((Trouble::ServerRunning, reason));
            }
        };
        let mut disks = disks.into_iter();
        let missing = disks.find(|volume| !facts.places.contains(&volume.path))?;
        let reason = format!("the running server does not have the disk {}", missing.id);
        Some((Trouble::DiskMissing, reason))
    }
}

//! The way to a snapshot, step by step, and the one way back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bitmaps;
use crate::block::{self, Node};
use crate::names::{self, Role};
use crate::recipe::Disk;
use crate::snapshot::{Quiesced, Recipe, Request, ServedDisk, Server, Snapshot};
use crate::{Agent, Error, Machine, Qmp, Result};
use crate::{leftovers, machine};

/// How long the guest may stand still. Guests with Windows go on by themselves after ten seconds.
const STANDSTILL_MAX: Duration = Duration::from_secs(8);
const CONNECTIONS_MAX: u32 = 16;
/// A unix socket's name, bytes, its final zero left aside.
const SOCKET_NAME_MAX: usize = 107;

/// What is done, in this order. Those that a recipe has no need of do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Remove what an earlier backup left, and look at the disks.
    Clear,
    /// Make the files for what the guest overwrites.
    Scratch,
    /// Put nodes on them.
    Nodes,
    /// Let the guest hold its file systems still.
    Freeze,
    /// Stop the machine.
    Stop,
    /// Put the filters between devices and disks.
    Insert,
    /// Begin new bitmaps, and whatever else makes the instant, in one transaction.
    Instant,
    /// Let the machine go on.
    Resume,
    /// Let the guest's file systems go on.
    Thaw,
    /// Start QEMU's NBD server.
    Serve,
    /// Put nodes on the filters that show the instant.
    Access,
    /// Export them.
    Export,
}

impl Step {
    pub const ALL: [Self; 12] = [
        Self::Clear,
        Self::Scratch,
        Self::Nodes,
        Self::Freeze,
        Self::Stop,
        Self::Insert,
        Self::Instant,
        Self::Resume,
        Self::Thaw,
        Self::Serve,
        Self::Access,
        Self::Export,
    ];
}

/// A snapshot on its way.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    request: &'a Request,
    agent: Option<&'a mut Agent>,
    done: usize,
    recipe: Recipe,
    disks: Vec<Disk<'a>>,
    quiesced: Quiesced,
    is_running: bool,
    /// The guest was asked to hold its file systems still, and not yet told to go on.
    is_holding: bool,
    standstill_ends: Option<Instant>,
}

impl<'a> Beginning<'a> {
    pub(crate) fn new(request: &'a Request, agent: Option<&'a mut Agent>) -> Self {
        Self {
            request,
            agent,
            done: 0,
            recipe: Recipe::Fleece,
            disks: Vec::new(),
            quiesced: Quiesced::NotAsked,
            is_running: false,
            is_holding: false,
            standstill_ends: None,
        }
    }

    pub(crate) fn next_step(&self) -> Option<Step> {
        Step::ALL.get(self.done).copied()
    }

    pub(crate) async fn perform(&mut self, qmp: &mut Qmp, step: Step) -> Result<()> {
        self.done += 1;
        let Some(end) = self.standstill_ends else {
            self.take(qmp, step).await?;
            if step == Step::Freeze {
                self.standstill_ends = Some(Instant::now() + STANDSTILL_MAX);
            }
            return Ok(());
        };
        let taken = tokio::time::timeout_at(end, self.take(qmp, step)).await;
        taken.map_err(|_| Error::Silent {
            what: format!("the step {step:?}, for which the guest stands still,"),
            limit: STANDSTILL_MAX,
        })??;
        if step == Step::Thaw {
            self.standstill_ends = None;
        }
        Ok(())
    }

    async fn take(&mut self, qmp: &mut Qmp, step: Step) -> Result<()> {
        match step {
            Step::Clear => self.look(qmp).await,
            Step::Scratch => {
                for disk in &self.disks {
                    let folder = &self.request.folder;
                    disk.make_scratch(qmp, self.recipe, folder).await?;
                }
                Ok(())
            }
            Step::Nodes => {
                for disk in &self.disks {
                    disk.add_node(qmp, self.recipe).await?;
                }
                Ok(())
            }
            Step::Freeze => self.freeze().await,
            Step::Stop => self.stop(qmp).await,
            Step::Insert => self.insert(qmp).await,
            Step::Instant => self.make_instant(qmp).await,
            Step::Resume => self.resume(qmp).await,
            Step::Thaw => self.thaw().await,
            Step::Serve => self.serve(qmp).await,
            Step::Access if self.recipe == Recipe::Fleece => Ok(()),
            Step::Access => {
                for disk in &self.disks {
                    disk.add_access(qmp).await?;
                }
                Ok(())
            }
            Step::Export => {
                for disk in &self.disks {
                    disk.export(qmp, self.recipe).await?;
                }
                Ok(())
            }
        }
    }

    pub(crate) fn finish(self) -> Snapshot {
        let socket = self.socket();
        let serve = |disk: &Disk<'_>| ServedDisk {
            node: disk.wanted.node.clone(),
            point: disk.wanted.point.clone(),
            socket: socket.clone(),
            export: disk.id(),
            size: disk.node.image.virtual_size,
            changes: disk.changes.clone(),
            last: disk.wanted.last.as_ref().map(|last| last.point.clone()),
        };
        let disks = self.disks.iter().map(serve).collect();
        Snapshot::new(self.recipe, self.quiesced, disks, &self.request.folder)
    }

    /// The way back from wherever it stands: what is there says what is to be undone, not what was done.
    pub(crate) async fn undo(&mut self, qmp: &mut Qmp) -> Result<()> {
        let connected = match leftovers::resume(qmp).await {
            Err(Error::Gone) => match qmp.reconnect().await {
                Ok(()) => leftovers::resume(qmp).await,
                lost => lost,
            },
            other => other,
        };
        let thawed = match &mut self.agent {
            Some(agent) if self.is_holding => agent.thaw().await.map(drop),
            _ => Ok(()),
        };
        if matches!(connected, Err(Error::Unreachable { .. })) {
            leftovers::clear_folder(&self.request.folder).await?;
        }
        connected?;
        leftovers::clear(qmp, &self.request.folder).await?;
        self.settle(qmp).await?;
        thawed
    }

    async fn settle(&self, qmp: &mut Qmp) -> Result<()> {
        for disk in &self.request.disks {
            let last = disk.last.as_ref().map(|last| &last.point);
            bitmaps::settle(qmp, &disk.node, last).await?;
        }
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        match &self.request.server {
            Server::Own => self.request.folder.join(format!("{}nbd", names::PREFIX)),
            Server::At(socket) => socket.clone(),
        }
    }

    async fn look(&mut self, qmp: &mut Qmp) -> Result<()> {
        check_socket_name(&self.socket())?;
        leftovers::clear(qmp, &self.request.folder).await?;
        let found = block::nodes(qmp).await?;
        self.settle(qmp).await?;
        let machine = Machine::inspect(qmp).await?;
        let nodes = block::nodes(qmp).await?;
        for (index, wanted) in self.request.disks.iter().enumerate() {
            let before = find(&found, &wanted.node)?;
            let node = find(&nodes, &wanted.node)?;
            bitmaps::check_is_new(node, &wanted.point)?;
            self.disks.push(Disk {
                wanted,
                index,
                node: node.clone(),
                device: replaceable(qmp, &machine, &wanted.node).await?,
                changes: bitmaps::changes(before, node, wanted.last.as_ref()),
            });
        }
        let all_replaceable = self.disks.iter().all(|disk| disk.device.is_some());
        if machine.has_filters() && all_replaceable {
            self.recipe = Recipe::Filter;
        }
        self.is_running = machine.status.as_deref() == Some("running");
        Ok(())
    }

    async fn freeze(&mut self) -> Result<()> {
        let Some(agent) = &mut self.agent else {
            return Ok(());
        };
        self.is_holding = true;
        self.quiesced = match agent.freeze().await {
            Ok(file_systems) => Quiesced::Frozen { file_systems },
            Err(error) => {
                // Late or torn, it may have been done all the same.
                if !error.is_refusal() {
                    agent.thaw().await?;
                }
                self.is_holding = false;
                Quiesced::Failed(error.to_string())
            }
        };
        Ok(())
    }

    /// The transaction cannot put in filters: only a machine that stands still has one instant over all disks.
    async fn stop(&mut self, qmp: &mut Qmp) -> Result<()> {
        if !self.must_stop() {
            return Ok(());
        }
        leftovers::add_marker(qmp, Role::Stopped).await?;
        qmp.command("stop", json!({})).await
    }

    async fn resume(&mut self, qmp: &mut Qmp) -> Result<()> {
        if !self.must_stop() {
            return Ok(());
        }
        qmp.command("cont", json!({})).await?;
        leftovers::remove_node(qmp, &names::marker(Role::Stopped)).await
    }

    fn must_stop(&self) -> bool {
        self.recipe == Recipe::Filter && self.is_running
    }

    async fn insert(&mut self, qmp: &mut Qmp) -> Result<()> {
        if self.recipe == Recipe::Filter {
            for disk in &self.disks {
                disk.insert_filter(qmp).await?;
            }
        }
        Ok(())
    }

    async fn make_instant(&mut self, qmp: &mut Qmp) -> Result<()> {
        let disks = self.disks.iter();
        let actions: Vec<Value> = disks.flat_map(|disk| disk.actions(self.recipe)).collect();
        qmp.command("transaction", json!({"actions": actions}))
            .await
    }

    async fn thaw(&mut self) -> Result<()> {
        let (Some(agent), Quiesced::Frozen { file_systems }) = (&mut self.agent, &self.quiesced)
        else {
            return Ok(());
        };
        let thawed = agent.thaw().await?;
        self.is_holding = false;
        if thawed < *file_systems {
            let reason = "the guest did not wait for the instant".to_owned();
            self.quiesced = Quiesced::Failed(reason);
        }
        Ok(())
    }

    async fn serve(&mut self, qmp: &mut Qmp) -> Result<()> {
        if self.request.server != Server::Own {
            return Ok(());
        }
        leftovers::add_marker(qmp, Role::Server).await?;
        let address = json!({"type": "unix", "data": {"path": self.socket()}});
        let arguments = json!({"addr": address, "max-connections": CONNECTIONS_MAX});
        let started = qmp.command("nbd-server-start", arguments).await;
        if started.as_ref().is_err_and(Error::is_refusal) {
            // Then the one that runs is not ours to stop.
            leftovers::remove_node(qmp, &names::marker(Role::Server)).await?;
        }
        started
    }
}

fn find<'n>(nodes: &'n [Node], name: &str) -> Result<&'n Node> {
    let node = nodes.iter().find(|node| node.name() == name);
    node.ok_or_else(|| Error::unsupported(format!("the machine has no disk {name}")))
}

fn check_socket_name(socket: &Path) -> Result<()> {
    let length = socket.as_os_str().len();
    if length <= SOCKET_NAME_MAX {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "the name of the scratch folder is too long: its socket's has {length} bytes of {SOCKET_NAME_MAX}",
    )))
}

/// The device that shows the disk to the guest, if a filter can be put between; fails if reading the disk is dangerous.
async fn replaceable(qmp: &mut Qmp, machine: &Machine, node: &str) -> Result<Option<String>> {
    let Some(drive) = machine.drive(node) else {
        return Ok(None);
    };
    machine.check_can_be_read(drive)?;
    let current: Option<String> = machine::property(qmp, &drive.device, "drive").await?;
    Ok(current.map(|_| drive.device.clone()))
}

use std::sync::Arc;

use strongroom_db::Db;
use strongroom_types::{Clock, IdSource, Timestamp};
use tokio::sync::Notify;

use crate::contents::Readers;
use crate::peers::Peers;
use crate::{Disks, GuestAgents, Machines, SecretSeal, Settings};

/// Everything a rule needs from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub disks: Arc<dyn Disks>,
    pub guests: Arc<dyn GuestAgents>,
    pub machines: Arc<dyn Machines>,
    pub peers: Arc<dyn Peers>,
    pub settings: Arc<Settings>,
    /// Rung after a job was added, so that an idle worker need not wait for its next look.
    pub wake: Arc<Notify>,
    /// Rung after a backup was attached or is to be detached.
    pub attachments_changed: Arc<Notify>,
    /// Whose backups are being copied out by this process.
    pub readers: Arc<Readers>,
    pub seal: Arc<SecretSeal>,
}

impl App {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

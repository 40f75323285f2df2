use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use strongroom_qemu::{Agent, AgentInfo, Error};
use strongroom_service::{GuestAgents, GuestError, GuestFacts};
use strongroom_types::IdSource;

/// An agent that is there answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Talks to QEMU guest agents through the sockets of this host.
#[derive(Debug, Clone)]
pub struct LocalGuests {
    ids: Arc<dyn IdSource>,
}

impl LocalGuests {
    pub fn new(ids: Arc<dyn IdSource>) -> Self {
        Self { ids }
    }
}

#[async_trait]
impl GuestAgents for LocalGuests {
    async fn ask(&self, socket: &str) -> Result<GuestFacts, GuestError> {
        let asked = async {
            let mut agent = connect(Path::new(socket), &*self.ids, PATIENCE).await?;
            agent.info().await
        };
        match asked.await {
            Ok(AgentInfo { version }) => Ok(GuestFacts { version }),
            Err(Error::Unreachable { .. }) => Err(GuestError::Unreachable),
            Err(Error::Silent { .. } | Error::Gone) => Err(GuestError::Silent),
            Err(_) => Err(GuestError::Strange),
        }
    }
}

/// Connects to an agent, which answers each command within `patience` or not at all.
pub(crate) async fn connect(
    socket: &Path,
    ids: &dyn IdSource,
    patience: Duration,
) -> Result<Agent, Error> {
    let mut token = [0; 4];
    ids.fill(&mut token);
    Agent::connect(socket, u32::from_le_bytes(token), patience).await
}

//! The agents inside servers: whether one can be reached, asked of whoever can open its socket.

use std::fmt::Debug;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use strongroom_db::Server;
use strongroom_types::{ProjectId, ResourceId, ResourceType};

use crate::stock::Stock;
use crate::{Action, App, Caller, Error};

/// How many agents are asked at a time.
const ASKED_AT_ONCE: usize = 8;

/// Talks to agents on this host. The worker implements it; tests have one that answers from a table.
#[async_trait]
pub trait GuestAgents: Debug + Send + Sync {
    /// Within a bound of a few seconds.
    async fn ask(&self, socket: &str) -> Result<GuestFacts, GuestError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFacts {
    /// Of the agent, as it says.
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    #[error("its socket cannot be connected to")]
    Unreachable,
    #[error("it does not answer")]
    Silent,
    #[error("it answers something else than an agent does")]
    Strange,
}

/// A resource whose agent is asked for.
#[derive(Debug, Clone)]
pub struct AskedResource {
    pub id: ResourceId,
    pub resource_type: ResourceType,
}

/// What is known about a resource's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCheck {
    pub resource_id: ResourceId,
    /// Set when the agent has answered.
    pub facts: Option<GuestFacts>,
    /// Why there is none; empty when it has answered.
    pub message: String,
}

/// Asks every agent now, and answers in the order of the request.
pub async fn check(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    resources: Vec<AskedResource>,
) -> Result<Vec<AgentCheck>, Error> {
    caller.authorise(Action::BackupsCheckAgent, project)?;
    let mut tx = app.db.read().await?;
    let named = resources.iter().map(|r| (&r.id, r.resource_type));
    let stock = Stock::load(&mut tx, project, named).await?;
    // Agents may be slow, and no transaction is held meanwhile.
    drop(tx);
    let asking = resources.into_iter().map(|resource| {
        let server = match resource.resource_type {
            ResourceType::Server => stock.server(&resource.id).cloned(),
            _ => None,
        };
        async move { ask(app, resource, server).await }
    });
    let checks = stream::iter(asking).buffered(ASKED_AT_ONCE);
    Ok(checks.collect().await)
}

async fn ask(app: &App, resource: AskedResource, server: Option<Server>) -> AgentCheck {
    let found = match server {
        None if resource.resource_type == ResourceType::Server => {
            Err("The server does not exist.".to_owned())
        }
        None => Err("Only servers have an agent.".to_owned()),
        Some(server) if server.libvirt_domain.is_some() => {
            Err("The guest agent is libvirt's, which asks it at each backup.".to_owned())
        }
        Some(server) => match server.guest_agent_socket {
            None => Err("No guest agent is configured for the server.".to_owned()),
            Some(socket) => match app.guests.ask(&socket).await {
                Ok(facts) => Ok(facts),
                Err(error) => Err(format!("The guest agent cannot be used: {error}.")),
            },
        },
    };
    let (facts, message) = match found {
        Ok(facts) => (Some(facts), String::new()),
        Err(message) => (None, message),
    };
    AgentCheck {
        resource_id: resource.id,
        facts,
        message,
    }
}

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::backups::Destination;
use super::connection::encode;
use super::names::vault_id;
use super::{Column, Context, wait_for_checkpoint};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Back up a vault's resources now.
    Create(Create),
    /// Show one checkpoint.
    Show { checkpoint: String },
    /// Copy what of a vault's backups is not in another region yet.
    Replicate {
        /// The vault here.
        source: String,
        #[command(flatten)]
        destination: Destination,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    vault: String,
    /// Back up these resources instead of all.
    #[arg(long = "resource", value_name = "ID")]
    resources: Vec<String>,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// Delete the backups after so many days.
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<u32>,
    /// Return when the backups are there; fail when one failed.
    #[arg(long)]
    wait: bool,
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("status", "/status"),
    ("vault", "/vault/name"),
    ("resources", "/vault/resources"),
    ("skipped", "/vault/skipped_resources"),
    ("created (UTC)", "/created_at"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Create(create) => {
            let vault = vault_id(&context.connection, &create.vault).await?;
            let mut answer = context
                .connection
                .post("/checkpoints", &create.body(&vault))
                .await?;
            if create.wait {
                let id = answer.pointer("/checkpoint/id").and_then(Value::as_str);
                let id = id.context("the answer has no checkpoint id")?.to_owned();
                answer = wait_for_checkpoint(&context.connection, &id).await?;
            }
            context.print(&answer, "/checkpoint", COLUMNS)
        }
        Verb::Replicate {
            source,
            destination,
        } => {
            let mut body = destination.body();
            body["vault_id"] = vault_id(&context.connection, &source).await?.into();
            let body = json!({ "replicate": body });
            let answer = context
                .connection
                .post("/checkpoints/replicate", &body)
                .await?;
            let backups = answer.pointer("/replication/backups");
            let count = backups.and_then(Value::as_array).map_or(0, Vec::len);
            context.say(&format!("{count} backups are on their way"), &answer)
        }
        Verb::Show { checkpoint } => {
            let answer = context
                .connection
                .get(&format!("/checkpoints/{}", encode(&checkpoint)))
                .await?;
            context.print(&answer, "/checkpoint", COLUMNS)
        }
    }
}

impl Create {
    fn body(&self, vault: &str) -> Value {
        let mut parameters = json!({});
        if !self.resources.is_empty() {
            parameters["resources"] = json!(self.resources);
        }
        if let Some(name) = &self.name {
            parameters["name"] = name.as_str().into();
        }
        if let Some(description) = &self.description {
            parameters["description"] = description.as_str().into();
        }
        if let Some(days) = self.retention_days {
            parameters["retention_duration_days"] = days.into();
        }
        json!({ "checkpoint": { "vault_id": vault, "parameters": parameters } })
    }
}

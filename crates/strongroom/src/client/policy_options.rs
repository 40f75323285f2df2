//! What a backup policy chooses beside its rules.

use clap::Args;
use serde_json::{Map, Value, json};

use super::names::policy_id;
use super::{Column, Context};

/// Without a choice they are shown.
#[derive(Debug, Args)]
pub(crate) struct Options {
    policy: String,
    /// When a guest does not hold its file systems still: `crash_consistent` (back it up and say so) or `fail`.
    #[arg(long, value_name = "CHOICE")]
    on_failed_freeze: Option<String>,
    /// Prove a backup of each server every so many days.
    #[arg(long, value_name = "DAYS", conflicts_with = "no_proofs")]
    prove_every_days: Option<u32>,
    /// Prove none by itself.
    #[arg(long)]
    no_proofs: bool,
}

const COLUMNS: &[Column] = &[
    ("on failed freeze", "/on_failed_freeze"),
    ("proof every days", "/prove/every_days"),
];

pub(super) async fn run(context: &Context, options: Options) -> anyhow::Result<()> {
    let connection = &context.connection;
    let id = policy_id(connection, &options.policy).await?;
    let project = connection.project_id();
    let path = format!("//strongroom/v1/{project}/policies/{id}/options");
    let choices = options.choices();
    let answer = if choices.is_empty() {
        connection.get(&path).await?
    } else {
        let body = json!({ "options": choices });
        connection.put(&path, &body).await?
    };
    context.print(&answer, "/options", COLUMNS)
}

impl Options {
    fn choices(&self) -> Map<String, Value> {
        let mut choices = Map::new();
        if let Some(choice) = &self.on_failed_freeze {
            choices.insert("on_failed_freeze".into(), choice.as_str().into());
        }
        if let Some(days) = self.prove_every_days {
            choices.insert("prove".into(), json!({ "every_days": days }));
        }
        if self.no_proofs {
            choices.insert("prove".into(), Value::Null);
        }
        choices
    }
}

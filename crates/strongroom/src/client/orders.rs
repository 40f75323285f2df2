use clap::Subcommand;
use serde_json::json;

use super::connection::encode;
use super::{Column, Context};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List orders of all projects.
    List,
    /// Grant a waiting order: its vault appears.
    Approve { order: String },
    /// Refuse a waiting order.
    Reject { order: String },
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("project", "/project_id"),
    ("vault", "/vault_id"),
    ("status", "/status"),
    ("created (UTC)", "/created_at"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    let decide = async |order: &str, decision: &str| {
        let path = format!("//strongroom/v1/orders/{}/{decision}", encode(order));
        context.connection.post(&path, &json!({})).await
    };
    match verb {
        Verb::List => context.print(
            &context.connection.get("//strongroom/v1/orders").await?,
            "/orders",
            COLUMNS,
        ),
        Verb::Approve { order } => {
            context.print(&decide(&order, "approve").await?, "/order", COLUMNS)
        }
        Verb::Reject { order } => {
            context.print(&decide(&order, "reject").await?, "/order", COLUMNS)
        }
    }
}

//! `strongroom peer …`: where copies of backups can go.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Column, Context};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the regions that backups can be copied to.
    List,
}

const COLUMNS: &[Column] = &[("region", "/region")];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::List => {
            let answer = context.connection.get("/replication-capabilities").await?;
            let regions = answer["regions"].as_array().into_iter().flatten();
            let names = regions.flat_map(|region| {
                let destinations = region["replication_destinations"].as_array();
                destinations.into_iter().flatten()
            });
            let rows: Vec<Value> = names.map(|name| json!({ "region": name })).collect();
            context.print(&json!({ "peers": rows }), "/peers", COLUMNS)
        }
    }
}

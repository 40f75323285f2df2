use clap::Subcommand;
use serde_json::{Value, json};

use super::names::vault_id;
use super::{Column, Context};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show a vault's tags, or all that the project's vaults have.
    List { vault: Option<String> },
    /// Give a vault tags, or its tags other values.
    Set {
        vault: String,
        #[arg(required = true, value_name = "KEY=VALUE")]
        tags: Vec<String>,
    },
    /// Take tags from a vault.
    Remove {
        vault: String,
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Find the vaults that have all of these tags.
    Find {
        #[arg(required = true, value_name = "KEY[=VALUE]")]
        tags: Vec<String>,
    },
}

const COLUMNS: &[Column] = &[("key", "/key"), ("value", "/value")];
const PROJECT_COLUMNS: &[Column] = &[("key", "/key"), ("values", "/values")];
const FOUND_COLUMNS: &[Column] = &[("id", "/resource_id"), ("name", "/resource_name")];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    let connection = &context.connection;
    match verb {
        Verb::List { vault: None } => context.print(
            &connection.get("/vault/tags").await?,
            "/tags",
            PROJECT_COLUMNS,
        ),
        Verb::List { vault: Some(vault) } => {
            let path = path(context, &vault).await?;
            context.print(&connection.get(&path).await?, "/tags", COLUMNS)
        }
        Verb::Set { vault, tags } => {
            let tags = written(&tags)?;
            change(context, &vault, "create", tags, "has the tags").await
        }
        Verb::Remove { vault, keys } => {
            let tags = keys.iter().map(|key| json!({ "key": key })).collect();
            change(context, &vault, "delete", tags, "no longer has the tags").await
        }
        Verb::Find { tags } => {
            let body = json!({ "action": "filter", "tags": wanted(&tags) });
            let answer = connection
                .post("/vault/resource_instances/action", &body)
                .await?;
            context.print(&answer, "/resources", FOUND_COLUMNS)
        }
    }
}

async fn change(
    context: &Context,
    vault: &str,
    action: &str,
    tags: Vec<Value>,
    effect: &str,
) -> anyhow::Result<()> {
    let path = format!("{}/action", path(context, vault).await?);
    let body = json!({ "action": action, "tags": tags });
    let answer = context.connection.post(&path, &body).await?;
    context.say(&format!("vault {vault} {effect}"), &answer)
}

async fn path(context: &Context, vault: &str) -> anyhow::Result<String> {
    let id = vault_id(&context.connection, vault).await?;
    Ok(format!("/vault/{id}/tags"))
}

/// Tags as people write them.
pub(super) fn written(tags: &[String]) -> anyhow::Result<Vec<Value>> {
    let tag = |tag: &String| match tag.split_once('=') {
        Some((key, value)) => Ok(json!({ "key": key, "value": value })),
        None => anyhow::bail!("a tag is written KEY=VALUE, not `{tag}`"),
    };
    tags.iter().map(tag).collect()
}

fn wanted(tags: &[String]) -> Vec<Value> {
    let tag = |tag: &String| match tag.split_once('=') {
        Some((key, value)) => json!({ "key": key, "values": [value] }),
        None => json!({ "key": tag, "values": [] }),
    };
    tags.iter().map(tag).collect()
}

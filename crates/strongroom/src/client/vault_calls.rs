//! What a vault can do besides holding backups.

use serde_json::{Value, json};

use super::names::{resource_id, vault_id};
use super::vaults::{Verb, any_left, object_type, path};
use super::wait::wait_until;
use super::{Column, Context, vault_tags};

const SUMMARY_COLUMNS: &[Column] = &[("size GB", "/size"), ("used GB", "/used_size")];
const EXPIRY_COLUMNS: &[Column] = &[
    ("backups", "/affected_backups_count"),
    ("kept to the end of", "/new_expiration_day"),
    ("task", "/operation_log_id"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Lock { vault } => lock(context, &vault).await,
        Verb::Suspend { vault, resources } => {
            schedule(context, &vault, &resources, "suspend").await
        }
        Verb::Resume { vault, resources } => {
            schedule(context, &vault, &resources, "unsuspend").await
        }
        Verb::Migrate {
            vault,
            to,
            resources,
            wait,
        } => migrate(context, &vault, &to, &resources, wait).await,
        Verb::Expire { vault, day, zone } => expire(context, &vault, &day, &zone).await,
        Verb::Summary => {
            let answer = context.connection.get("/vaults/summary").await?;
            context.print(&answer, "", SUMMARY_COLUMNS)
        }
        Verb::Tag(verb) => vault_tags::run(context, verb).await,
        other => anyhow::bail!("not a call about a vault: {other:?}"),
    }
}

async fn lock(context: &Context, vault: &str) -> anyhow::Result<()> {
    let body = json!({ "vault": { "locked": true } });
    let answer = context
        .connection
        .put(&path(context, vault).await?, &body)
        .await?;
    context.say(&format!("vault {vault} is locked for ever"), &answer)
}

async fn schedule(
    context: &Context,
    vault: &str,
    resources: &[String],
    action: &str,
) -> anyhow::Result<()> {
    let path = path(context, vault).await?;
    let ids = ids(context, &path, resources).await?;
    let body = json!({ "action": action, "resource_ids": ids });
    let answer = context
        .connection
        .put(&format!("{path}/set-resources"), &body)
        .await?;
    let count = ids.len();
    let effect = match action {
        "suspend" => "left out of automatic backups",
        _ => "backed up automatically again",
    };
    context.say(&format!("{count} resources are {effect}"), &answer)
}

async fn migrate(
    context: &Context,
    vault: &str,
    to: &str,
    resources: &[String],
    wait: bool,
) -> anyhow::Result<()> {
    let path = path(context, vault).await?;
    let ids = ids(context, &path, resources).await?;
    let destination = vault_id(&context.connection, to).await?;
    let body = json!({ "destination_vault_id": destination, "resource_ids": ids });
    let answer = context
        .connection
        .post(&format!("{path}/migrateresources"), &body)
        .await?;
    if wait {
        wait_until(&context.connection, &path, |vault| {
            !any_left(vault, &ids) || !any_migrating(vault)
        })
        .await?;
        let left = context.connection.get(&path).await?;
        anyhow::ensure!(
            !any_left(&left, &ids),
            "some resources stay in vault {vault}; `strongroom task list` says why"
        );
    }
    let count = ids.len();
    context.say(&format!("{count} resources move to vault {to}"), &answer)
}

fn any_migrating(answer: &Value) -> bool {
    let rows = answer.pointer("/vault/resources").and_then(Value::as_array);
    rows.is_some_and(|rows| rows.iter().any(|row| row["protect_status"] == "migrating"))
}

async fn expire(context: &Context, vault: &str, day: &str, zone: &str) -> anyhow::Result<()> {
    let path = path(context, vault).await?;
    let body = json!({ "expect_expiration_date": day, "time_zone": zone });
    let answer = context
        .connection
        .put(&format!("{path}/update-backup-expiration-time"), &body)
        .await?;
    context.print(&answer, "", EXPIRY_COLUMNS)
}

async fn ids(context: &Context, path: &str, resources: &[String]) -> anyhow::Result<Vec<String>> {
    let object_type = object_type(&context.connection.get(path).await?);
    let mut ids = Vec::with_capacity(resources.len());
    for resource in resources {
        ids.push(resource_id(&context.connection, &object_type, resource).await?);
    }
    Ok(ids)
}

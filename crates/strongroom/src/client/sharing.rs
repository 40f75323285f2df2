//! `backup share` and what answers it.

use serde_json::{Value, json};

use super::backups::path;
use super::connection::encode;
use super::{Column, Context};

const COLUMNS: &[Column] = &[
    ("project", "/dest_project_id"),
    ("status", "/status"),
    ("vault", "/vault_id"),
    ("offered (UTC)", "/created_at"),
    ("answered (UTC)", "/updated_at"),
];

pub(super) async fn share(
    context: &Context,
    backup: &str,
    projects: &[String],
) -> anyhow::Result<()> {
    let body = json!({ "members": projects });
    let answer = context
        .connection
        .post(&members_path(backup), &body)
        .await?;
    context.print(&answer, "/members", COLUMNS)
}

pub(super) async fn unshare(
    context: &Context,
    backup: &str,
    projects: &[String],
) -> anyhow::Result<()> {
    for project in projects {
        let path = member_path(backup, project);
        context.connection.delete(&path).await?;
    }
    let sentence = format!("backup {backup} is no longer shared with them");
    context.say(&sentence, &Value::Null)
}

pub(super) async fn members(context: &Context, backup: &str) -> anyhow::Result<()> {
    let answer = context.connection.get(&members_path(backup)).await?;
    context.print(&answer, "/members", COLUMNS)
}

pub(super) async fn accept(context: &Context, backup: &str, vault: &str) -> anyhow::Result<()> {
    answer(
        context,
        backup,
        &json!({"status": "accepted", "vault_id": vault}),
    )
    .await
}

pub(super) async fn reject(context: &Context, backup: &str) -> anyhow::Result<()> {
    answer(context, backup, &json!({"status": "rejected"})).await
}

async fn answer(context: &Context, backup: &str, body: &Value) -> anyhow::Result<()> {
    let connection = &context.connection;
    let path = member_path(backup, connection.project_id());
    let answer = connection.put(&path, body).await?;
    context.print(&answer, "/member", COLUMNS)
}

fn members_path(backup: &str) -> String {
    format!("{}/members", path(backup))
}

fn member_path(backup: &str, project: &str) -> String {
    format!("{}/{}", members_path(backup), encode(project))
}

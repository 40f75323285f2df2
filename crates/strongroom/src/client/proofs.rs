//! `backup prove`, and what the proofs of a backup have shown.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::connection::encode;
use super::wait::wait_until;
use super::{Column, Context};
use crate::output::{Format, print_line};

#[derive(Debug, Args)]
pub(crate) struct Show {
    backup: String,
    proof: String,
    /// Write a picture of the machine's last screen, a PNG, into this file.
    #[arg(long, value_name = "FILE")]
    screen: Option<PathBuf>,
}

const COLUMNS: &[Column] = &[
    ("proof", "/id"),
    ("state", "/state"),
    ("verdict", "/verdict"),
    ("reason", "/reason"),
    ("by", "/accelerator"),
    ("seconds", "/duration_seconds"),
    ("ended (UTC)", "/ended_at"),
];

const FILE_SYSTEM_COLUMNS: &[Column] = &[
    ("disk", "/disk"),
    ("at byte", "/offset_bytes"),
    ("size bytes", "/size_bytes"),
    ("file system", "/state"),
    ("check", "/message"),
];

pub(super) async fn prove(context: &Context, backup: &str, wait: bool) -> anyhow::Result<()> {
    let connection = &context.connection;
    let path = path(context, backup);
    let answer = connection.post(&path, &json!({})).await?;
    let id = answer["proof"]["id"]
        .as_str()
        .context("the answer has no proof")?;
    if !wait {
        return context.say(&format!("proof {id} runs a machine from it"), &answer);
    }
    let path = format!("{path}/{id}");
    wait_until(connection, &path, |answer| {
        matches!(answer["proof"]["state"].as_str(), Some("done" | "failed"))
    })
    .await?;
    let answer = connection.get(&path).await?;
    let word = |name: &str| answer["proof"][name].as_str().unwrap_or_default();
    let reason = word("reason");
    match (word("state"), word("verdict")) {
        ("done", "boots") => context.say(&format!("backup {backup} boots: {reason}"), &answer),
        ("done", "does_not_boot") => bail!("backup {backup} does not boot: {reason}"),
        ("done", _) => bail!("whether backup {backup} boots is unknown: {reason}"),
        _ => bail!("the proof has failed: {reason}"),
    }
}

pub(super) async fn list(context: &Context, backup: &str) -> anyhow::Result<()> {
    let answer = context.connection.get(&path(context, backup)).await?;
    context.print(&answer, "/proofs", COLUMNS)
}

/// Below a backup that is shown to people: how it was proven last, if it was.
pub(super) async fn print_newest(context: &Context, backup: &str) -> anyhow::Result<()> {
    let answer = context.connection.get(&path(context, backup)).await?;
    match answer["proofs"].as_array().map(Vec::as_slice) {
        Some([_, ..]) => context.print(&answer, "/proofs/0", COLUMNS),
        _ => Ok(()),
    }
}

pub(super) async fn show(context: &Context, show: &Show) -> anyhow::Result<()> {
    let path = format!("{}/{}", path(context, &show.backup), encode(&show.proof));
    let answer = context.connection.get(&path).await?;
    if let Some(file) = &show.screen {
        let screen = context
            .connection
            .download(&format!("{path}/screen"))
            .await?;
        fs::write(file, screen).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    context.print(&answer, "/proof", COLUMNS)?;
    if context.format == Format::Table {
        context.print(&answer, "/proof/file_systems", FILE_SYSTEM_COLUMNS)?;
        print_line(&for_terminals(&answer["proof"]["console"]));
    }
    Ok(())
}

/// What a machine said must not steer the terminal of who reads it.
fn for_terminals(console: &Value) -> String {
    let console = console.as_str().unwrap_or_default();
    let is_shown = |c: &char| !c.is_control() || *c == '\n';
    console.chars().filter(is_shown).collect()
}

fn path(context: &Context, backup: &str) -> String {
    let project = context.connection.project_id();
    format!(
        "//strongroom/v1/{project}/backups/{}/proofs",
        encode(backup)
    )
}

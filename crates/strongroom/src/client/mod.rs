//! The client verbs: each is one or a few calls of the API that any other client could make.

mod attachments;
mod audit;
mod backup_machines;
mod backups;
mod checkpoints;
mod connection;
mod download;
mod export;
mod identity;
mod inventory;
mod mount;
mod names;
mod orders;
mod organization_policies;
mod peers;
mod policies;
mod policy_options;
mod proofs;
mod sharing;
mod tasks;
mod vault_calls;
mod vault_tags;
mod vaults;
mod wait;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

pub(crate) use connection::{Connection, encode};
pub(crate) use wait::{wait_for_checkpoint, wait_for_task};

use crate::credentials::Credentials;
use crate::output::{Format, print_json, print_table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Vaults: create, list, show, update, delete, and what they protect.
    #[command(subcommand)]
    Vault(vaults::Verb),
    /// Restore points: back up a vault's resources now.
    #[command(subcommand)]
    Checkpoint(checkpoints::Verb),
    /// Backups: list, show, rename, restore, attach, export, delete, share.
    #[command(subcommand)]
    Backup(backups::Verb),
    /// Policies: what backs vaults up by itself, and which backups stay.
    #[command(subcommand)]
    Policy(policies::Verb),
    /// Policies that are pushed to the projects of the account.
    #[command(subcommand)]
    OrganizationPolicy(organization_policies::Verb),
    /// Tasks (operation logs): what ran, how far it is, why it failed.
    #[command(subcommand)]
    Task(tasks::Verb),
    /// The inventory's volumes.
    #[command(subcommand)]
    Volume(inventory::VolumeVerb),
    /// The inventory's servers.
    #[command(subcommand)]
    Server(inventory::ServerVerb),
    /// Requests for a term reservation (orders of pre-paid vaults).
    #[command(subcommand)]
    Order(orders::Verb),
    /// The audit: who changed what, or tried to.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Other regions.
    #[command(subcommand)]
    Peer(peers::Verb),
    /// Projects of this installation.
    #[command(subcommand)]
    Project(identity::ProjectVerb),
    /// Users, their roles and passwords.
    #[command(subcommand)]
    User(identity::UserVerb),
    /// Access keys.
    #[command(subcommand)]
    AccessKey(identity::AccessKeyVerb),
}

/// Where to connect and how to print.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) connection: Connection,
    pub(crate) format: Format,
}

pub(crate) async fn run(
    verb: Verb,
    credentials: Option<PathBuf>,
    format: Format,
) -> anyhow::Result<()> {
    let path = credentials.unwrap_or_else(Credentials::default_path);
    let context = Context {
        connection: Connection::new(Credentials::read(&path)?),
        format,
    };
    match verb {
        Verb::Vault(verb) => vaults::run(&context, verb).await,
        Verb::Checkpoint(verb) => checkpoints::run(&context, verb).await,
        Verb::Backup(verb) => backups::run(&context, verb).await,
        Verb::Policy(verb) => policies::run(&context, verb).await,
        Verb::OrganizationPolicy(verb) => organization_policies::run(&context, verb).await,
        Verb::Task(verb) => tasks::run(&context, verb).await,
        Verb::Volume(verb) => inventory::run_volume(&context, verb).await,
        Verb::Server(verb) => inventory::run_server(&context, verb).await,
        Verb::Order(verb) => orders::run(&context, verb).await,
        Verb::Audit(verb) => audit::run(&context, verb).await,
        Verb::Peer(verb) => peers::run(&context, verb).await,
        Verb::Project(verb) => identity::run_project(&context, verb).await,
        Verb::User(verb) => identity::run_user(&context, verb).await,
        Verb::AccessKey(verb) => identity::run_access_key(&context, verb).await,
    }
}

/// One column of a table: its title and where its text is in a row, as a JSON pointer.
type Column = (&'static str, &'static str);

impl Context {
    /// Prints an answer: as it is for programs, as a table of `rows` for people.
    fn print(&self, answer: &Value, rows: &str, columns: &[Column]) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return print_json(answer);
        }
        let rows: Vec<&Value> = match answer.pointer(rows) {
            Some(Value::Array(rows)) => rows.iter().collect(),
            Some(row) => vec![row],
            None => Vec::new(),
        };
        let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
        let cells = |row: &Value| {
            columns
                .iter()
                .map(|(_, pointer)| text(row.pointer(pointer)))
                .collect()
        };
        print_table(&titles, rows.into_iter().map(cells).collect());
        Ok(())
    }

    /// Prints a sentence for people, the answer for programs.
    fn say(&self, sentence: &str, answer: &Value) -> anyhow::Result<()> {
        match self.format {
            Format::Json => print_json(answer),
            Format::Table => {
                crate::output::print_line(sentence);
                Ok(())
            }
        }
    }
}

/// A JSON value as a cell of a table.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => values.len().to_string(),
        Some(other) => other.to_string(),
    }
}

/// `?a=b&c=d` of the options that were given.
fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given: Vec<String> = pairs
        .iter()
        .filter_map(|(key, value)| {
            value
                .as_ref()
                .map(|value| format!("{key}={}", connection::encode(value)))
        })
        .collect();
    if given.is_empty() {
        String::new()
    } else {
        format!("?{}", given.join("&"))
    }
}

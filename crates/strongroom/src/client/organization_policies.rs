use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::names::organization_policy_id;
use super::policies::Rules;
use super::wait::wait_until;
use super::{Column, Context, query, text};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a policy and push a copy of it to projects of the account.
    Create(Create),
    /// List what is pushed.
    List {
        /// `backup` or `replication`.
        #[arg(long, value_name = "TYPE", default_value = "backup")]
        operation_type: String,
    },
    /// Show one policy.
    Show { policy: String },
    /// Show how far each project is.
    Status { policy: String },
    /// Change a policy and its copies, and try again where that failed; rules that are given replace all that it has.
    Update(Update),
    /// Take the copies back and delete the policy; the backups that they made stay.
    Delete {
        policy: String,
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[arg(long)]
    name: String,
    /// What the projects call their copies; as the policy when absent.
    #[arg(long, value_name = "NAME")]
    policy_name: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// `all`, those that come later too, or ids of projects, separated by commas.
    #[arg(long, default_value = "all")]
    scope: String,
    /// `backup` or `replication`.
    #[arg(long, value_name = "TYPE", default_value = "backup")]
    operation_type: String,
    /// When to start, in UTC: `FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=14;BYMINUTE=00` or `FREQ=DAILY;INTERVAL=1;…`.
    #[arg(long = "pattern", value_name = "RULE", required = true)]
    patterns: Vec<String>,
    /// Push it, but do not let it run.
    #[arg(long)]
    disabled: bool,
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    rules: Rules,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    policy: String,
    #[arg(long)]
    name: Option<String>,
    #[arg(long, value_name = "NAME")]
    policy_name: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// `all`, or ids of projects, separated by commas; the others lose their copies.
    #[arg(long)]
    scope: Option<String>,
    #[arg(long)]
    enabled: Option<bool>,
    /// When to start; replaces all patterns.
    #[arg(long = "pattern", value_name = "RULE")]
    patterns: Vec<String>,
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    rules: Rules,
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("type", "/operation_type"),
    ("scope", "/effective_scope"),
    ("called", "/policy_name"),
    ("enabled", "/policy_enabled"),
    ("first pattern", "/policy_trigger/properties/pattern/0"),
    ("status", "/status"),
];

const STATUS_COLUMNS: &[Column] = &[
    ("project", "/project_id"),
    ("policy there", "/policy_id"),
    ("status", "/status"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    let connection = &context.connection;
    match verb {
        Verb::Create(new) => {
            let path = "/organization-policies";
            let answer = connection.post(path, &new.body()).await?;
            let answer = pushed(context, answer, new.wait).await?;
            context.print(&answer, "/policy", COLUMNS)
        }
        Verb::List { operation_type } => {
            let answer = connection.get(&list_path(operation_type)).await?;
            context.print(&answer, "/policies", COLUMNS)
        }
        Verb::Show { policy } => {
            let answer = connection.get(&path(context, &policy).await?).await?;
            context.print(&answer, "/policy", COLUMNS)
        }
        Verb::Status { policy } => {
            let path = format!("{}/policy-detail", path(context, &policy).await?);
            let answer = connection.get(&path).await?;
            context.print(&answer, "/policies", STATUS_COLUMNS)
        }
        Verb::Update(update) => {
            let path = path(context, &update.policy).await?;
            let answer = connection.put(&path, &update.body()).await?;
            let answer = pushed(context, answer, update.wait).await?;
            context.print(&answer, "/policy", COLUMNS)
        }
        Verb::Delete { policy, wait } => {
            let path = path(context, &policy).await?;
            let before = connection.get(&path).await?;
            let answer = connection.delete(&path).await?;
            if wait {
                wait_until_unlisted(context, &before["policy"]).await?;
            }
            context.say(&format!("organization policy {policy} deleted"), &answer)
        }
    }
}

async fn path(context: &Context, policy: &str) -> anyhow::Result<String> {
    let id = organization_policy_id(&context.connection, policy).await?;
    Ok(format!("/organization-policies/{id}"))
}

/// The policy once every project is done, when somebody waits for that; else as it was answered.
async fn pushed(context: &Context, answer: Value, wait: bool) -> anyhow::Result<Value> {
    if !wait {
        return Ok(answer);
    }
    let id = text(answer.pointer("/policy/id"));
    let path = format!("/organization-policies/{id}");
    let status = |answer: &Value| text(answer.pointer("/policy/status"));
    let is_done = |answer: &Value| matches!(status(answer).as_str(), "available" | "error");
    wait_until(&context.connection, &path, is_done).await?;
    let answer = context.connection.get(&path).await?;
    if status(&answer) == "error" {
        bail!("not every project has its copy: see `strongroom organization-policy status {id}`");
    }
    Ok(answer)
}

/// A policy that is deleted is shown no more, and listed until the last project has lost its copy.
async fn wait_until_unlisted(context: &Context, policy: &Value) -> anyhow::Result<()> {
    let path = list_path(text(policy.get("operation_type")));
    let is_gone = |listed: &Value| {
        let rows = listed["policies"].as_array();
        rows.is_some_and(|rows| rows.iter().all(|row| row["id"] != policy["id"]))
    };
    wait_until(&context.connection, &path, is_gone).await
}

fn list_path(operation_type: String) -> String {
    let options = [("operation_type", Some(operation_type))];
    format!("/organization-policies{}", query(&options))
}

impl Create {
    fn body(&self) -> Value {
        let mut policy = json!({
            "name": self.name,
            "operation_type": self.operation_type,
            "effective_scope": self.scope,
            "policy_name": self.policy_name.as_ref().unwrap_or(&self.name),
            "policy_enabled": !self.disabled,
            "policy_operation_definition": self.rules.definition(),
            "policy_trigger": { "properties": { "pattern": self.patterns } },
        });
        if let Some(description) = &self.description {
            policy["description"] = description.as_str().into();
        }
        json!({ "policy": policy })
    }
}

impl Update {
    fn body(&self) -> Value {
        let texts = [
            ("name", &self.name),
            ("policy_name", &self.policy_name),
            ("description", &self.description),
            ("effective_scope", &self.scope),
        ];
        let given = texts.into_iter();
        let given = given.filter_map(|(key, text)| Some((key.to_owned(), text.as_deref()?.into())));
        let mut policy: Map<String, Value> = given.collect();
        if let Some(enabled) = self.enabled {
            policy.insert("policy_enabled".into(), enabled.into());
        }
        if !self.patterns.is_empty() {
            let trigger = json!({ "properties": { "pattern": self.patterns } });
            policy.insert("policy_trigger".into(), trigger);
        }
        let definition = self.rules.definition();
        if !definition.is_empty() {
            policy.insert("policy_operation_definition".into(), definition.into());
        }
        json!({ "policy": policy })
    }
}

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::names::policy_id;
use super::policy_options::{self, Options};
use super::{Column, Context, query};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a policy.
    Create(Create),
    /// List policies.
    List {
        /// `backup` or `replication`.
        #[arg(long, value_name = "TYPE")]
        operation_type: Option<String>,
        /// Policies that are applied to this vault.
        #[arg(long, value_name = "ID")]
        vault: Option<String>,
    },
    /// Show one policy.
    Show { policy: String },
    /// Change a policy; rules that are given replace all that it has.
    Update(Update),
    /// Choose what a failed freeze means, and which backups are proven; or show what was chosen.
    Options(Options),
    /// Delete a policy; the backups that it made stay.
    Delete { policy: String },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[arg(long)]
    name: String,
    /// `backup` or `replication`.
    #[arg(long, value_name = "TYPE", default_value = "backup")]
    operation_type: String,
    /// When to start, in UTC: `FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=14;BYMINUTE=00` or `FREQ=DAILY;INTERVAL=1;…`.
    #[arg(long = "pattern", value_name = "RULE", required = true)]
    patterns: Vec<String>,
    /// Spread the starts of the vaults over so many minutes.
    #[arg(long, value_name = "MINUTES")]
    start_window: Option<u32>,
    /// Make it, but do not let it run.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    rules: Rules,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    policy: String,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    enabled: Option<bool>,
    /// When to start; replaces all patterns.
    #[arg(long = "pattern", value_name = "RULE")]
    patterns: Vec<String>,
    #[command(flatten)]
    rules: Rules,
}

/// Which automatic backups stay. Without any they all do.
#[derive(Debug, Args)]
pub(super) struct Rules {
    /// The newest so many of each resource.
    #[arg(long, value_name = "COUNT")]
    max_backups: Option<i64>,
    /// Each for so many days.
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<i64>,
    /// Beside the newest, the newest of each of so many days.
    #[arg(long, value_name = "COUNT", requires = "timezone")]
    day_backups: Option<u32>,
    #[arg(long, value_name = "COUNT", requires = "timezone")]
    week_backups: Option<u32>,
    #[arg(long, value_name = "COUNT", requires = "timezone")]
    month_backups: Option<u32>,
    #[arg(long, value_name = "COUNT", requires = "timezone")]
    year_backups: Option<u32>,
    /// Where days begin, `UTC+08:00`.
    #[arg(long)]
    timezone: Option<String>,
    /// A full backup after so many incremental ones.
    #[arg(long, value_name = "COUNT")]
    full_interval: Option<i64>,
    /// Of replication policies.
    #[arg(long, value_name = "REGION")]
    destination_region: Option<String>,
    /// Of replication policies.
    #[arg(long, value_name = "ID")]
    destination_project: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("type", "/operation_type"),
    ("enabled", "/enabled"),
    ("first pattern", "/trigger/properties/pattern/0"),
    ("days", "/operation_definition/retention_duration_days"),
    ("backups", "/operation_definition/max_backups"),
    ("vaults", "/associated_vaults"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Create(new) => {
            let answer = context.connection.post("/policies", &new.body()).await?;
            context.print(&answer, "/policy", COLUMNS)
        }
        Verb::List {
            operation_type,
            vault,
        } => {
            let options = [("operation_type", operation_type), ("vault_id", vault)];
            let path = format!("/policies{}", query(&options));
            let answer = context.connection.get(&path).await?;
            context.print(&answer, "/policies", COLUMNS)
        }
        Verb::Show { policy } => {
            let path = path(context, &policy).await?;
            let answer = context.connection.get(&path).await?;
            context.print(&answer, "/policy", COLUMNS)
        }
        Verb::Update(update) => {
            let path = path(context, &update.policy).await?;
            let answer = context.connection.put(&path, &update.body()).await?;
            context.print(&answer, "/policy", COLUMNS)
        }
        Verb::Options(options) => policy_options::run(context, options).await,
        Verb::Delete { policy } => {
            let path = path(context, &policy).await?;
            let answer = context.connection.delete(&path).await?;
            context.say(&format!("policy {policy} deleted"), &answer)
        }
    }
}

async fn path(context: &Context, policy: &str) -> anyhow::Result<String> {
    let id = policy_id(&context.connection, policy).await?;
    Ok(format!("/policies/{id}"))
}

impl Create {
    fn body(&self) -> Value {
        let mut properties = json!({ "pattern": self.patterns });
        if let Some(minutes) = self.start_window {
            properties["start_window_minutes"] = minutes.into();
        }
        json!({ "policy": {
            "name": self.name,
            "enabled": !self.disabled,
            "operation_type": self.operation_type,
            "operation_definition": self.rules.definition(),
            "trigger": { "properties": properties },
        }})
    }
}

impl Update {
    fn body(&self) -> Value {
        let mut policy = Map::new();
        if let Some(name) = &self.name {
            policy.insert("name".into(), name.as_str().into());
        }
        if let Some(enabled) = self.enabled {
            policy.insert("enabled".into(), enabled.into());
        }
        if !self.patterns.is_empty() {
            let trigger = json!({ "properties": { "pattern": self.patterns } });
            policy.insert("trigger".into(), trigger);
        }
        let definition = self.rules.definition();
        if !definition.is_empty() {
            policy.insert("operation_definition".into(), definition.into());
        }
        json!({ "policy": policy })
    }
}

impl Rules {
    pub(super) fn definition(&self) -> Map<String, Value> {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let fields = [
            ("max_backups", self.max_backups.map(Value::from)),
            (
                "retention_duration_days",
                self.retention_days.map(Value::from),
            ),
            ("day_backups", self.day_backups.map(Value::from)),
            ("week_backups", self.week_backups.map(Value::from)),
            ("month_backups", self.month_backups.map(Value::from)),
            ("year_backups", self.year_backups.map(Value::from)),
            ("timezone", text(&self.timezone)),
            ("full_backup_interval", self.full_interval.map(Value::from)),
            ("destination_region", text(&self.destination_region)),
            ("destination_project_id", text(&self.destination_project)),
        ];
        let given = fields.into_iter();
        let given = given.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}

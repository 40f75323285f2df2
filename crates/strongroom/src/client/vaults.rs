use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::connection::encode;
use super::wait::wait_until_gone;
use super::{Column, Context, query};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a vault.
    Create(Create),
    /// List vaults.
    List {
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        status: Option<String>,
        #[arg(long)]
        limit: Option<u32>,
        #[arg(long)]
        offset: Option<u32>,
    },
    /// Show one vault and what it protects.
    Show { vault: String },
    /// Change a vault.
    Update(Update),
    /// Delete a vault and every backup in it.
    Delete {
        vault: String,
        /// Return when it is gone.
        #[arg(long)]
        wait: bool,
    },
    /// Protect servers or disks with a vault.
    Add {
        vault: String,
        #[arg(required = true)]
        resources: Vec<String>,
    },
    /// Stop protecting resources; deletes their backups in this vault.
    Remove {
        vault: String,
        #[arg(required = true)]
        resources: Vec<String>,
        /// Return when their backups are gone.
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[arg(long)]
    name: String,
    /// What it protects: `server` or `disk`.
    #[arg(long, value_name = "TYPE")]
    object_type: String,
    /// Capacity in GB (2^30 bytes).
    #[arg(long)]
    size: u64,
    #[arg(long, default_value = "crash_consistent")]
    consistent_level: String,
    #[arg(long)]
    description: Option<String>,
    /// Grow when full.
    #[arg(long)]
    auto_expand: bool,
    /// Protect these resources at once.
    #[arg(long = "resource", value_name = "ID")]
    resources: Vec<String>,
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,
    /// Reserve a term instead of paying by use: `month` or `year`.
    #[arg(long, value_name = "PERIOD", requires = "periods")]
    period: Option<String>,
    /// Number of periods, 1 to 9.
    #[arg(long)]
    periods: Option<u32>,
    /// Complete the order at once instead of waiting for an operator.
    #[arg(long)]
    auto_pay: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    vault: String,
    #[arg(long)]
    name: Option<String>,
    /// Capacity in GB (2^30 bytes).
    #[arg(long)]
    size: Option<u64>,
    #[arg(long)]
    auto_expand: Option<bool>,
    /// Percentage of use that raises a notice.
    #[arg(long)]
    threshold: Option<u8>,
    /// Lock automatic backups against deletion, for ever.
    #[arg(long)]
    lock: bool,
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("type", "/billing/object_type"),
    ("status", "/billing/status"),
    ("size GB", "/billing/size"),
    ("used MB", "/billing/used"),
    ("resources", "/resources"),
];

const RESOURCE_COLUMNS: &[Column] = &[
    ("resource", "/id"),
    ("name", "/name"),
    ("type", "/type"),
    ("size GB", "/size"),
    ("status", "/protect_status"),
    ("backups", "/backup_count"),
    ("used MB", "/backup_size"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    let connection = &context.connection;
    match verb {
        Verb::Create(create) => {
            let answer = connection.post("/vaults", &create.body()?).await?;
            let shown = if answer.get("vault").is_some() {
                "/vault"
            } else {
                "/orders"
            };
            let columns = if shown == "/vault" {
                COLUMNS
            } else {
                &[("order", "/orderId"), ("vault", "/resourceId")]
            };
            context.print(&answer, shown, columns)
        }
        Verb::List {
            name,
            status,
            limit,
            offset,
        } => {
            let number = |n: Option<u32>| n.map(|n| n.to_string());
            let options = [
                ("name", name),
                ("status", status),
                ("limit", number(limit)),
                ("offset", number(offset)),
            ];
            context.print(
                &connection
                    .get(&format!("/vaults{}", query(&options)))
                    .await?,
                "/vaults",
                COLUMNS,
            )
        }
        Verb::Show { vault } => {
            let answer = connection.get(&path(&vault)).await?;
            context.print(&answer, "/vault", COLUMNS)?;
            if context.format == crate::output::Format::Table {
                context.print(&answer, "/vault/resources", RESOURCE_COLUMNS)?;
            }
            Ok(())
        }
        Verb::Update(update) => {
            let answer = connection.put(&path(&update.vault), &update.body()).await?;
            context.print(&answer, "/vault", COLUMNS)
        }
        Verb::Delete { vault, wait } => {
            let answer = connection.delete(&path(&vault)).await?;
            if wait {
                wait_until_gone(connection, &path(&vault)).await?;
            }
            context.say(
                &format!(
                    "vault {vault} {}",
                    if wait { "deleted" } else { "is being deleted" }
                ),
                &answer,
            )
        }
        Verb::Add { vault, resources } => add(context, &vault, &resources).await,
        Verb::Remove {
            vault,
            resources,
            wait,
        } => remove(context, &vault, &resources, wait).await,
    }
}

async fn add(context: &Context, vault: &str, resources: &[String]) -> anyhow::Result<()> {
    let kind = resource_type(&context.connection.get(&path(vault)).await?);
    let body = json!({ "resources": resources.iter().map(|id| json!({ "id": id, "type": kind })).collect::<Vec<_>>() });
    let answer = context
        .connection
        .post(&format!("{}/addresources", path(vault)), &body)
        .await?;
    context.say(
        &format!("{} resources added to vault {vault}", resources.len()),
        &answer,
    )
}

async fn remove(
    context: &Context,
    vault: &str,
    resources: &[String],
    wait: bool,
) -> anyhow::Result<()> {
    let body = json!({ "resource_ids": resources });
    let answer = context
        .connection
        .post(&format!("{}/removeresources", path(vault)), &body)
        .await?;
    while wait && any_left(&context.connection.get(&path(vault)).await?, resources) {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    context.say(
        &format!("{} resources leave vault {vault}", resources.len()),
        &answer,
    )
}

fn any_left(answer: &Value, resources: &[String]) -> bool {
    let left = answer.pointer("/vault/resources").and_then(Value::as_array);
    left.is_some_and(|left| {
        left.iter()
            .any(|row| resources.iter().any(|id| row["id"] == id.as_str()))
    })
}

/// A vault takes one type of resource, so nobody need name it.
fn resource_type(answer: &Value) -> &'static str {
    match answer
        .pointer("/vault/billing/object_type")
        .and_then(Value::as_str)
    {
        Some("server") => "OS::Nova::Server",
        _ => "OS::Cinder::Volume",
    }
}

fn path(vault: &str) -> String {
    format!("/vaults/{}", encode(vault))
}

impl Create {
    fn body(&self) -> anyhow::Result<Value> {
        let kind = if self.object_type == "server" {
            "OS::Nova::Server"
        } else {
            "OS::Cinder::Volume"
        };
        let mut billing = json!({
            "cloud_type": "public",
            "consistent_level": self.consistent_level,
            "object_type": self.object_type,
            "protect_type": "backup",
            "size": self.size,
        });
        if let (Some(period), Some(periods)) = (&self.period, self.periods) {
            billing["charging_mode"] = "pre_paid".into();
            billing["period_type"] = period.as_str().into();
            billing["period_num"] = periods.into();
            billing["is_auto_pay"] = self.auto_pay.into();
        }
        let tags = self.tags.iter().map(|tag| match tag.split_once('=') {
            Some((key, value)) => Ok(json!({ "key": key, "value": value })),
            None => anyhow::bail!("a tag is written KEY=VALUE, not `{tag}`"),
        });
        let mut vault = json!({
            "name": self.name,
            "billing": billing,
            "auto_expand": self.auto_expand,
            "resources": self.resources.iter().map(|id| json!({ "id": id, "type": kind })).collect::<Vec<_>>(),
            "tags": tags.collect::<anyhow::Result<Vec<_>>>()?,
        });
        if let Some(description) = &self.description {
            vault["description"] = description.as_str().into();
        }
        Ok(json!({ "vault": vault }))
    }
}

impl Update {
    fn body(&self) -> Value {
        let mut vault = Map::new();
        if let Some(name) = &self.name {
            vault.insert("name".into(), name.as_str().into());
        }
        if let Some(size) = self.size {
            vault.insert("billing".into(), json!({ "size": size }));
        }
        if let Some(auto_expand) = self.auto_expand {
            vault.insert("auto_expand".into(), auto_expand.into());
        }
        if let Some(threshold) = self.threshold {
            vault.insert("threshold".into(), threshold.into());
        }
        if self.lock {
            vault.insert("locked".into(), true.into());
        }
        json!({ "vault": vault })
    }
}

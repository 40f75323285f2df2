use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::names::{policy_id, resource_id, vault_id};
use super::wait::{wait_until, wait_until_gone};
use super::{Column, Context, query, text};
use crate::output::Format;

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
    /// Apply a policy to a vault, instead of the one of its kind that the vault has.
    Associate {
        vault: String,
        policy: String,
        /// Let it join the policies that the vault has.
        #[arg(long)]
        beside: bool,
        /// Of replication policies: the vault in the other region.
        #[arg(long, value_name = "ID")]
        destination_vault: Option<String>,
    },
    /// Take a policy off a vault; the backups that it made stay.
    Dissociate { vault: String, policy: String },
    /// Lock automatic backups against deletion, for ever.
    Lock { vault: String },
    /// Leave resources out of automatic backups.
    Suspend {
        vault: String,
        #[arg(required = true)]
        resources: Vec<String>,
    },
    /// Take resources into automatic backups again.
    Resume {
        vault: String,
        #[arg(required = true)]
        resources: Vec<String>,
    },
    /// Move resources and their backups to another vault of the same type.
    Migrate {
        vault: String,
        #[arg(long, value_name = "VAULT")]
        to: String,
        #[arg(required = true)]
        resources: Vec<String>,
        /// Return when they have left this vault.
        #[arg(long)]
        wait: bool,
    },
    /// Keep the expiring backups of a vault to the end of another day.
    Expire {
        vault: String,
        /// `YYYY-MM-DD`.
        #[arg(long)]
        day: String,
        /// Where that day is counted.
        #[arg(long, default_value = "UTC+00:00")]
        zone: String,
    },
    /// Show the capacity and use of all vaults together.
    Summary,
    /// The tags of a vault.
    #[command(subcommand)]
    Tag(super::vault_tags::Verb),
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
    /// Apply this backup policy at once.
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
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
    match verb {
        Verb::Create(new) => create(context, &new).await,
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
            let answer = context
                .connection
                .get(&format!("/vaults{}", query(&options)))
                .await?;
            context.print(&answer, "/vaults", COLUMNS)
        }
        Verb::Show { vault } => show(context, &vault).await,
        Verb::Update(update) => {
            let path = path(context, &update.vault).await?;
            let answer = context.connection.put(&path, &update.body()).await?;
            context.print(&answer, "/vault", COLUMNS)
        }
        Verb::Delete { vault, wait } => delete(context, &vault, wait).await,
        Verb::Add { vault, resources } => add(context, &vault, &resources).await,
        Verb::Associate {
            vault,
            policy,
            beside,
            destination_vault,
        } => {
            let id = policy_id(&context.connection, &policy).await?;
            let mut body = if beside {
                json!({ "add_policy_ids": [id] })
            } else {
                json!({ "policy_id": id })
            };
            if let Some(destination) = destination_vault {
                body["destination_vault_id"] = destination.into();
            }
            let path = format!("{}/associatepolicy", path(context, &vault).await?);
            let answer = context.connection.post(&path, &body).await?;
            context.say(
                &format!("policy {policy} applied to vault {vault}"),
                &answer,
            )
        }
        Verb::Dissociate { vault, policy } => {
            let body = json!({ "policy_id": policy_id(&context.connection, &policy).await? });
            let path = format!("{}/dissociatepolicy", path(context, &vault).await?);
            let answer = context.connection.post(&path, &body).await?;
            context.say(&format!("policy {policy} taken off vault {vault}"), &answer)
        }
        Verb::Remove {
            vault,
            resources,
            wait,
        } => remove(context, &vault, &resources, wait).await,
        other => super::vault_calls::run(context, other).await,
    }
}

async fn create(context: &Context, new: &Create) -> anyhow::Result<()> {
    let mut resources = Vec::new();
    for resource in &new.resources {
        resources.push(resource_id(&context.connection, &new.object_type, resource).await?);
    }
    let mut body = new.body(&resources)?;
    if let Some(policy) = &new.policy {
        body["vault"]["backup_policy_id"] = policy_id(&context.connection, policy).await?.into();
    }
    let answer = context.connection.post("/vaults", &body).await?;
    match answer.get("vault") {
        Some(_) => context.print(&answer, "/vault", COLUMNS),
        None => context.print(
            &answer,
            "/orders",
            &[("order", "/orderId"), ("vault", "/resourceId")],
        ),
    }
}

async fn show(context: &Context, vault: &str) -> anyhow::Result<()> {
    let answer = context.connection.get(&path(context, vault).await?).await?;
    context.print(&answer, "/vault", COLUMNS)?;
    match context.format {
        Format::Json => Ok(()),
        Format::Table => context.print(&answer, "/vault/resources", RESOURCE_COLUMNS),
    }
}

async fn delete(context: &Context, vault: &str, wait: bool) -> anyhow::Result<()> {
    let path = path(context, vault).await?;
    let answer = context.connection.delete(&path).await?;
    if !wait {
        return context.say(&format!("vault {vault} is being deleted"), &answer);
    }
    wait_until_gone(&context.connection, &path).await?;
    context.say(&format!("vault {vault} deleted"), &answer)
}

async fn add(context: &Context, vault: &str, resources: &[String]) -> anyhow::Result<()> {
    let path = path(context, vault).await?;
    let object_type = object_type(&context.connection.get(&path).await?);
    let mut rows = Vec::new();
    for resource in resources {
        let id = resource_id(&context.connection, &object_type, resource).await?;
        rows.push(json!({ "id": id, "type": resource_type(&object_type) }));
    }
    let answer = context
        .connection
        .post(
            &format!("{path}/addresources"),
            &json!({ "resources": rows }),
        )
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
    let path = path(context, vault).await?;
    let object_type = object_type(&context.connection.get(&path).await?);
    let mut ids = Vec::new();
    for resource in resources {
        ids.push(resource_id(&context.connection, &object_type, resource).await?);
    }
    let answer = context
        .connection
        .post(
            &format!("{path}/removeresources"),
            &json!({ "resource_ids": ids }),
        )
        .await?;
    if wait {
        wait_until(&context.connection, &path, |vault| !any_left(vault, &ids)).await?;
    }
    context.say(
        &format!("{} resources leave vault {vault}", resources.len()),
        &answer,
    )
}

pub(super) fn any_left(answer: &Value, resources: &[String]) -> bool {
    let left = answer.pointer("/vault/resources").and_then(Value::as_array);
    left.is_some_and(|left| {
        left.iter()
            .any(|row| resources.iter().any(|id| row["id"] == id.as_str()))
    })
}

/// A vault takes one type of resource, so nobody need name it.
pub(super) fn object_type(answer: &Value) -> String {
    text(answer.pointer("/vault/billing/object_type"))
}

fn resource_type(object_type: &str) -> &'static str {
    match object_type {
        "server" => "OS::Nova::Server",
        _ => "OS::Cinder::Volume",
    }
}

pub(super) async fn path(context: &Context, vault: &str) -> anyhow::Result<String> {
    Ok(format!(
        "/vaults/{}",
        vault_id(&context.connection, vault).await?
    ))
}

impl Create {
    fn body(&self, resources: &[String]) -> anyhow::Result<Value> {
        let kind = resource_type(&self.object_type);
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
            "resources": resources.iter().map(|id| json!({ "id": id, "type": kind })).collect::<Vec<_>>(),
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

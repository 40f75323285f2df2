//! People may name vaults and resources by name where the API wants ids.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use strongroom_types::{PolicyId, VaultId};

use super::connection::encode;
use super::{Connection, text};

/// A vault's id, given that or its name.
pub(super) async fn vault_id(connection: &Connection, vault: &str) -> anyhow::Result<String> {
    if vault.parse::<VaultId>().is_ok() {
        return Ok(vault.to_owned());
    }
    let found = connection
        .get(&format!("/vaults?name={}", encode(vault)))
        .await?;
    only(&found, "/vaults", "vault", vault)
}

/// A policy's id, given that or its name.
pub(super) async fn policy_id(connection: &Connection, policy: &str) -> anyhow::Result<String> {
    if policy.parse::<PolicyId>().is_ok() {
        return Ok(policy.to_owned());
    }
    // The API filters policies by no name.
    let mut all = connection.get("/policies").await?;
    if let Some(policies) = all.pointer_mut("/policies").and_then(Value::as_array_mut) {
        policies.retain(|row| row["name"] == policy);
    }
    only(&all, "/policies", "policy", policy)
}

/// The id of a policy that the organization pushes, given that or its name.
pub(super) async fn organization_policy_id(
    connection: &Connection,
    policy: &str,
) -> anyhow::Result<String> {
    if policy.parse::<PolicyId>().is_ok() {
        return Ok(policy.to_owned());
    }
    // The API lists them by type, and filters by no name.
    let mut rows = Vec::new();
    for operation_type in ["backup", "replication"] {
        let path = format!("/organization-policies?operation_type={operation_type}");
        let mut listed = connection.get(&path).await?;
        if let Some(policies) = listed["policies"].as_array_mut() {
            rows.append(policies);
        }
    }
    rows.retain(|row| row["name"] == policy);
    only(
        &json!({ "policies": rows }),
        "/policies",
        "organization policy",
        policy,
    )
}

/// The id of a server or disk in the inventory, given that or its name.
pub(super) async fn resource_id(
    connection: &Connection,
    object_type: &str,
    resource: &str,
) -> anyhow::Result<String> {
    if resource.parse::<VaultId>().is_ok() {
        return Ok(resource.to_owned());
    }
    let path = format!(
        "/protectables/{object_type}/instances?name={}",
        encode(resource)
    );
    only(
        &connection.get(&path).await?,
        "/instances",
        object_type,
        resource,
    )
}

fn only(answer: &Value, list: &str, kind: &str, name: &str) -> anyhow::Result<String> {
    let found = answer
        .pointer(list)
        .and_then(Value::as_array)
        .context("the answer has no list")?;
    match found.as_slice() {
        [one] => Ok(text(one.get("id"))),
        [] => bail!("there is no {kind} named `{name}`"),
        several => bail!("{} are named `{name}`: use an id ({})", several.len(), {
            let ids: Vec<String> = several.iter().map(|row| text(row.get("id"))).collect();
            ids.join(", ")
        }),
    }
}

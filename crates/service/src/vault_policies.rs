//! Which policies are applied to which vaults.

use std::collections::BTreeSet;

use strongroom_db::{Policy, Tx, Vault, VaultPolicy};
use strongroom_types::{
    CloudType, ObjectType, PolicyId, PolicyOperation, ProjectId, ProtectType, Timestamp, VaultId,
    VaultStatus,
};

use crate::{Action, App, Caller, Error, policies, vaults};

/// Policies of one kind on one vault.
const POLICIES_PER_VAULT_MAX: usize = 10;

#[derive(Debug, Clone)]
pub struct NewAssociation {
    pub policies: WantedPolicies,
    /// Of replication policies: the vault in the other region.
    pub destination_vault_id: Option<VaultId>,
}

#[derive(Debug, Clone)]
pub enum WantedPolicies {
    /// It takes the place of the vault's other policies of its kind.
    Instead(PolicyId),
    /// They join those that the vault has.
    Beside(Vec<PolicyId>),
}

/// Applies policies to a vault; answers the first of them. One that is applied already stays as it is.
pub async fn associate(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
    new: NewAssociation,
) -> Result<VaultPolicy, Error> {
    caller.authorise(Action::VaultsAssociatePolicy, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let vault = owned_for_change(&mut tx, project, id).await?;
    let destination = new.destination_vault_id.as_ref();
    let applied = match &new.policies {
        WantedPolicies::Instead(policy_id) => {
            let policy = fitting(&mut tx, &vault, policy_id, destination).await?;
            replace_kind(&mut tx, &vault, &policy).await?;
            apply(&mut tx, &vault, &policy, destination, now).await?
        }
        WantedPolicies::Beside(ids) => {
            let ids: BTreeSet<_> = ids.iter().collect();
            let mut first = None;
            for policy_id in ids {
                let policy = fitting(&mut tx, &vault, policy_id, destination).await?;
                let row = apply(&mut tx, &vault, &policy, destination, now).await?;
                first.get_or_insert(row);
            }
            check_number(&mut tx, &vault).await?;
            first.ok_or_else(|| Error::invalid("Invalid add_policy_ids provided: it is empty."))?
        }
    };
    tx.commit().await?;
    Ok(applied)
}

/// Takes a policy off a vault; the backups that it made there stay.
pub async fn dissociate(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VaultId,
    policy_id: &PolicyId,
) -> Result<(), Error> {
    caller.authorise(Action::VaultsDissociatePolicy, project)?;
    let mut tx = app.db.begin().await?;
    owned_for_change(&mut tx, project, id).await?;
    if !tx.delete_vault_policy(id, policy_id).await? {
        return Err(Error::PolicyNotApplied {
            policy_id: policy_id.clone(),
        });
    }
    tx.commit().await?;
    Ok(())
}

/// Applies a backup policy to a vault that is being created.
pub(crate) async fn apply_at_birth(
    tx: &mut Tx,
    vault: &Vault,
    policy_id: &PolicyId,
    now: Timestamp,
) -> Result<(), Error> {
    let policy = fitting(tx, vault, policy_id, None).await?;
    apply(tx, vault, &policy, None, now).await?;
    Ok(())
}

/// Under its lock, a vault in a state in which its policies may change.
async fn owned_for_change(
    tx: &mut Tx,
    project: &ProjectId,
    id: &VaultId,
) -> Result<Vault, Error> {
    let vault = vaults::owned(tx.lock_vault(id).await?, project, id)?;
    match vault.status {
        VaultStatus::Deleting | VaultStatus::Frozen => Err(Error::VaultState {
            status: vault.status,
        }),
        VaultStatus::Available | VaultStatus::Lock | VaultStatus::Error => Ok(vault),
    }
}

/// A policy of the vault's project that can be applied to it.
async fn fitting(
    tx: &mut Tx,
    vault: &Vault,
    id: &PolicyId,
    destination: Option<&VaultId>,
) -> Result<Policy, Error> {
    let policy = tx.lock_policy(id).await?;
    let policy = policies::owned(policy, &vault.project_id, id)?;
    if vault.protect_type == ProtectType::Hybrid || vault.cloud_type == CloudType::Hybrid {
        return Err(Error::HybridVault);
    }
    match policy.operation_type {
        PolicyOperation::Backup => check_backup(vault, destination)?,
        PolicyOperation::Replication => check_replication(tx, vault, destination).await?,
    }
    Ok(policy)
}

fn check_backup(vault: &Vault, destination: Option<&VaultId>) -> Result<(), Error> {
    if vault.protect_type != ProtectType::Backup {
        return Err(Error::PolicyDoesNotFit {
            message: "a backup policy cannot be applied to a vault for replicas".to_owned(),
        });
    }
    if destination.is_some() {
        return Err(Error::invalid(
            "Invalid destination_vault_id provided: it goes with a replication policy.",
        ));
    }
    Ok(())
}

async fn check_replication(
    tx: &mut Tx,
    vault: &Vault,
    destination: Option<&VaultId>,
) -> Result<(), Error> {
    if vault.protect_type != ProtectType::Backup {
        return Err(Error::ReplicationOfReplicas);
    }
    if vault.object_type != ObjectType::Server {
        return Err(Error::ReplicationOfDisks);
    }
    let Some(destination) = destination else {
        return Err(Error::invalid(
            "Invalid destination_vault_id provided: a replication policy needs it.",
        ));
    };
    // The policy leads to another region, where none of our vaults can be.
    if tx.find_vault(destination).await?.is_some() {
        return Err(Error::DestinationVaultNotFound {
            vault_id: destination.clone(),
        });
    }
    Ok(())
}

/// Takes the other policies of a kind off a vault.
async fn replace_kind(tx: &mut Tx, vault: &Vault, policy: &Policy) -> Result<(), Error> {
    for other in tx.policies_of_vault(&vault.id).await? {
        if other.operation_type == policy.operation_type && other.id != policy.id {
            tx.delete_vault_policy(&vault.id, &other.id).await?;
        }
    }
    Ok(())
}

async fn apply(
    tx: &mut Tx,
    vault: &Vault,
    policy: &Policy,
    destination: Option<&VaultId>,
    now: Timestamp,
) -> Result<VaultPolicy, Error> {
    if let Some(mut row) = tx.find_vault_policy(&vault.id, &policy.id).await? {
        tx.update_vault_policy_destination(&vault.id, &policy.id, destination)
            .await?;
        row.destination_vault_id = destination.cloned();
        return Ok(row);
    }
    let row = VaultPolicy {
        vault_id: vault.id.clone(),
        policy_id: policy.id.clone(),
        destination_vault_id: destination.cloned(),
        associated_at: now,
        last_due_at: None,
    };
    tx.insert_vault_policy(&row).await?;
    Ok(row)
}

async fn check_number(tx: &mut Tx, vault: &Vault) -> Result<(), Error> {
    let policies = tx.policies_of_vault(&vault.id).await?;
    let of_kind = |kind| policies.iter().filter(|p| p.operation_type == kind).count();
    let most = PolicyOperation::ALL.iter().map(|kind| of_kind(*kind)).max();
    if most.unwrap_or(0) > POLICIES_PER_VAULT_MAX {
        return Err(Error::invalid(format!(
            "A vault may have at most {POLICIES_PER_VAULT_MAX} policies of one kind."
        )));
    }
    Ok(())
}

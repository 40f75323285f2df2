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

/// Exactly one of the first two is given.
#[derive(Debug, Clone, Default)]
pub struct NewAssociation {
    /// Takes the place of the vault's other policies of its kind.
    pub policy_id: Option<PolicyId>,
    /// Join those that the vault has; 1 to 10.
    pub add_policy_ids: Option<Vec<PolicyId>>,
    /// Of replication policies: the vault in the other region.
    pub destination_vault_id: Option<VaultId>,
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
    let mut tx = app.db.begin().await?;
    let vault = owned_for_change(&mut tx, project, id).await?;
    let target = Target {
        vault: &vault,
        destination: new.destination_vault_id.as_ref(),
        now: app.now(),
    };
    let applied = match (new.policy_id, new.add_policy_ids) {
        (Some(policy_id), None) => target.take_instead(&mut tx, &policy_id).await?,
        (None, Some(ids)) => target.add(&mut tx, &ids).await?,
        _ => {
            return Err(Error::invalid(
                "Invalid policy_id provided: it must be there, or add_policy_ids must, and not both.",
            ));
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
    let target = Target {
        vault,
        destination: None,
        now,
    };
    let policy = policies::owned(
        tx.find_policy(policy_id).await?,
        &vault.project_id,
        policy_id,
    )?;
    if policy.operation_type != PolicyOperation::Backup {
        return Err(Error::PolicyDoesNotFit {
            message: "backup_policy_id names a replication policy".to_owned(),
        });
    }
    let policy = target.fitting(tx, policy_id).await?;
    target.apply(tx, &policy).await?;
    Ok(())
}

/// Under its lock, a vault in a state in which its policies may change.
async fn owned_for_change(tx: &mut Tx, project: &ProjectId, id: &VaultId) -> Result<Vault, Error> {
    let vault = vaults::owned(tx.lock_vault(id).await?, project, id)?;
    match vault.status {
        VaultStatus::Deleting | VaultStatus::Frozen => Err(Error::VaultState {
            status: vault.status,
        }),
        VaultStatus::Available | VaultStatus::Lock | VaultStatus::Error => Ok(vault),
    }
}

/// Where policies are applied to, and since when.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    vault: &'a Vault,
    destination: Option<&'a VaultId>,
    now: Timestamp,
}

impl Target<'_> {
    async fn take_instead(&self, tx: &mut Tx, id: &PolicyId) -> Result<VaultPolicy, Error> {
        let policy = self.fitting(tx, id).await?;
        for other in tx.policies_of_vault(&self.vault.id).await? {
            if other.operation_type == policy.operation_type && other.id != policy.id {
                tx.delete_vault_policy(&self.vault.id, &other.id).await?;
            }
        }
        self.apply(tx, &policy).await
    }

    async fn add(&self, tx: &mut Tx, ids: &[PolicyId]) -> Result<VaultPolicy, Error> {
        if !(1..=POLICIES_PER_VAULT_MAX).contains(&ids.len()) {
            return Err(Error::invalid(format!(
                "Invalid add_policy_ids provided: it must have 1 to {POLICIES_PER_VAULT_MAX} items."
            )));
        }
        let mut first = None;
        // In the order of their ids, so that two requests do not wait for each other's locks.
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let policy = self.fitting(tx, id).await?;
            let row = self.apply(tx, &policy).await?;
            first.get_or_insert(row);
        }
        self.check_number(tx).await?;
        first.ok_or_else(|| Error::broken("a list of at least one policy has a first"))
    }

    /// A policy of the vault's project that can be applied to it.
    async fn fitting(&self, tx: &mut Tx, id: &PolicyId) -> Result<Policy, Error> {
        let vault = self.vault;
        let policy = tx.lock_policy(id).await?;
        let policy = policies::owned(policy, &vault.project_id, id)?;
        if vault.protect_type == ProtectType::Hybrid || vault.cloud_type == CloudType::Hybrid {
            return Err(Error::HybridVault);
        }
        match policy.operation_type {
            PolicyOperation::Backup => self.check_backup()?,
            PolicyOperation::Replication => self.check_replication(tx).await?,
        }
        Ok(policy)
    }

    fn check_backup(&self) -> Result<(), Error> {
        if self.vault.protect_type != ProtectType::Backup {
            return Err(Error::PolicyDoesNotFit {
                message: "a backup policy cannot be applied to a vault for replicas".to_owned(),
            });
        }
        if self.destination.is_some() {
            return Err(Error::invalid(
                "Invalid destination_vault_id provided: it goes with a replication policy.",
            ));
        }
        Ok(())
    }

    async fn check_replication(&self, tx: &mut Tx) -> Result<(), Error> {
        if self.vault.protect_type != ProtectType::Backup {
            return Err(Error::ReplicationOfReplicas);
        }
        if self.vault.object_type != ObjectType::Server {
            return Err(Error::ReplicationOfDisks);
        }
        let Some(destination) = self.destination else {
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

    async fn apply(&self, tx: &mut Tx, policy: &Policy) -> Result<VaultPolicy, Error> {
        let vault_id = &self.vault.id;
        if let Some(row) = tx.find_vault_policy(vault_id, &policy.id).await? {
            tx.update_vault_policy_destination(vault_id, &policy.id, self.destination)
                .await?;
            return Ok(VaultPolicy {
                destination_vault_id: self.destination.cloned(),
                ..row
            });
        }
        let row = VaultPolicy {
            vault_id: vault_id.clone(),
            policy_id: policy.id.clone(),
            destination_vault_id: self.destination.cloned(),
            associated_at: self.now,
            last_due_at: None,
        };
        tx.insert_vault_policy(&row).await?;
        Ok(row)
    }

    async fn check_number(&self, tx: &mut Tx) -> Result<(), Error> {
        let policies = tx.policies_of_vault(&self.vault.id).await?;
        let of_kind = |kind| policies.iter().filter(|p| p.operation_type == kind).count();
        let most = PolicyOperation::ALL.iter().map(|kind| of_kind(*kind)).max();
        if most.unwrap_or(0) > POLICIES_PER_VAULT_MAX {
            return Err(Error::invalid(format!(
                "A vault may have at most {POLICIES_PER_VAULT_MAX} policies of one kind."
            )));
        }
        Ok(())
    }
}

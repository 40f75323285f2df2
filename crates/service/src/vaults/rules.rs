//! What a vault may be and become, as far as the vault alone decides it.

use std::collections::BTreeSet;

use strongroom_db::{JsonText, Tag, Vault};
use strongroom_types::{
    ChargingMode, CloudType, ConsistentLevel, GIB, ObjectType, ProtectType, Timestamp, VaultStatus,
};

use super::{Charging, NewVault, VaultChange};
use crate::{Error, Settings};

pub(crate) const SIZE_GB_MAX: u64 = 10_485_760;
const SIZE_GB_MIN_NEW: u64 = 10;
const PERIODS_MAX: u64 = 9;
const DESCRIPTION_LENGTH_MAX: usize = 255;

pub(crate) fn check_new(new: &NewVault, settings: &Settings) -> Result<(), Error> {
    check_offered(new)?;
    check_size(new.size_gb, SIZE_GB_MIN_NEW)?;
    check_description(new.description.as_deref().unwrap_or_default())?;
    check_threshold(new.threshold)?;
    check_tags(&new.tags, settings.tags_per_vault_max)?;
    if new.consistent_level == ConsistentLevel::App && new.object_type != ObjectType::Server {
        return Err(Error::invalid(
            "consistent_level app_consistent is for server vaults only.",
        ));
    }
    match new.charging {
        Charging::PostPaid if new.demand_billing => {
            return Err(Error::invalid(
                "demand_billing is for pre_paid vaults only.",
            ));
        }
        Charging::PrePaid { .. } if new.auto_expand => {
            return Err(Error::invalid("auto_expand is for post_paid vaults only."));
        }
        Charging::PrePaid { period_num, .. } if !(1..=PERIODS_MAX).contains(&period_num) => {
            return Err(Error::invalid(format!(
                "period_num must be 1 to {PERIODS_MAX}."
            )));
        }
        Charging::PostPaid | Charging::PrePaid { .. } => {}
    }
    if new.is_multi_az {
        return Err(Error::invalid(
            "is_multi_az is not offered: this installation has one storage location.",
        ));
    }
    Ok(())
}

fn check_offered(new: &NewVault) -> Result<(), Error> {
    let refuse = |what: &str| {
        Err(Error::VaultTypeNotOffered {
            message: format!("{what} is not offered here: vaults hold servers or disks"),
        })
    };
    match (new.cloud_type, new.object_type) {
        // What the API calls VMware vaults are vaults of machines that another site backs up.
        (_, ObjectType::Server | ObjectType::Disk) | (CloudType::Hybrid, ObjectType::Vmware) => {}
        (_, other) => return refuse(&format!("object_type {other}")),
    }
    match (new.cloud_type, new.protect_type) {
        (CloudType::Public, ProtectType::Backup | ProtectType::Replication)
        | (CloudType::Hybrid, ProtectType::Backup | ProtectType::Hybrid) => Ok(()),
        (CloudType::Public, ProtectType::Hybrid) => refuse("protect_type hybrid"),
        (CloudType::Hybrid, ProtectType::Replication) => {
            refuse("cloud_type hybrid with protect_type replication")
        }
    }
}

/// A size that is ordered for a vault that exists.
pub(crate) fn check_new_size(size_gb: u64) -> Result<(), Error> {
    check_size(size_gb, SIZE_GB_MIN_NEW)
}

fn check_size(size_gb: u64, min: u64) -> Result<(), Error> {
    if (min..=SIZE_GB_MAX).contains(&size_gb) {
        Ok(())
    } else {
        Err(Error::VaultSize {
            message: format!("the size of a vault must be {min} to {SIZE_GB_MAX} GB"),
        })
    }
}

pub(crate) fn check_description(text: &str) -> Result<(), Error> {
    if text.chars().count() > DESCRIPTION_LENGTH_MAX || text.contains(['<', '>']) {
        return Err(Error::invalid(format!(
            "description has at most {DESCRIPTION_LENGTH_MAX} characters and no < or >."
        )));
    }
    Ok(())
}

fn check_threshold(percent: u64) -> Result<(), Error> {
    if (1..=100).contains(&percent) {
        Ok(())
    } else {
        Err(Error::invalid("threshold must be 1 to 100."))
    }
}

pub(crate) fn check_tags(tags: &[Tag], max: u64) -> Result<(), Error> {
    if tags.len() as u64 > max {
        return Err(Error::TooManyTags { max });
    }
    let keys: BTreeSet<_> = tags.iter().map(|tag| &tag.key).collect();
    if keys.len() < tags.len() {
        return Err(Error::invalid("The keys of tags must be unique."));
    }
    Ok(())
}

pub(crate) fn check_changeable(vault: &Vault) -> Result<(), Error> {
    match vault.status {
        VaultStatus::Available | VaultStatus::Lock | VaultStatus::Error => Ok(()),
        VaultStatus::Deleting | VaultStatus::Frozen => Err(Error::VaultState {
            status: vault.status,
        }),
    }
}

/// Applies a change, or says what forbids it.
pub(super) fn apply(vault: &mut Vault, change: VaultChange) -> Result<(), Error> {
    check_changeable(vault)?;
    if let Some(size_gb) = change.size_gb {
        resize(vault, size_gb)?;
    }
    if let Some(level) = change.consistent_level {
        raise_consistency(vault, level)?;
    }
    if let Some(auto_expand) = change.auto_expand {
        if auto_expand && vault.charging_mode == ChargingMode::PrePaid {
            return Err(Error::invalid("auto_expand is for post_paid vaults only."));
        }
        vault.auto_expand = auto_expand;
    }
    if let Some(locked) = change.locked {
        if vault.locked && !locked {
            return Err(Error::VaultUnlock);
        }
        vault.locked = locked;
    }
    if let Some(threshold) = change.threshold {
        check_threshold(threshold)?;
        vault.threshold = threshold;
    }
    if let Some(name) = change.name {
        vault.name = name;
    }
    if let Some(rules) = change.bind_rules {
        vault.bind_rules = Some(JsonText(rules));
    }
    vault.auto_bind = change.auto_bind.unwrap_or(vault.auto_bind);
    vault.smn_notify = change.smn_notify.unwrap_or(vault.smn_notify);
    Ok(())
}

fn resize(vault: &mut Vault, size_gb: u64) -> Result<(), Error> {
    if size_gb == vault.size_gb {
        return Ok(());
    }
    check_size(size_gb, 1)?;
    let refuse = |message: &str| {
        Err(Error::VaultNotChangeable {
            message: message.to_owned(),
        })
    };
    if vault.charging_mode == ChargingMode::PrePaid {
        return refuse("the size of a prepaid vault is that of its order");
    }
    if size_gb * GIB < vault.used_bytes {
        return refuse("the vault cannot become smaller than what its backups take");
    }
    vault.size_gb = size_gb;
    Ok(())
}

pub(crate) const fn is_full(vault: &Vault) -> bool {
    vault.used_bytes >= vault.size_gb * GIB
}

/// Writes a measured use. A vault that may grow does so by quarters at the moment when it becomes full; one that was full
/// before it might grow stays as it is.
pub(crate) fn set_used(vault: &mut Vault, used_bytes: u64) {
    let was_full = is_full(vault);
    vault.used_bytes = used_bytes;
    let grows = vault.auto_expand && !was_full;
    while grows && is_full(vault) && vault.size_gb < SIZE_GB_MAX {
        vault.size_gb = (vault.size_gb * 5).div_ceil(4).min(SIZE_GB_MAX);
    }
}

/// Whether a vault grows by itself far enough to hold so much.
pub(crate) fn may_expand(vault: &Vault, used_bytes: u64) -> bool {
    vault.auto_expand && used_bytes <= SIZE_GB_MAX * GIB
}

fn raise_consistency(vault: &mut Vault, level: ConsistentLevel) -> Result<(), Error> {
    match (vault.consistent_level, level) {
        (ConsistentLevel::Crash, ConsistentLevel::App)
            if vault.object_type != ObjectType::Server =>
        {
            Err(Error::invalid(
                "consistent_level app_consistent is for server vaults only.",
            ))
        }
        (ConsistentLevel::App, ConsistentLevel::Crash) => Err(Error::invalid(
            "consistent_level can change from crash_consistent to app_consistent only.",
        )),
        _ => {
            vault.consistent_level = level;
            Ok(())
        }
    }
}

/// A prepaid vault stays until its term has ended.
pub(super) fn check_deletable(vault: &Vault, now: Timestamp) -> Result<(), Error> {
    match vault.status {
        VaultStatus::Deleting => Err(Error::VaultDeleting),
        VaultStatus::Frozen => Err(Error::VaultState {
            status: vault.status,
        }),
        VaultStatus::Available | VaultStatus::Lock | VaultStatus::Error => {
            if vault.term_ends_at.is_some_and(|end| end > now) {
                return Err(Error::VaultPrePaid);
            }
            Ok(())
        }
    }
}

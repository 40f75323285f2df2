//! Tags of vaults, and vaults found by their tags.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_db::{Page, Tag, TaggedVaultFilter, Tx, Vault, VaultTag};
use strongroom_types::{ProjectId, VaultId};

use crate::vaults::{self, VaultView, rules};
use crate::{Action, App, Caller, Error};

/// A project has as many different tags as its vaults hold; the answer is bounded all the same.
const PROJECT_TAGS_MAX: u64 = 10_000;

/// Gives a vault a tag, or its tag of that key another value.
pub async fn put(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    tag: Tag,
) -> Result<(), Error> {
    caller.authorise(Action::VaultsSetTags, project)?;
    put_all(app, project, vault_id, vec![tag]).await
}

/// The same for several tags, of which either all are set or none.
pub async fn put_several(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    tags: Vec<Tag>,
) -> Result<(), Error> {
    caller.authorise(Action::VaultsBulkTags, project)?;
    put_all(app, project, vault_id, tags).await
}

async fn put_all(
    app: &App,
    project: &ProjectId,
    vault_id: &VaultId,
    tags: Vec<Tag>,
) -> Result<(), Error> {
    let max = app.settings.tags_per_vault_max;
    rules::check_tags(&tags, max)?;
    let mut tx = app.db.begin().await?;
    let vault = lock_changeable(&mut tx, project, vault_id).await?;
    for tag in tags {
        let tag = VaultTag {
            vault_id: vault.id.clone(),
            key: tag.key,
            value: tag.value,
        };
        tx.put_vault_tag(&tag).await?;
    }
    if tx.tags_of_vaults(&[vault.id]).await?.len() as u64 > max {
        return Err(Error::TooManyTags { max });
    }
    tx.commit().await?;
    Ok(())
}

/// Takes tags from a vault; keys that it does not have are passed over.
pub async fn take(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    keys: &[String],
) -> Result<(), Error> {
    caller.authorise(Action::VaultsBulkTags, project)?;
    let mut tx = app.db.begin().await?;
    let vault = lock_changeable(&mut tx, project, vault_id).await?;
    for key in keys {
        tx.delete_vault_tag(&vault.id, key).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Takes one tag from a vault, which must have it.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    key: &str,
) -> Result<(), Error> {
    caller.authorise(Action::VaultsDeleteTags, project)?;
    let mut tx = app.db.begin().await?;
    let vault = lock_changeable(&mut tx, project, vault_id).await?;
    if !tx.delete_vault_tag(&vault.id, key).await? {
        return Err(Error::TagNotFound);
    }
    tx.commit().await?;
    Ok(())
}

async fn lock_changeable(tx: &mut Tx, project: &ProjectId, id: &VaultId) -> Result<Vault, Error> {
    let vault = vaults::owned(tx.lock_vault(id).await?, project, id)?;
    rules::check_changeable(&vault)?;
    Ok(vault)
}

/// One vault's tags, by key; the view has more of the vault.
pub async fn of_vault(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
) -> Result<VaultView, Error> {
    caller.authorise(Action::VaultsGetTags, project)?;
    let mut tx = app.db.read().await?;
    let vault = vaults::owned(tx.find_vault(vault_id).await?, project, vault_id)?;
    vaults::view(&mut tx, vault).await
}

/// The values in use in the project, by key.
pub async fn of_project(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    caller.authorise(Action::VaultsListProjectTags, project)?;
    let mut tx = app.db.read().await?;
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Tag { key, value } in tx.tags_of_project(project, PROJECT_TAGS_MAX).await? {
        values.entry(key).or_default().insert(value);
    }
    Ok(values)
}

/// Vaults whose tags pass the filter, newest first, and how many there are.
pub async fn find_vaults(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &TaggedVaultFilter,
    page: &Page,
) -> Result<(Vec<VaultView>, u64), Error> {
    caller.authorise(Action::VaultsListResourceInstances, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_vaults_by_tags(project, filter, page).await?;
    Ok((vaults::views(&mut tx, listed.rows).await?, listed.total))
}

/// How many vaults' tags pass the filter.
pub async fn count_vaults(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &TaggedVaultFilter,
) -> Result<u64, Error> {
    caller.authorise(Action::VaultsListResourceInstances, project)?;
    let mut tx = app.db.read().await?;
    Ok(tx.count_vaults_by_tags(project, filter).await?)
}

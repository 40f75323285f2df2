//! The first start: one domain, one project named like the region (clients look it up by that name) and one
//! administrator.

use strongroom_db::{AccessKey, Account, Domain, Membership, Project};
use strongroom_types::{DomainId, ProjectId, Role, UserId};

use super::access_keys::new_key;
use super::{Secret, passwords};
use crate::{App, Error};

const DOMAIN_NAME: &str = "default";
const USER_NAME: &str = "admin";
/// In characters of five bits.
const PASSWORD_LENGTH: usize = 26;

/// The administrator's credentials, which exist nowhere else in the clear.
#[derive(Debug, Clone)]
pub struct FirstCredentials {
    pub region: String,
    pub domain_id: DomainId,
    pub domain_name: String,
    pub project_id: ProjectId,
    pub project_name: String,
    pub user_id: UserId,
    pub user_name: String,
    pub password: Secret,
    pub access_key: String,
    pub secret_key: Secret,
    key: AccessKey,
}

/// Credentials for an installation that has no domain yet; none when it has had its first start.
///
/// Store them where the operator finds them, then call [`bootstrap`]: in this order a crash between the two
/// leaves a file without effect rather than an installation nobody can enter.
pub async fn prepare_bootstrap(app: &App) -> Result<Option<FirstCredentials>, Error> {
    prepare_bootstrap_in(app, ProjectId::random(&*app.ids)).await
}

/// As [`prepare_bootstrap`], for a first project that has its id already.
pub async fn prepare_bootstrap_in(
    app: &App,
    project_id: ProjectId,
) -> Result<Option<FirstCredentials>, Error> {
    let done = app.db.read().await?.any_domain().await?;
    if done {
        return Ok(None);
    }
    let user_id = UserId::random(&*app.ids);
    let (key, secret_key) = new_key(app, user_id.clone());
    Ok(Some(FirstCredentials {
        region: app.settings.region.clone(),
        domain_id: DomainId::random(&*app.ids),
        domain_name: DOMAIN_NAME.to_owned(),
        project_id,
        project_name: app.settings.region.clone(),
        user_id,
        user_name: USER_NAME.to_owned(),
        password: Secret::random(&*app.ids, PASSWORD_LENGTH),
        access_key: key.access_key.clone(),
        secret_key,
        key,
    }))
}

/// Puts the credentials into force. `false` when another process was first, and they are worthless.
pub async fn bootstrap(app: &App, first: &FirstCredentials) -> Result<bool, Error> {
    let created_at = app.now();
    let password_hash = passwords::hash(app, &first.password).await?;
    let mut tx = app.db.begin().await?;
    let domain = Domain {
        id: first.domain_id.clone(),
        name: first.domain_name.clone(),
        created_at,
    };
    match tx.insert_domain(&domain).await {
        Err(strongroom_db::Error::Conflict(_)) => return Ok(false),
        outcome => outcome?,
    }
    tx.insert_project(&Project {
        id: first.project_id.clone(),
        domain_id: first.domain_id.clone(),
        name: first.project_name.clone(),
        created_at,
    })
    .await?;
    tx.insert_account(&Account {
        id: first.user_id.clone(),
        domain_id: first.domain_id.clone(),
        name: first.user_name.clone(),
        password_hash,
        created_at,
    })
    .await?;
    tx.upsert_membership(&Membership {
        user_id: first.user_id.clone(),
        project_id: first.project_id.clone(),
        role: Role::Admin,
    })
    .await?;
    tx.insert_access_key(&first.key).await?;
    tx.commit().await?;
    Ok(true)
}

//! Access keys: a name that travels and a secret that signs. The secret is kept sealed, since verifying needs it.

use std::time::Duration;

use strongroom_db::{AccessKey, Page, ProjectFilter, Tx};
use strongroom_types::{ProjectId, Timestamp, UserId};

use super::Secret;
use super::secrets::token_hash;
use super::tokens::hold_token;
use crate::{App, Caller, Error, audit};

/// In characters of five bits.
pub(super) const ACCESS_KEY_LENGTH: usize = 20;
pub(super) const SECRET_KEY_LENGTH: usize = 40;
const TEMPORARY_MIN: Duration = Duration::from_mins(15);
const TEMPORARY_MAX: Duration = Duration::from_hours(24);

/// What a signed request says about itself.
#[derive(Debug, Clone)]
pub struct KeyClaim {
    pub access_key: String,
    /// Comes with temporary keys.
    pub security_token: Option<Secret>,
    /// The project that the request names.
    pub project_id: Option<ProjectId>,
    pub request_id: String,
}

/// The owner of an access key, before the request's signature was checked with its secret.
#[derive(Debug)]
pub struct UnverifiedCaller {
    caller: Caller,
    secret: Secret,
}

impl UnverifiedCaller {
    /// Gives the secret to `check`, and the caller out only when it is content.
    pub fn verify<E>(self, check: impl FnOnce(&str) -> Result<(), E>) -> Result<Caller, E> {
        check(self.secret.expose())?;
        Ok(self.caller)
    }
}

/// A key that ends by itself.
#[derive(Debug, Clone)]
pub struct TemporaryKey {
    pub access_key: String,
    pub secret: Secret,
    pub security_token: Secret,
    pub expires_at: Timestamp,
}

/// Finds whose key it is. `Unauthenticated` when it is unknown or expired, or when a temporary key comes without
/// its security token.
///
/// The scope of a permanent key is the project that the request names or else the user's only one.
pub async fn authenticate_access_key(
    app: &App,
    claim: KeyClaim,
) -> Result<UnverifiedCaller, Error> {
    let mut tx = app.db.read().await?;
    let key = tx.find_access_key(&claim.access_key).await?;
    let key = key.filter(|key| is_good(key, claim.security_token.as_ref(), app.now()));
    let key = key.ok_or(Error::Unauthenticated)?;
    let account = tx.find_account(&key.user_id).await?;
    let account = account.ok_or(Error::Unauthenticated)?;
    let project_id = match (key.project_id, claim.project_id) {
        (Some(project_id), _) | (None, Some(project_id)) => Some(project_id),
        (None, None) => only_project(&mut tx, &account.id).await?,
    };
    let role = tx.find_role(&account.id, project_id.as_ref()).await?;
    let secret = app.seal.open(&key.access_key, &key.secret_sealed);
    let secret = secret.map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(UnverifiedCaller {
        caller: Caller {
            user_id: account.id,
            user_name: account.name,
            domain_id: account.domain_id,
            project_id,
            role,
            request_id: claim.request_id,
        },
        secret: Secret::new(secret.to_string()),
    })
}

/// Makes a key from a token that is valid: scoped as it is and never outliving it.
pub async fn create_temporary_key(
    app: &App,
    token: &Secret,
    lifetime: Option<Duration>,
) -> Result<TemporaryKey, Error> {
    let lifetime = lifetime.unwrap_or(TEMPORARY_MIN);
    if !(TEMPORARY_MIN..=TEMPORARY_MAX).contains(&lifetime) {
        return Err(Error::invalid(
            "duration_seconds must be between 900 and 86400.",
        ));
    }
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let (token, account) = hold_token(&mut tx, &token_hash(token.expose()), now).await?;
    let security_token = Secret::random_token(&*app.ids);
    audit::identified(&account);
    let (row, secret) = new_key(app, account.id);
    let expires_at = token.expires_at.min(now.plus(lifetime));
    let row = AccessKey {
        security_token_hash: Some(token_hash(security_token.expose())),
        project_id: token.project_id,
        expires_at: Some(expires_at),
        ..row
    };
    tx.insert_access_key(&row).await?;
    tx.commit().await?;
    Ok(TemporaryKey {
        access_key: row.access_key,
        secret,
        security_token,
        expires_at,
    })
}

/// A permanent key that is not stored yet, and its secret.
pub(super) fn new_key(app: &App, user_id: UserId) -> (AccessKey, Secret) {
    let access_key = Secret::random(&*app.ids, ACCESS_KEY_LENGTH);
    let secret = Secret::random(&*app.ids, SECRET_KEY_LENGTH);
    let row = AccessKey {
        access_key: access_key.expose().to_owned(),
        user_id,
        secret_sealed: app
            .seal
            .seal(&*app.ids, access_key.expose(), secret.expose()),
        security_token_hash: None,
        project_id: None,
        created_at: app.now(),
        expires_at: None,
    };
    (row, secret)
}

fn is_good(key: &AccessKey, security_token: Option<&Secret>, now: Timestamp) -> bool {
    // Hashes are compared: how long that takes tells nothing about the token.
    let claimed = security_token.map(|token| token_hash(token.expose()));
    key.expires_at.is_none_or(|end| end > now) && key.security_token_hash == claimed
}

async fn only_project(tx: &mut Tx, user: &UserId) -> Result<Option<ProjectId>, Error> {
    let filter = ProjectFilter {
        name: None,
        member: Some(user.clone()),
    };
    let mut projects = tx.list_projects(&filter, &Page::first(2)).await?;
    Ok(match projects.len() {
        1 => projects.pop().map(|project| project.id),
        _ => None,
    })
}

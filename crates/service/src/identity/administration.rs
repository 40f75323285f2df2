//! Projects, users and their keys, for administrators.

use std::collections::HashMap;

use strongroom_db::{Account, Membership, Page, Project, ProjectFilter};
use strongroom_types::{ProjectId, Role, Timestamp, UserId};

use super::access_keys::new_key;
use super::{Secret, passwords};
use crate::{Action, App, Caller, Error, audit, organization_policies};

const NAME_LENGTH_MAX: usize = 64;
const ACCESS_KEYS_PER_USER_MAX: usize = 100;

#[derive(Debug, Clone)]
pub struct NewUser {
    pub name: String,
    pub password: Secret,
    pub project_id: ProjectId,
    pub role: Role,
}

#[derive(Debug, Clone)]
pub struct UserView {
    pub account: Account,
    pub memberships: Vec<Membership>,
}

/// An access key without what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyView {
    pub access_key: String,
    pub user_id: UserId,
    pub created_at: Timestamp,
}

/// Shown once: the secret cannot be asked for again.
#[derive(Debug, Clone)]
pub struct NewAccessKey {
    pub view: AccessKeyView,
    pub secret: Secret,
}

pub async fn create_project(app: &App, caller: &Caller, name: String) -> Result<Project, Error> {
    caller.authorise_installation(Action::IdentityChange)?;
    check_name(&name)?;
    let project = Project {
        id: ProjectId::random(&*app.ids),
        domain_id: caller.domain_id.clone(),
        name,
        created_at: app.now(),
    };
    let mut tx = app.db.begin().await?;
    let inserted = tx.insert_project(&project).await;
    inserted.map_err(|error| taken(error, &project.name))?;
    organization_policies::welcome(app, &mut tx, &project, &caller.request_id).await?;
    audit::made("project", &project.id);
    tx.commit().await?;
    app.wake.notify_one();
    Ok(project)
}

/// Oldest first.
pub async fn list_all_projects(
    app: &App,
    caller: &Caller,
    page: &Page,
) -> Result<Vec<Project>, Error> {
    caller.authorise_installation(Action::IdentityList)?;
    let mut tx = app.db.read().await?;
    Ok(tx.list_projects(&ProjectFilter::default(), page).await?)
}

/// Creates a user with a first role, in the caller's domain.
pub async fn create_user(app: &App, caller: &Caller, new: NewUser) -> Result<UserView, Error> {
    caller.authorise_installation(Action::IdentityChange)?;
    check_name(&new.name)?;
    passwords::check_new(&new.password)?;
    let account = Account {
        id: UserId::random(&*app.ids),
        domain_id: caller.domain_id.clone(),
        name: new.name,
        password_hash: passwords::hash(app, &new.password).await?,
        created_at: app.now(),
    };
    let membership = Membership {
        user_id: account.id.clone(),
        project_id: new.project_id,
        role: new.role,
    };
    let mut tx = app.db.begin().await?;
    if tx.find_project(&membership.project_id).await?.is_none() {
        return Err(Error::ProjectNotFound {
            project_id: membership.project_id,
        });
    }
    let inserted = tx.insert_account(&account).await;
    inserted.map_err(|error| taken(error, &account.name))?;
    tx.upsert_membership(&membership).await?;
    audit::made("user", &account.id);
    tx.commit().await?;
    Ok(UserView {
        account,
        memberships: vec![membership],
    })
}

/// Oldest first.
pub async fn list_users(app: &App, caller: &Caller, page: &Page) -> Result<Vec<UserView>, Error> {
    caller.authorise_installation(Action::IdentityList)?;
    let mut tx = app.db.read().await?;
    let accounts = tx.list_accounts(page).await?;
    let mut memberships: HashMap<UserId, Vec<Membership>> = HashMap::new();
    for membership in tx.list_memberships_of_accounts(page).await? {
        let of_user = memberships.entry(membership.user_id.clone());
        of_user.or_default().push(membership);
    }
    Ok(accounts
        .into_iter()
        .map(|account| UserView {
            memberships: memberships.remove(&account.id).unwrap_or_default(),
            account,
        })
        .collect())
}

/// Gives a user a role in a project, in place of the one they had there. Refused where it would leave the
/// installation without an administrator.
pub async fn add_membership(
    app: &App,
    caller: &Caller,
    membership: Membership,
) -> Result<UserView, Error> {
    caller.authorise_installation(Action::IdentityChange)?;
    let Membership {
        user_id,
        project_id,
        ..
    } = membership.clone();
    let mut tx = app.db.begin().await?;
    let account = tx.lock_account(&user_id).await?;
    let Some(account) = account else {
        return Err(Error::UserNotFound { user_id });
    };
    if tx.find_project(&project_id).await?.is_none() {
        return Err(Error::ProjectNotFound { project_id });
    }
    tx.upsert_membership(&membership).await?;
    if !tx.any_admin().await? {
        return Err(Error::invalid(
            "The last administrator must remain one: give another user that role first.",
        ));
    }
    let memberships = tx.list_memberships(&user_id).await?;
    tx.commit().await?;
    Ok(UserView {
        account,
        memberships,
    })
}

/// Sets a password and ends the user's tokens and temporary keys.
pub async fn set_password(
    app: &App,
    caller: &Caller,
    user_id: &UserId,
    password: &Secret,
) -> Result<(), Error> {
    caller.authorise_installation(Action::IdentityChange)?;
    passwords::check_new(password)?;
    let hash = passwords::hash(app, password).await?;
    let mut tx = app.db.begin().await?;
    if !tx.update_password(user_id, &hash).await? {
        return Err(Error::UserNotFound {
            user_id: user_id.clone(),
        });
    }
    tx.delete_sessions(user_id).await?;
    tx.commit().await?;
    Ok(())
}

pub async fn create_access_key(
    app: &App,
    caller: &Caller,
    user_id: &UserId,
) -> Result<NewAccessKey, Error> {
    caller.authorise_installation(Action::IdentityChange)?;
    let mut tx = app.db.begin().await?;
    // Held, so that the count below is right for two who ask at once.
    if tx.lock_account(user_id).await?.is_none() {
        return Err(Error::UserNotFound {
            user_id: user_id.clone(),
        });
    }
    if tx.list_access_keys(user_id).await?.len() >= ACCESS_KEYS_PER_USER_MAX {
        return Err(Error::invalid(format!(
            "A user may have at most {ACCESS_KEYS_PER_USER_MAX} access keys."
        )));
    }
    let (row, secret) = new_key(app, user_id.clone());
    tx.insert_access_key(&row).await?;
    tx.commit().await?;
    Ok(NewAccessKey {
        view: AccessKeyView {
            access_key: row.access_key,
            user_id: row.user_id,
            created_at: row.created_at,
        },
        secret,
    })
}

/// The user's permanent keys, oldest first.
pub async fn list_access_keys(
    app: &App,
    caller: &Caller,
    user_id: &UserId,
) -> Result<Vec<AccessKeyView>, Error> {
    caller.authorise_installation(Action::IdentityList)?;
    let mut tx = app.db.read().await?;
    if tx.find_account(user_id).await?.is_none() {
        return Err(Error::UserNotFound {
            user_id: user_id.clone(),
        });
    }
    let keys = tx.list_access_keys(user_id).await?;
    Ok(keys
        .into_iter()
        .map(|key| AccessKeyView {
            access_key: key.access_key,
            user_id: key.user_id,
            created_at: key.created_at,
        })
        .collect())
}

pub async fn delete_access_key(app: &App, caller: &Caller, access_key: &str) -> Result<(), Error> {
    caller.authorise_installation(Action::IdentityChange)?;
    let mut tx = app.db.begin().await?;
    if !tx.delete_access_key(access_key).await? {
        return Err(Error::AccessKeyNotFound {
            access_key: access_key.to_owned(),
        });
    }
    tx.commit().await?;
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    let fits = (1..=NAME_LENGTH_MAX).contains(&name.chars().count());
    if !fits || name.trim() != name || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "The name must have 1 to {NAME_LENGTH_MAX} characters, without blanks around it."
        )));
    }
    Ok(())
}

fn taken(error: strongroom_db::Error, name: &str) -> Error {
    match error {
        strongroom_db::Error::Conflict(_) => Error::NameTaken {
            name: name.to_owned(),
        },
        other => other.into(),
    }
}

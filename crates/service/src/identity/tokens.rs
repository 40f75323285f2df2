//! Tokens: proof once, then a text that stands for it until it ends.

use strongroom_db::{Account, Domain, JsonText, Page, Project, ProjectFilter, Token, Tx};
use strongroom_types::{DomainId, ProjectId, Role, Timestamp, UserId};

use super::secrets::token_hash;
use super::{Secret, passwords};
use crate::{App, Caller, Error, audit};

/// Expired sessions that each sign-in clears away: more than it adds, so that they do not pile up.
const PRUNED_PER_TOKEN: u32 = 100;

/// A domain as clients name it. Ids stay texts here: one that has no id's shape is merely unknown.
#[derive(Debug, Clone)]
pub enum DomainRef {
    Id(String),
    Name(String),
}

#[derive(Debug, Clone)]
pub enum UserRef {
    Id(String),
    Name { name: String, domain: DomainRef },
}

#[derive(Debug, Clone)]
pub enum ProjectRef {
    Id(String),
    /// Without a domain, the user's own is meant.
    Name {
        name: String,
        domain: Option<DomainRef>,
    },
}

/// How a user shows who they are.
#[derive(Debug, Clone)]
pub enum Proof {
    Password { user: UserRef, password: Secret },
    Token(Secret),
}

/// What the new token is to be good for.
#[derive(Debug, Clone)]
pub enum ScopeWish {
    /// The user's oldest project, or nothing when they are in none.
    Unsaid,
    Unscoped,
    Project(ProjectRef),
    Domain(DomainRef),
}

#[derive(Debug, Clone)]
pub struct IssuedToken {
    pub token: Secret,
    pub view: TokenView,
}

/// What a token says about its user.
#[derive(Debug, Clone)]
pub struct TokenView {
    pub methods: Vec<String>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub user_id: UserId,
    pub user_name: String,
    pub user_domain: Domain,
    pub project: Option<ProjectView>,
    /// Of a token that is scoped to a domain.
    pub domain: Option<Domain>,
    pub role: Option<Role>,
}

#[derive(Debug, Clone)]
pub struct ProjectView {
    pub project: Project,
    pub domain: Domain,
}

#[derive(Debug, Default)]
struct Scope {
    project_id: Option<ProjectId>,
    domain_id: Option<DomainId>,
}

/// A checked proof: whose, and what it passes on to the token.
struct Proven {
    account: Account,
    methods: Vec<String>,
    /// A token made from a token ends with it.
    expires_at: Option<Timestamp>,
}

/// Exchanges a proof for a token. Every refusal is the same `Unauthenticated`: nothing tells whether the user,
/// the password, the project or the role was wrong.
pub async fn issue_token(app: &App, proof: Proof, wish: ScopeWish) -> Result<IssuedToken, Error> {
    let checked = match proof {
        Proof::Password { user, password } => {
            Checked::Account(check_password(app, &user, &password).await?)
        }
        Proof::Token(token) => Checked::Token(token_hash(token.expose())),
    };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let proven = checked.hold(&mut tx, now).await?;
    audit::identified(&proven.account);
    let scope = resolve_scope(&mut tx, &proven.account, &wish).await?;
    let secret = Secret::random_token(&*app.ids);
    let token = Token {
        token_hash: token_hash(secret.expose()),
        user_id: proven.account.id.clone(),
        project_id: scope.project_id,
        domain_id: scope.domain_id,
        methods: JsonText(proven.methods),
        issued_at: now,
        expires_at: proven
            .expires_at
            .unwrap_or(now.plus(app.settings.token_lifetime)),
    };
    tx.insert_token(&token).await?;
    tx.delete_expired_sessions(now, PRUNED_PER_TOKEN).await?;
    let view = view(&mut tx, token, proven.account).await?;
    tx.commit().await?;
    Ok(IssuedToken {
        token: secret,
        view,
    })
}

/// The user behind a token.
pub async fn authenticate_token(
    app: &App,
    token: &str,
    request_id: String,
) -> Result<Caller, Error> {
    let mut tx = app.db.read().await?;
    let (token, account) = find_token(&mut tx, token, app.now()).await?;
    let role = tx.find_role(&account.id, token.project_id.as_ref()).await?;
    Ok(Caller {
        user_id: account.id,
        user_name: account.name,
        domain_id: account.domain_id,
        project_id: token.project_id,
        role,
        request_id,
    })
}

/// What a token says. Administrators may ask about any, others about their own; to them the rest do not exist.
pub async fn describe_token(
    app: &App,
    caller: &Caller,
    subject: &str,
) -> Result<Option<TokenView>, Error> {
    let mut tx = app.db.read().await?;
    let Some(token) = tx.find_token(&token_hash(subject), app.now()).await? else {
        return Ok(None);
    };
    if token.user_id != caller.user_id && !caller.is_admin() {
        return Ok(None);
    }
    let Some(account) = tx.find_account(&token.user_id).await? else {
        return Ok(None);
    };
    view(&mut tx, token, account).await.map(Some)
}

pub(super) async fn find_token(
    tx: &mut Tx,
    token: &str,
    now: Timestamp,
) -> Result<(Token, Account), Error> {
    let token = tx.find_token(&token_hash(token), now).await?;
    let token = token.ok_or(Error::Unauthenticated)?;
    let account = tx.find_account(&token.user_id).await?;
    Ok((token, account.ok_or(Error::Unauthenticated)?))
}

async fn check_password(app: &App, user: &UserRef, password: &Secret) -> Result<Account, Error> {
    let mut tx = app.db.read().await?;
    let account = find_user(&mut tx, user).await?;
    // Hashing takes long, and no transaction is held meanwhile.
    drop(tx);
    let hash = match &account {
        Some(account) => account.password_hash.clone(),
        None => passwords::NOBODY.to_owned(),
    };
    let fits = passwords::verify(password, hash).await?;
    account.filter(|_| fits).ok_or(Error::Unauthenticated)
}

async fn find_user(tx: &mut Tx, user: &UserRef) -> Result<Option<Account>, Error> {
    match user {
        UserRef::Id(id) => match id.parse() {
            Ok(id) => Ok(tx.find_account(&id).await?),
            Err(_) => Ok(None),
        },
        UserRef::Name { name, domain } => match find_domain(tx, domain).await? {
            Some(domain) => Ok(tx.find_account_by_name(&domain.id, name).await?),
            None => Ok(None),
        },
    }
}

async fn find_domain(tx: &mut Tx, domain: &DomainRef) -> Result<Option<Domain>, Error> {
    match domain {
        DomainRef::Id(id) => match id.parse() {
            Ok(id) => Ok(tx.find_domain(&id).await?),
            Err(_) => Ok(None),
        },
        DomainRef::Name(name) => Ok(tx.find_domain_by_name(name).await?),
    }
}

/// A proof that held when it was looked at.
enum Checked {
    Account(Account),
    /// The token's hash.
    Token(Vec<u8>),
}

impl Checked {
    /// Looks again while holding the account, so that a password set meanwhile refuses what the old one proved.
    async fn hold(self, tx: &mut Tx, now: Timestamp) -> Result<Proven, Error> {
        match self {
            Self::Account(checked) => {
                let account = tx.lock_account(&checked.id).await?;
                Ok(Proven {
                    account: account
                        .filter(|account| account.password_hash == checked.password_hash)
                        .ok_or(Error::Unauthenticated)?,
                    methods: vec!["password".to_owned()],
                    expires_at: None,
                })
            }
            Self::Token(hash) => {
                let (token, account) = hold_token(tx, &hash, now).await?;
                let mut methods = token.methods.0;
                if !methods.iter().any(|method| method == "token") {
                    methods.push("token".to_owned());
                }
                Ok(Proven {
                    account,
                    methods,
                    expires_at: Some(token.expires_at),
                })
            }
        }
    }
}

/// A valid token and its account, whose row stays locked.
pub(super) async fn hold_token(
    tx: &mut Tx,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<(Token, Account), Error> {
    let token = tx.find_token(token_hash, now).await?;
    let user_id = token.ok_or(Error::Unauthenticated)?.user_id;
    let account = tx.lock_account(&user_id).await?;
    // The token may have gone before the lock was ours.
    let token = tx.find_token(token_hash, now).await?;
    Ok((
        token.ok_or(Error::Unauthenticated)?,
        account.ok_or(Error::Unauthenticated)?,
    ))
}

async fn resolve_scope(tx: &mut Tx, account: &Account, wish: &ScopeWish) -> Result<Scope, Error> {
    match wish {
        ScopeWish::Unscoped => Ok(Scope::default()),
        ScopeWish::Unsaid => {
            let filter = ProjectFilter {
                name: None,
                member: Some(account.id.clone()),
            };
            let projects = tx.list_projects(&filter, &Page::first(1)).await?;
            Ok(Scope {
                project_id: projects.into_iter().next().map(|project| project.id),
                domain_id: None,
            })
        }
        ScopeWish::Project(wanted) => {
            let project = find_project(tx, account, wanted).await?;
            let project = project.ok_or(Error::Unauthenticated)?;
            let role = tx.find_role(&account.id, Some(&project.id)).await?;
            role.ok_or(Error::Unauthenticated)?;
            Ok(Scope {
                project_id: Some(project.id),
                domain_id: None,
            })
        }
        ScopeWish::Domain(wanted) => {
            let domain = find_domain(tx, wanted).await?;
            let own = domain.filter(|domain| domain.id == account.domain_id);
            Ok(Scope {
                project_id: None,
                domain_id: Some(own.ok_or(Error::Unauthenticated)?.id),
            })
        }
    }
}

async fn find_project(
    tx: &mut Tx,
    account: &Account,
    wanted: &ProjectRef,
) -> Result<Option<Project>, Error> {
    let (name, domain) = match wanted {
        ProjectRef::Id(id) => {
            return match id.parse() {
                Ok(id) => Ok(tx.find_project(&id).await?),
                Err(_) => Ok(None),
            };
        }
        ProjectRef::Name { name, domain } => (name, domain),
    };
    let domain_id = match domain {
        None => account.domain_id.clone(),
        Some(domain) => match find_domain(tx, domain).await? {
            Some(domain) => domain.id,
            None => return Ok(None),
        },
    };
    Ok(tx.find_project_by_name(&domain_id, name).await?)
}

async fn view(tx: &mut Tx, token: Token, account: Account) -> Result<TokenView, Error> {
    let role = tx.find_role(&account.id, token.project_id.as_ref()).await?;
    let project = match &token.project_id {
        None => None,
        Some(id) => {
            let project = tx.find_project(id).await?.ok_or_else(missing_row)?;
            let domain = tx.find_domain(&project.domain_id).await?;
            Some(ProjectView {
                project,
                domain: domain.ok_or_else(missing_row)?,
            })
        }
    };
    let domain = match &token.domain_id {
        None => None,
        Some(id) => Some(tx.find_domain(id).await?.ok_or_else(missing_row)?),
    };
    let user_domain = tx.find_domain(&account.domain_id).await?;
    Ok(TokenView {
        methods: token.methods.0,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        user_id: account.id,
        user_name: account.name,
        user_domain: user_domain.ok_or_else(missing_row)?,
        project,
        domain,
        role,
    })
}

/// Foreign keys promise the row.
fn missing_row() -> Error {
    Error::Internal("a row refers to one that is missing".into())
}

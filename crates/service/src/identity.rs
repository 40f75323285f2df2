//! Who may come in: users, projects, tokens and access keys, in the manner of OpenStack's identity service.

mod access_keys;
mod administration;
mod bootstrap;
mod directory;
mod passwords;
mod secrets;
mod tokens;

pub use access_keys::{
    KeyClaim, TemporaryKey, UnverifiedCaller, authenticate_access_key, create_temporary_key,
};
pub use administration::{
    AccessKeyView, NewAccessKey, NewUser, UserView, add_membership, create_access_key,
    create_project, create_user, delete_access_key, list_access_keys, list_all_projects,
    list_users, set_password,
};
pub use bootstrap::{FirstCredentials, bootstrap, prepare_bootstrap, prepare_bootstrap_in};
pub use directory::{domains_of, enter_project, owner_of, projects_in_domain, projects_of};
pub use secrets::Secret;
pub use tokens::{
    DomainRef, IssuedToken, ProjectRef, ProjectView, Proof, ScopeWish, TokenView, UserRef,
    authenticate_token, describe_token, issue_token,
};

#[cfg(test)]
mod tests;

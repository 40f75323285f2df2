//! Our own extension: projects, users and their access keys, for administrators.

use serde::{Deserialize, Serialize};
use strongroom_types::{DomainId, ProjectId, Role, UserId};
use utoipa::{IntoParams, ToSchema};

use crate::identity::SecretText;
use crate::time::CbrTime;
use crate::values::{Offset, PageLimit};

/// Which part of a list, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListPartQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateProjectRequest {
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectAnswer {
    pub project: Project,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    pub projects: Vec<Project>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub domain_id: DomainId,
    pub created_at: CbrTime,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateUserRequest {
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// 8 to 256 characters.
    pub password: SecretText,
    pub project_id: ProjectId,
    /// The user's role in that project.
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserAnswer {
    pub user: User,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserList {
    pub users: Vec<User>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub domain_id: DomainId,
    pub memberships: Vec<Membership>,
    pub created_at: CbrTime,
}

/// A role in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Membership {
    pub project_id: ProjectId,
    pub role: Role,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SetPasswordRequest {
    /// 8 to 256 characters.
    pub password: SecretText,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewAccessKeyAnswer {
    pub access_key: NewAccessKey,
}

/// Shown once: the secret key cannot be asked for again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewAccessKey {
    pub access_key: String,
    pub secret_key: SecretText,
    pub user_id: UserId,
    pub created_at: CbrTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessKeyList {
    pub access_keys: Vec<AccessKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessKey {
    pub access_key: String,
    pub user_id: UserId,
    pub created_at: CbrTime,
}

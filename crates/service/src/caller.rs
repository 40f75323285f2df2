use strongroom_types::{DomainId, ProjectId, Role, UserId};

use crate::{Action, Error};

/// Who asks: a user whose token or signature has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    pub user_name: String,
    pub domain_id: DomainId,
    /// The project that the token or the signed request is for.
    pub project_id: Option<ProjectId>,
    /// The role in that project; [`Role::Admin`] whenever the user is an administrator of any project.
    pub role: Option<Role>,
    pub request_id: String,
}

impl Caller {
    /// Refuses unless the caller may do `action` in `project`.
    ///
    /// Administrators run the installation and may act in every project; everybody else only in the project
    /// of the token or key in use.
    pub fn authorise(&self, action: Action, project: &ProjectId) -> Result<(), Error> {
        let elsewhere = self.project_id.as_ref() != Some(project);
        if elsewhere && !self.is_admin() {
            return Err(Error::Forbidden);
        }
        self.authorise_installation(action)
    }

    /// Refuses unless the caller's role suffices for an action; on its own for what concerns no single project.
    pub fn authorise_installation(&self, action: Action) -> Result<(), Error> {
        match self.role {
            Some(role) if action.permits(role) => Ok(()),
            _ => Err(Error::Forbidden),
        }
    }

    pub fn is_admin(&self) -> bool {
        self.role == Some(Role::Admin)
    }
}

use strongroom_db::{Page, ProjectFilter, Tx};
use strongroom_types::{DomainId, ProjectId};

use crate::Error;

/// More projects than an installation has.
const PROJECTS_MAX: u64 = 10_000;

/// The projects that an organization policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of the account, also later ones.
    All,
    These(Vec<ProjectId>),
}

impl Scope {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() || text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let ids = text.split(',').map(|id| id.trim().parse());
        let ids = ids.collect::<Result<Vec<_>, _>>();
        let ids = ids.map_err(|_| {
            Error::invalid("effective_scope must be all, or ids of projects separated by commas.")
        })?;
        Ok(Self::These(ids))
    }

    /// The projects as they are now.
    pub(super) async fn projects(
        self,
        tx: &mut Tx,
        domain: &DomainId,
    ) -> Result<Vec<ProjectId>, Error> {
        let filter = ProjectFilter::default();
        let all = tx
            .list_projects(&filter, &Page::first(PROJECTS_MAX))
            .await?;
        let own = all.into_iter().filter(|p| p.domain_id == *domain);
        let own: Vec<_> = own.map(|project| project.id).collect();
        match self {
            Self::All => Ok(own),
            Self::These(ids) => match ids.iter().find(|id| !own.contains(id)) {
                None => Ok(ids),
                Some(id) => Err(Error::invalid(format!(
                    "effective_scope names {id}, which is no project of this account."
                ))),
            },
        }
    }
}

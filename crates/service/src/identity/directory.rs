//! What callers may learn about themselves.

use strongroom_db::{Domain, Page, Project, ProjectFilter};
use strongroom_types::ProjectId;

use super::ProjectView;
use crate::{App, Caller, Error};

/// The projects in which the caller may act, oldest first: every one for an administrator.
pub async fn projects_of(
    app: &App,
    caller: &Caller,
    name: Option<String>,
    page: &Page,
) -> Result<Vec<Project>, Error> {
    let member = (!caller.is_admin()).then(|| caller.user_id.clone());
    let mut tx = app.db.read().await?;
    Ok(tx
        .list_projects(&ProjectFilter { name, member }, page)
        .await?)
}

/// The caller's domain, if it has that name or no name is asked for.
pub async fn domains_of(
    app: &App,
    caller: &Caller,
    name: Option<&str>,
) -> Result<Vec<Domain>, Error> {
    let mut tx = app.db.read().await?;
    let domain = tx.find_domain(&caller.domain_id).await?;
    Ok(domain
        .into_iter()
        .filter(|domain| name.is_none_or(|name| name == domain.name))
        .collect())
}

/// The same in the domain of that name. One that is not the caller's has none, nor has one that does not exist.
pub async fn projects_in_domain(
    app: &App,
    caller: &Caller,
    domain: &str,
    page: &Page,
) -> Result<Vec<Project>, Error> {
    if domains_of(app, caller, Some(domain)).await?.is_empty() {
        return Ok(vec![]);
    }
    let projects = projects_of(app, caller, None, page).await?.into_iter();
    let own = projects.filter(|project| project.domain_id == caller.domain_id);
    Ok(own.collect())
}

/// A project and its domain, to whoever may act in the project or is offered a backup of it. To others it does not exist.
pub async fn owner_of(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
) -> Result<ProjectView, Error> {
    let mut tx = app.db.read().await?;
    let own = caller.is_admin() || caller.project_id.as_ref() == Some(project);
    let known = own
        || match &caller.project_id {
            Some(receiver) => tx.shares_with(project, receiver).await?,
            None => false,
        };
    let found = tx.find_project(project).await?.filter(|_| known);
    let project = found.ok_or(Error::Forbidden)?;
    let domain = tx.find_domain(&project.domain_id).await?;
    let domain = domain.ok_or_else(|| Error::broken("a project without its domain"))?;
    Ok(ProjectView { project, domain })
}

/// Refuses a project in which the caller cannot act at all, whatever the action; to them one that does not exist
/// and one of somebody else are the same.
pub async fn enter_project(app: &App, caller: &Caller, project: &ProjectId) -> Result<(), Error> {
    let exists = if caller.is_admin() {
        // Nothing has tied an administrator to this project yet.
        app.db.read().await?.find_project(project).await?.is_some()
    } else {
        caller.role.is_some() && caller.project_id.as_ref() == Some(project)
    };
    if exists {
        Ok(())
    } else {
        Err(Error::Forbidden)
    }
}

use std::path::Path;

use anyhow::Context;
use strongroom_service::App;
use strongroom_service::identity::{
    FirstCredentials, bootstrap, prepare_bootstrap, prepare_bootstrap_in,
};
use strongroom_types::ProjectId;

use crate::credentials::Credentials;

/// On the first start, makes the administrator and tells the operator how to sign in; on a later one, keeps the
/// file's endpoint true. An operator who has taken the file away is not given another.
pub(crate) async fn credentials(app: &App, path: &Path, endpoint: &str) -> anyhow::Result<()> {
    let first = prepare_bootstrap(app)
        .await
        .context("the first start cannot be prepared")?;
    match first {
        Some(first) => begin(app, &first, path, endpoint).await,
        None => update_endpoint(path, endpoint),
    }
}

/// Makes the administrator unless there is one; the first project gets this id.
pub(crate) async fn credentials_in(
    app: &App,
    project: ProjectId,
    path: &Path,
    endpoint: &str,
) -> anyhow::Result<()> {
    match prepare_bootstrap_in(app, project).await? {
        Some(first) => begin(app, &first, path, endpoint).await,
        None => Ok(()),
    }
}

async fn begin(
    app: &App,
    first: &FirstCredentials,
    path: &Path,
    endpoint: &str,
) -> anyhow::Result<()> {
    // The file first: if this process dies in between, the next start replaces a file that opens nothing.
    describe(first, endpoint).write(path)?;
    if !bootstrap(app, first)
        .await
        .context("the first start failed")?
    {
        std::fs::remove_file(path)
            .with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(())
}

fn update_endpoint(path: &Path, endpoint: &str) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut credentials = Credentials::read(path)?;
    if credentials.endpoint != endpoint {
        endpoint.clone_into(&mut credentials.endpoint);
        credentials.write(path)?;
    }
    Ok(())
}

fn describe(first: &FirstCredentials, endpoint: &str) -> Credentials {
    Credentials {
        endpoint: endpoint.to_owned(),
        region: first.region.clone(),
        domain_id: first.domain_id.to_string(),
        domain_name: first.domain_name.clone(),
        project_id: first.project_id.to_string(),
        project_name: first.project_name.clone(),
        user_id: first.user_id.to_string(),
        user_name: first.user_name.clone(),
        password: first.password.expose().to_owned(),
        access_key: first.access_key.clone(),
        secret_key: first.secret_key.expose().to_owned(),
    }
}

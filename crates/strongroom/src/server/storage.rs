//! Where the repositories lie, and whether several writers may work there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use strongroom_repo::Env;
use strongroom_service::App;
use strongroom_store::{Create, Error, Limits, Place};
use strongroom_types::Chain;
use strongroom_worker::Repositories;

use crate::config::Config;
use crate::data_dir::DataDir;

/// How long the start waits for a server that does not answer. Jobs wait longer, and ask again.
const START_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn repositories(
    config: &Config,
    data_dir: &DataDir,
    app: &App,
) -> anyhow::Result<Repositories> {
    let place = config.place(data_dir.repositories())?;
    if matches!(place, Place::S3 { .. }) {
        prove(&place, app).await?;
    }
    let env = Env {
        clock: Arc::clone(&app.clock),
        ids: Arc::clone(&app.ids),
    };
    let (keys, cache) = (data_dir.keys(), data_dir.cache());
    let repositories = Repositories::new(place, config.s3_limits(), keys, cache, env);
    Ok(repositories.with_units(config.unit_places()?))
}

/// A server that cannot hold repositories is refused; one that is away may come back.
async fn prove(place: &Place, app: &App) -> anyhow::Result<()> {
    let limits = Limits {
        patience: START_PATIENCE,
        ..Limits::default()
    };
    let storage = place.open(Create::Never, limits)?;
    match storage.prove_exclusive_create(&*app.ids).await {
        Err(error @ Error::Unavailable { .. }) => {
            tracing::warn!(error = %Chain(&error), %place, "the storage does not answer yet");
            Ok(())
        }
        proven => proven.with_context(|| format!("{place} cannot hold repositories")),
    }
}

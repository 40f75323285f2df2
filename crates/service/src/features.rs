//! What this installation can do, as far as clients ask for it by name.

use std::collections::BTreeMap;

use strongroom_types::ProjectId;

use crate::{Action, App, Caller, Error};

/// The value of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feature {
    Flag(bool),
    Text(String),
    List(Vec<String>),
}

/// All features by their public names.
pub fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
) -> Result<BTreeMap<&'static str, Feature>, Error> {
    caller.authorise(Action::FeaturesList, project)?;
    Ok(all(app))
}

pub fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    key: &str,
) -> Result<(&'static str, Feature), Error> {
    caller.authorise(Action::FeaturesGet, project)?;
    let found = all(app).into_iter().find(|(name, _)| *name == key);
    found.ok_or_else(|| Error::invalid("feature_key names no feature."))
}

fn all(app: &App) -> BTreeMap<&'static str, Feature> {
    let peers = app.settings.peers.iter();
    let regions: Vec<_> = peers.map(|peer| peer.region.clone()).collect();
    BTreeMap::from([
        ("replication.enable", Feature::Flag(!regions.is_empty())),
        (
            "replication.source_region",
            Feature::Text(app.settings.region.clone()),
        ),
        ("replication.destination_regions", Feature::List(regions)),
        // Copies go to peers directly, through no gateway.
        (
            "replication.destination_dgw_regions",
            Feature::List(Vec::new()),
        ),
        // Everything lies in one place.
        ("features.backup_double_az", Feature::Flag(false)),
        ("features.bccrack_enable", Feature::Flag(false)),
    ])
}

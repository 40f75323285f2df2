//! Finds out whether a server keeps its word: some accept a conditional write and overwrite all the same, and there
//! two writers would destroy each other's points.

use std::sync::Arc;

use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use strongroom_types::{Chain, IdSource, Timestamp};

use crate::{Error, Result, Swept};

/// Holds the objects of probes; they are gone when a probe ends, unless its process was killed.
pub(crate) const FOLDER: &str = "probes";
const RACERS: u8 = 4;

/// [`Error::NotExclusive`] when one name can be created twice.
pub(crate) async fn prove_exclusive_create(
    objects: &Arc<dyn ObjectStore>,
    ids: &dyn IdSource,
) -> Result<()> {
    let names = [ids.uuid(), ids.uuid()];
    let [one, other] = names.map(|name| Path::from(format!("{FOLDER}/{name}")));
    let proven = match one_after_another(objects, &one).await {
        Ok(true) => at_once(objects, &other).await,
        outcome => outcome,
    };
    for path in [one, other] {
        match objects.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(error = %Chain(&error), object = %path, "a probe cannot be removed");
            }
        }
    }
    match proven {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NotExclusive),
        Err(error) => Err(Error::unavailable(
            "find out whether writers can exclude each other",
            error,
        )),
    }
}

/// Removes what probes left that were killed before this time.
pub(crate) async fn sweep(objects: &Arc<dyn ObjectStore>, before: Timestamp) -> Result<Swept> {
    let failed = |error| Error::unavailable("remove old probes", error);
    let folder = Path::from(FOLDER);
    let probes: Vec<_> = objects
        .list(Some(&folder))
        .try_collect()
        .await
        .map_err(failed)?;
    let mut swept = Swept::default();
    for probe in probes {
        let micros = probe.last_modified.timestamp_micros();
        if Timestamp::from_micros(micros) < before {
            objects.delete(&probe.location).await.map_err(failed)?;
            swept.files += 1;
            swept.bytes += probe.size;
        }
    }
    Ok(swept)
}

/// The second of two must be refused.
async fn one_after_another(
    objects: &Arc<dyn ObjectStore>,
    path: &Path,
) -> object_store::Result<bool> {
    let first = create(objects, path, 1).await?;
    let second = create(objects, path, 2).await?;
    Ok(first && !second && content(objects, path).await? == [1])
}

/// Of several at once, one must win, and its content stay.
async fn at_once(objects: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<bool> {
    let racers = (1..=RACERS).map(|racer| async move {
        let won = create(objects, path, racer).await?;
        Ok::<_, object_store::Error>(won.then_some(racer))
    });
    let mut winners = Vec::new();
    for outcome in join_all(racers).await {
        winners.extend(outcome?);
    }
    Ok(winners.len() == 1 && content(objects, path).await? == winners)
}

async fn create(
    objects: &Arc<dyn ObjectStore>,
    path: &Path,
    content: u8,
) -> object_store::Result<bool> {
    let options = PutOptions {
        mode: PutMode::Create,
        ..PutOptions::default()
    };
    let payload = PutPayload::from(vec![content]);
    match objects.put_opts(path, payload, options).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn content(objects: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<Vec<u8>> {
    Ok(objects.get(path).await?.bytes().await?.to_vec())
}

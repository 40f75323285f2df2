//! The objects that are text: configs and keyrings, which have checksums of their own, and marks.

use object_store::path::Path;

use super::{ScrubOptions, ScrubReport};
use crate::config::Config;
use crate::store::Store;
use crate::{Error, Result, keyring, layout, marks};

/// What the sound ones say.
pub(super) async fn scrub_configs(
    store: &Store,
    options: ScrubOptions,
    report: &mut ScrubReport,
) -> Result<Config> {
    let mut found: Option<Config> = None;
    let mut first = Err(Error::NotARepository);
    let mut damaged = Vec::new();
    for name in layout::CONFIGS {
        report.objects_checked += 1;
        match Config::read(store, name).await {
            Ok(Some(config))
                if config.object_id().is_ok()
                    && found.as_ref().is_none_or(|found| found.id == config.id) =>
            {
                found = Some(config);
            }
            // Which of the two is the right one cannot be told without a key.
            Ok(Some(_)) => report.add(
                name.to_owned(),
                "it is of another repository".to_owned(),
                false,
            ),
            Ok(None) => damaged.push((name, "missing".to_owned())),
            Err(error @ Error::Corrupt { .. }) => {
                damaged.push((name, error.to_string()));
                first = first.or(Err(error));
            }
            Err(error @ Error::NewerVersion { .. }) => {
                report.add(name.to_owned(), error.to_string(), false);
                first = first.or(Err(error));
            }
            Err(error) => return Err(error),
        }
    }
    for (name, problem) in damaged {
        if let (Some(config), false) = (&found, options.dry_run) {
            let bytes = config.encode().into();
            store.replace(&Path::from(name), vec![bytes]).await?;
        }
        report.add(name.to_owned(), problem, found.is_some());
    }
    match found {
        Some(config) => Ok(config),
        None => first,
    }
}

/// The keyring that counts, and its copy. What it has made void is removed by who opens the repository.
pub(super) async fn scrub_keyrings(
    store: &Store,
    config: &Config,
    options: ScrubOptions,
    report: &mut ScrubReport,
) -> Result<()> {
    let newest = keyring::newest(store, &config.id).await?;
    if let Some(error) = &newest.damage {
        report.objects_checked += 1;
        report.add(keyring::FOLDER.to_owned(), error.to_string(), false);
    }
    let Some(found) = newest.found else {
        if newest.damage.is_none() && config.has_no_key() {
            report.objects_checked += 1;
            report.add(keyring::FOLDER.to_owned(), "missing".to_owned(), false);
        }
        return Ok(());
    };
    report.objects_checked += keyring::COPIES;
    for path in &found.unsound {
        let heals = options.dry_run || keyring::mend(store, &config.id, path).await?;
        report.add(path.to_string(), "damaged or missing".to_owned(), heals);
    }
    Ok(())
}

/// A mark says by its name what it has to say, and its text is for people: it only has to be readable.
pub(super) async fn scrub_marks(store: &Store, report: &mut ScrubReport) -> Result<()> {
    for pack in store.list_marks().await? {
        let path = marks::path(pack);
        match store.read_plain(&path).await {
            Err(Error::Missing { .. }) => continue,
            Err(Error::Corrupt { detail, .. }) => report.add(path.to_string(), detail, false),
            read => drop(read?),
        }
        report.objects_checked += 1;
    }
    Ok(())
}

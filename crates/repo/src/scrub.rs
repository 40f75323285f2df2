//! Finding accidents without any key: every object has clear hashes of itself. What parity heals is healed, and what has
//! a copy comes back from it.

mod texts;

use std::time::Duration;

use object_store::path::Path;
use strongroom_chunk::{BodyChecker, HEADER_BYTES, Header, Kind, ObjectId, Trailer, heal};
use strongroom_store::Storage;

use crate::repository::blocking;
use crate::store::{Holes, Store};
use crate::{Error, Result, layout};

const TAIL_BYTES: u64 = 128 << 10;
const WINDOW_BYTES: u64 = 4 << 20;

/// What a scrub may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubOptions {
    /// Bytes read in a second at most; as fast as it goes without.
    pub bytes_per_second: Option<u64>,
    /// Only tell what a scrub would heal.
    pub dry_run: bool,
}

/// What a scrub found. The list is bounded, the counts are exact.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ScrubReport {
    pub objects_checked: u64,
    /// Objects that a repair has put aside; they are not checked.
    pub objects_quarantined: u64,
    pub bytes_read: u64,
    /// At most [`ScrubReport::DAMAGE_MAX`] objects.
    pub damage: Vec<ScrubDamage>,
    pub damage_count: u64,
}

/// An object that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ScrubDamage {
    pub object: String,
    pub problem: String,
    /// Its parity or its copy brings all of it back, or has done so.
    pub heals: bool,
}

impl ScrubReport {
    pub const DAMAGE_MAX: usize = 1000;

    pub fn is_clean(&self) -> bool {
        self.damage_count == 0
    }

    fn add(&mut self, object: String, problem: String, heals: bool) {
        self.damage_count += 1;
        if self.damage.len() < Self::DAMAGE_MAX {
            self.damage.push(ScrubDamage {
                object,
                problem,
                heals,
            });
        }
    }
}

/// Checks every object against its own hashes. Forgery is found by a verification only, which has the key. What was
/// put aside is counted and not checked: it is known to be damaged.
pub async fn scrub(storage: impl Into<Storage>, options: ScrubOptions) -> Result<ScrubReport> {
    let store = Store::new(storage.into());
    let mut report = ScrubReport::default();
    let config = texts::scrub_configs(&store, options, &mut report).await?;
    let repository = config.object_id()?;
    texts::scrub_keyrings(&store, &config, options, &mut report).await?;
    texts::scrub_marks(&store, &mut report).await?;
    for kind in layout::KINDS {
        for object in store.list(kind).await? {
            let path = layout::path(kind, object.id);
            let copy = (kind == Kind::Point).then(|| layout::point_copy(object.id));
            let scrub = Scrub {
                store: &store,
                options,
                header: Expected {
                    kind,
                    id: object.id,
                    repository,
                },
                copy,
            };
            scrub.object(&path, &mut report).await?;
        }
    }
    for object in store.list_point_copies().await? {
        let scrub = Scrub {
            store: &store,
            options,
            header: Expected {
                kind: Kind::Point,
                id: object.id,
                repository,
            },
            copy: Some(layout::path(Kind::Point, object.id)),
        };
        let path = layout::point_copy(object.id);
        scrub.object(&path, &mut report).await?;
    }
    let aside = store.list_names(layout::QUARANTINE).await?;
    report.objects_quarantined = aside.len() as u64;
    Ok(report)
}

/// What must stand in an object's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    pub(crate) id: ObjectId,
    pub(crate) repository: ObjectId,
}

impl Expected {
    fn fits(self, header: &Header) -> bool {
        header.kind == self.kind && header.object == self.id && header.repository == self.repository
    }
}

struct Scrub<'a> {
    store: &'a Store,
    options: ScrubOptions,
    header: Expected,
    /// Where the same bytes lie again.
    copy: Option<Path>,
}

impl Scrub<'_> {
    async fn object(&self, path: &Path, report: &mut ScrubReport) -> Result<()> {
        let pause = self.options.bytes_per_second;
        let checked = check_clear(self.store, path, self.header, pause).await;
        let problem = match checked {
            Ok(bytes_read) => {
                report.objects_checked += 1;
                report.bytes_read += bytes_read;
                return Ok(());
            }
            // Deleted since it was listed.
            Err(Error::Missing { .. }) => return Ok(()),
            Err(Error::Corrupt { detail, .. }) => detail,
            Err(error @ Error::NewerVersion { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        report.objects_checked += 1;
        let heals = self.heal(path).await?;
        report.add(path.to_string(), problem, heals);
        Ok(())
    }

    async fn heal(&self, path: &Path) -> Result<bool> {
        if let Some(copy) = &self.copy {
            return self.copy_back(path, copy).await;
        }
        if !matches!(self.header.kind, Kind::DataPack | Kind::NodePack) {
            return Ok(false);
        }
        let damaged = match self.store.salvage(path).await {
            Ok(salvaged) => salvaged.bytes,
            Err(Error::Missing { .. } | Error::Corrupt { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let expected = self.header;
        let healed = blocking(move || {
            let healed = heal(damaged.into()).ok();
            Ok(healed
                .filter(|bytes| Header::decode(bytes).is_ok_and(|header| expected.fits(&header))))
        });
        let Some(healed) = healed.await? else {
            return Ok(false);
        };
        if !self.options.dry_run {
            self.store.replace(path, vec![healed.into()]).await?;
        }
        Ok(true)
    }

    async fn copy_back(&self, path: &Path, copy: &Path) -> Result<bool> {
        match check_clear(self.store, copy, self.header, None).await {
            Ok(_) => {}
            Err(Error::Missing { .. } | Error::Corrupt { .. } | Error::NewerVersion { .. }) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        if self.options.dry_run {
            return Ok(true);
        }
        let object = self.store.read(copy).await?;
        // What was deleted meanwhile stays so.
        if !self.store.exists(path).await? {
            return Ok(false);
        }
        self.store.replace(path, vec![object]).await?;
        Ok(true)
    }
}

/// Checks an object against its own hashes and what its name says; returns its length. [`Error::Corrupt`] says what
/// is wrong.
pub(crate) async fn check_clear(
    store: &Store,
    path: &Path,
    expected: Expected,
    bytes_per_second: Option<u64>,
) -> Result<u64> {
    let corrupt = |error| Error::decoding(path.as_ref(), error);
    let bad = |detail: String| Error::Corrupt {
        object: path.to_string(),
        detail,
    };
    let (mut tail, length) = store.read_tail(path, TAIL_BYTES).await?;
    let needed = Trailer::length(&tail, length).map_err(corrupt)?;
    if needed > tail.len() {
        (tail, _) = store.read_tail(path, needed as u64).await?;
    }
    let trailer = Trailer::decode(&tail, length).map_err(corrupt)?;
    if !expected.fits(&trailer.header) {
        return Err(bad("it is another object under this name".to_owned()));
    }
    let mut checker = BodyChecker::default();
    let mut holes = Holes::default();
    let mut position = 0;
    while position < trailer.body_length {
        let end = trailer.body_length.min(position + WINDOW_BYTES);
        let salvaged = store.salvage_range(path, position..end).await?;
        let bytes = salvaged.bytes;
        holes.extend(salvaged.holes);
        let head = bytes.get(..HEADER_BYTES).map(Header::decode);
        if position == 0 && holes.is_empty() && head != Some(Ok(trailer.header)) {
            return Err(bad("the header is damaged".to_owned()));
        }
        checker = blocking(move || {
            checker.update(&bytes);
            Ok(checker)
        })
        .await?;
        if let Some(rate) = bytes_per_second {
            let nanos = (end - position).saturating_mul(1_000_000_000) / rate.max(1);
            tokio::time::sleep(Duration::from_nanos(nanos)).await;
        }
        position = end;
    }
    if !holes.is_empty() {
        return Err(holes.error(path));
    }
    match checker.first_bad_block(&trailer) {
        None => Ok(length),
        Some(number) => Err(bad(format!("block {number} does not match its hash"))),
    }
}

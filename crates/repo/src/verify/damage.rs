use std::collections::BTreeMap;
use std::ops::Range;

use strongroom_types::Chain;

use crate::{Damage, Error, Hit, PointId, Remedy, VerifyReport};

/// Damage found so far, by object.
#[derive(Debug, Default)]
pub(super) struct DamageList {
    objects: BTreeMap<String, Found>,
}

#[derive(Debug)]
struct Found {
    problem: String,
    remedy: Option<Remedy>,
    hits: BTreeMap<PointId, Ranges>,
    hit_count: u64,
    /// The point that was hit last; points are checked one after the other.
    last: Option<PointId>,
}

#[derive(Debug, Default)]
struct Ranges {
    merged: Vec<Range<u64>>,
    bytes: u64,
}

impl DamageList {
    pub(super) fn add(&mut self, object: &str, error: &Error) {
        self.add_problem(object, &problem_of(error));
    }

    /// An index segment that cannot be used. What it said stands in the packs, if it is only damaged.
    pub(super) fn add_segment(&mut self, object: &str, error: &Error) {
        match error {
            Error::Corrupt { .. } => {
                self.add_remediable(object, &problem_of(error), Remedy::Packs);
            }
            _ => self.add(object, error),
        }
    }

    /// The first problem of an object is the one that is told.
    pub(super) fn add_problem(&mut self, object: &str, problem: &str) {
        self.entry(object, problem);
    }

    /// [`Self::add_problem`], and it can be made good, unless there was a problem before.
    pub(super) fn add_remediable(&mut self, object: &str, problem: &str, remedy: Remedy) {
        self.entry_with(object, problem, Some(remedy));
    }

    /// This range of the point cannot be restored because of the object. Ranges of a point come in
    /// rising order.
    pub(super) fn hit(&mut self, object: &str, problem: &str, point: &PointId, range: Range<u64>) {
        let found = self.entry(object, problem);
        if found.last.as_ref() != Some(point) {
            found.last = Some(point.clone());
            found.hit_count += 1;
            if found.hits.len() < Damage::HITS_MAX {
                found.hits.insert(point.clone(), Ranges::default());
            }
        }
        if let Some(ranges) = found.hits.get_mut(point) {
            ranges.add(range);
        }
    }

    /// The damage, bounded as the report promises, and how many objects are damaged in all.
    pub(super) fn finish(self) -> (Vec<Damage>, u64) {
        let count = self.objects.len() as u64;
        let objects = self.objects.into_iter().take(VerifyReport::DAMAGE_MAX);
        let damage = objects.map(|(object, found)| Damage {
            object,
            problem: found.problem,
            remedy: found.remedy,
            hit_count: found.hit_count,
            hits: found
                .hits
                .into_iter()
                .map(|(point, ranges)| Hit {
                    point,
                    ranges: ranges.merged,
                    bytes: ranges.bytes,
                })
                .collect(),
        });
        (damage.collect(), count)
    }

    fn entry(&mut self, object: &str, problem: &str) -> &mut Found {
        self.entry_with(object, problem, None)
    }

    fn entry_with(&mut self, object: &str, problem: &str, remedy: Option<Remedy>) -> &mut Found {
        let new = || Found {
            problem: problem.to_owned(),
            remedy,
            hits: BTreeMap::new(),
            hit_count: 0,
            last: None,
        };
        self.objects.entry(object.to_owned()).or_insert_with(new)
    }
}

/// What is wrong with an object, without its name.
pub(super) fn problem_of(error: &Error) -> String {
    match error {
        Error::Corrupt { detail, .. } => detail.clone(),
        Error::Missing { .. } => "missing".to_owned(),
        Error::NewerVersion { version, .. } => newer(*version),
        Error::NewerKeys { generation, .. } => newer_keys(*generation),
        other => Chain(other).to_string(),
    }
}

/// An object that says so is either of another time or damaged in that very field; both cannot be restored
/// here, and neither may hide what is wrong with other objects.
pub(super) fn newer(version: u16) -> String {
    format!("format version {version}, newer than this program understands")
}

/// Nothing is wrong with the object: it is the keyring that is older than it was.
pub(super) fn newer_keys(generation: u16) -> String {
    format!("sealed under generation {generation} of the keys, which the keyring does not have")
}

impl Ranges {
    fn add(&mut self, range: Range<u64>) {
        self.bytes += range.end - range.start;
        if let Some(last) = self.merged.last_mut()
            && last.end == range.start
        {
            last.end = range.end;
        } else if self.merged.len() < Hit::RANGES_MAX {
            self.merged.push(range);
        }
    }
}

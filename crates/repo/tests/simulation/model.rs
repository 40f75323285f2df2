//! What must be true of the points, whatever happened: the plain model.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use strongroom_repo::{Commit, Error, Point, PointId};

use crate::disk::Disk;

/// What is known of one point's name. All attempts to write it write the same disk.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) disk: Arc<Disk>,
    pub(crate) lineage: u64,
    pub(crate) id: Option<PointId>,
    /// It was acknowledged, and nobody has asked to forget it since.
    pub(crate) must_exist: bool,
    /// Attempts that may still commit.
    pub(crate) attempts: u32,
    /// An attempt ended without saying how.
    pub(crate) in_doubt: bool,
    /// Grows whenever somebody begins to forget it.
    pub(crate) forgets_begun: u32,
    pub(crate) forgets_running: u32,
    acknowledgements: u32,
}

impl Promise {
    pub(crate) fn may_exist(&self) -> bool {
        self.must_exist || self.in_doubt || self.attempts > 0 || self.forgets_running > 0
    }
}

/// How far a name was when a job began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    forgets_begun: u32,
    acknowledgements: u32,
    must_exist: bool,
    may_exist: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) promises: BTreeMap<String, Promise>,
    roots: HashMap<Arc<Disk>, String>,
}

impl Model {
    pub(crate) fn begin_attempt(&mut self, name: &str, disk: &Arc<Disk>, lineage: u64) {
        let promise = self.promises.entry(name.to_owned());
        let promise = promise.or_insert_with(|| Promise {
            disk: Arc::clone(disk),
            lineage,
            id: None,
            must_exist: false,
            attempts: 0,
            in_doubt: false,
            forgets_begun: 0,
            forgets_running: 0,
            acknowledgements: 0,
        });
        promise.attempts += 1;
    }

    /// Of a name that was begun.
    pub(crate) fn promise(&mut self, name: &str) -> &mut Promise {
        self.promises.get_mut(name).expect("it was begun")
    }

    pub(crate) fn before(&self, name: &str) -> Before {
        let promise = &self.promises[name];
        Before {
            forgets_begun: promise.forgets_begun,
            acknowledgements: promise.acknowledgements,
            must_exist: promise.must_exist,
            may_exist: promise.may_exist(),
        }
    }

    /// An attempt ended with an answer, or, without one, with its process.
    pub(crate) fn end_attempt(
        &mut self,
        name: &str,
        before: Before,
        result: Option<Result<Commit, Error>>,
    ) {
        let promise = self.promises.get_mut(name).expect("it was begun");
        promise.attempts -= 1;
        let point: Point = match result {
            Some(Ok(commit)) => commit.point,
            Some(Err(Error::PointExists(point))) => *point,
            Some(Err(Error::Fenced)) => return,
            Some(Err(_)) | None => {
                promise.in_doubt = true;
                return;
            }
        };
        assert_eq!(point.name, name);
        assert_eq!(point.size_bytes, promise.disk.size_bytes);
        let known = self
            .roots
            .entry(Arc::clone(&promise.disk))
            .or_insert_with(|| point.root.clone());
        assert_eq!(*known, point.root, "same content, same root: {name}");
        promise.acknowledgements += 1;
        promise.id = Some(point.id);
        // Who forgot it meanwhile may have done so before the commit or behind it.
        if promise.forgets_begun == before.forgets_begun && promise.forgets_running == 0 {
            promise.must_exist = true;
        } else {
            promise.in_doubt = true;
        }
    }

    /// Has somebody begun to forget it meanwhile?
    pub(crate) fn was_forgotten(&self, name: &str, before: Before) -> bool {
        let promise = &self.promises[name];
        promise.forgets_begun != before.forgets_begun || promise.forgets_running > 0
    }

    pub(crate) fn begin_forget(&mut self, name: &str) -> Before {
        let promise = self.promises.get_mut(name).expect("it was acknowledged");
        promise.must_exist = false;
        promise.forgets_begun += 1;
        promise.forgets_running += 1;
        self.before(name)
    }

    pub(crate) fn end_forget(&mut self, name: &str, before: Before, answer: Option<bool>) {
        let promise = self.promises.get_mut(name).expect("it was acknowledged");
        promise.forgets_running -= 1;
        let alone = promise.attempts == 0
            && promise.acknowledgements == before.acknowledgements
            && promise.forgets_running == 0;
        match answer {
            Some(true) if alone => promise.in_doubt = false,
            _ => promise.in_doubt = true,
        }
    }

    /// Judges what a reader found; `found` says whether the bytes were right.
    pub(crate) fn check_read(&self, name: &str, before: Before, found: &Result<bool, Error>) {
        let promise = &self.promises[name];
        match found {
            Ok(right) => {
                assert!(*right, "wrong bytes were restored: {name}");
                assert!(
                    before.may_exist || promise.may_exist(),
                    "{name} was forgotten and came back"
                );
            }
            Err(error) => {
                let forgotten = promise.forgets_begun != before.forgets_begun;
                assert!(
                    !before.must_exist || forgotten,
                    "an acknowledged point cannot be restored: {name}: {error:?}"
                );
                assert!(
                    matches!(error, Error::PointNotFound(_)) || forgotten,
                    "{name}: {error:?}"
                );
            }
        }
    }
}

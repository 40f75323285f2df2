use std::collections::{HashMap, HashSet};
use std::ops::Range;

use strongroom_chunk::{
    Child, ContentId, Kind, LeafEntry, Node, ObjectId, Place, SPAN_BYTES, node_bytes, root_level,
};

use super::damage::{DamageList, newer, newer_keys};
use super::packs::{self, PackState};
use crate::engine::{Engine, Located};
use crate::points::{StoredPoint, point_id};
use crate::{Error, PointId, Remedy, Result, VerifyDepth, layout};

const OTHER_LENGTH: &str = "a chunk has another length than its node says";

/// Walks the points' trees and notes which parts of them damage hits.
pub(super) struct PointCheck<'a> {
    engine: &'a Engine,
    depth: VerifyDepth,
    states: &'a HashMap<ObjectId, PackState>,
    /// Of packs that were put after the others were listed.
    late: HashMap<ObjectId, PackState>,
    damage: &'a mut DamageList,
    /// Nodes below which all is well; they are not visited again.
    sound: HashSet<ContentId>,
}

/// The point under check.
struct Target {
    id: PointId,
    size_bytes: u64,
}

/// A node still to be visited, or the moment when all below it were.
enum Visit {
    Node {
        level: u8,
        offset: u64,
        id: ContentId,
        place: Place,
    },
    /// Problems counted before the node's children.
    Done { id: ContentId, problems: u64 },
}

impl<'a> PointCheck<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        depth: VerifyDepth,
        states: &'a HashMap<ObjectId, PackState>,
        damage: &'a mut DamageList,
    ) -> Self {
        Self {
            engine,
            depth,
            states,
            late: HashMap::new(),
            damage,
            sound: HashSet::new(),
        }
    }

    pub(super) async fn point(&mut self, id: ObjectId, point: Result<StoredPoint>) -> Result<()> {
        let object = layout::name(Kind::Point, id);
        let (id, point) = match point {
            Ok(point) => (point_id(id), point),
            Err(
                error @ (Error::Corrupt { .. }
                | Error::Missing { .. }
                | Error::NewerVersion { .. }
                | Error::NewerKeys { .. }),
            ) => {
                self.damage.add(&object, &error);
                self.damage.hit(&object, "", &point_id(id), 0..0);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let root = point
            .root()
            .map_err(|error| Error::decoding(&object, error))?;
        let target = Target {
            id,
            size_bytes: point.size_bytes,
        };
        let Some(root) = root else { return Ok(()) };
        self.tree(&target, root.id, root.place).await
    }

    async fn tree(&mut self, target: &Target, id: ContentId, place: Place) -> Result<()> {
        let level = root_level(target.size_bytes);
        let mut problems = 0;
        let mut visits = vec![Visit::Node {
            level,
            offset: 0,
            id,
            place,
        }];
        while let Some(visit) = visits.pop() {
            match visit {
                Visit::Done {
                    id,
                    problems: before,
                } => {
                    if before == problems {
                        self.sound.insert(id);
                    }
                }
                Visit::Node { id, .. } if self.sound.contains(&id) => {}
                Visit::Node {
                    level,
                    offset,
                    id,
                    place,
                } => {
                    visits.push(Visit::Done { id, problems });
                    match self.read_node(level, id, place).await? {
                        Ok(Node::Leaf(entries)) => {
                            problems += self.leaf(target, offset, &entries).await?;
                        }
                        Ok(Node::Inner { children, .. }) => {
                            let new = |child: &Child| !self.sound.contains(&child.id);
                            let children: Vec<_> = children.into_iter().filter(new).collect();
                            self.engine.prefetch_nodes(&children).await;
                            visits.extend(visits_of(&children, level - 1, offset));
                        }
                        Err(problem) => {
                            problems += 1;
                            let end = offset.saturating_add(node_bytes(level));
                            self.hit(target, &problem, offset..end);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The node, or what is wrong with it.
    async fn read_node(
        &mut self,
        level: u8,
        id: ContentId,
        place: Place,
    ) -> Result<Result<Node, Problem>> {
        let located = match problem_of(self.engine.locate(Kind::NodePack, id, place).await)? {
            Ok(located) => located,
            Err(problem) => return Ok(Err(problem)),
        };
        self.note_unlisted(&located);
        let node = match problem_of(self.engine.open_node(id, &located).await)? {
            Ok(node) => node,
            Err(problem) => return Ok(Err(problem)),
        };
        let found = match &node {
            Node::Leaf(_) => 0,
            Node::Inner { level, .. } => *level,
        };
        if found == level {
            return Ok(Ok(node));
        }
        Ok(Err(Problem {
            object: located.pack.path.to_string(),
            text: "a node stands at the wrong height".to_owned(),
        }))
    }

    /// Checks the chunks of a leaf; returns how many cannot be restored.
    async fn leaf(&mut self, target: &Target, span: u64, entries: &[LeafEntry]) -> Result<u64> {
        let mut problems = 0;
        for entry in entries {
            let found = self
                .engine
                .locate(Kind::DataPack, entry.id, entry.place)
                .await;
            let problem = match problem_of(found)? {
                Ok(located) => {
                    self.note_unlisted(&located);
                    self.check_late(located.pack.id).await?;
                    self.chunk_problem(entry, &located)
                }
                Err(problem) => Some(problem),
            };
            if let Some(problem) = problem {
                problems += 1;
                let start = span + u64::from(entry.offset);
                self.hit(target, &problem, start..start + u64::from(entry.length));
            }
        }
        debug_assert!(span.is_multiple_of(SPAN_BYTES));
        Ok(problems)
    }

    /// A pack that a collection has written meanwhile, to which the index leads now, was not checked with the others.
    async fn check_late(&mut self, pack: ObjectId) -> Result<()> {
        if self.states.contains_key(&pack) || self.late.contains_key(&pack) {
            return Ok(());
        }
        if let Some((state, _)) =
            packs::check(self.engine, Kind::DataPack, pack, self.depth).await?
        {
            let object = layout::name(Kind::DataPack, pack);
            state.add_to(self.damage, &object);
            self.late.insert(pack, state);
        }
        Ok(())
    }

    fn chunk_problem(&self, entry: &LeafEntry, located: &Located) -> Option<Problem> {
        let pack = located.pack.id;
        let text = match self.states.get(&pack).or_else(|| self.late.get(&pack)) {
            None => "missing".to_owned(),
            Some(PackState::Unreadable(problem) | PackState::Foreign(problem)) => problem.clone(),
            Some(PackState::Healable(_)) if located.entry.length == entry.length => return None,
            Some(PackState::Healable(_)) => OTHER_LENGTH.to_owned(),
            Some(PackState::Readable { bad_frames, .. }) => {
                match bad_frames.get(&located.entry.frame) {
                    Some(problem) => problem.clone(),
                    None if located.entry.length != entry.length => OTHER_LENGTH.to_owned(),
                    None => return None,
                }
            }
        };
        Some(Problem {
            object: located.pack.path.to_string(),
            text,
        })
    }

    /// What a point needs was indexed before the point; what is not can be restored, but would be
    /// stored again.
    fn note_unlisted(&mut self, located: &Located) {
        if !self.engine.index.lists_pack(located.pack.id) {
            let problem = "no index segment lists it; the next backup will";
            let object = located.pack.path.as_ref();
            self.damage.add_remediable(object, problem, Remedy::Packs);
        }
    }

    fn hit(&mut self, target: &Target, problem: &Problem, range: Range<u64>) {
        let range = range.start.min(target.size_bytes)..range.end.min(target.size_bytes);
        self.damage
            .hit(&problem.object, &problem.text, &target.id, range);
    }
}

/// The visits of children on this level below a node at `offset`, the first one last.
fn visits_of(children: &[Child], level: u8, offset: u64) -> impl Iterator<Item = Visit> {
    let bytes = node_bytes(level);
    children.iter().rev().map(move |child| Visit::Node {
        level,
        offset: offset.saturating_add(bytes.saturating_mul(child.position.into())),
        id: child.id,
        place: child.place,
    })
}

/// Why something cannot be restored.
struct Problem {
    object: String,
    text: String,
}

/// Tells damage, which is reported, from failures that end the verification.
fn problem_of<T>(result: Result<T>) -> Result<Result<T, Problem>> {
    let (object, text) = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(Error::Missing { object }) => (object, "missing".to_owned()),
        Err(Error::Corrupt { object, detail }) => (object, detail),
        Err(Error::NewerVersion { object, version }) => (object, newer(version)),
        Err(Error::NewerKeys { object, generation }) => (object, newer_keys(generation)),
        Err(error) => return Err(error),
    };
    Ok(Err(Problem { object, text }))
}

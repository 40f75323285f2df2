//! The storage engine: write, read and verify points over an object store.
//!
//! A [`Repository`] knows no database and no disk: bytes come in through a [`PointWriter`] and go out
//! through a [`PointReader`], or anywhere through a [`PointView`]. `docs/formats` describes every byte that it stores.
//!
//! # What may overlap
//!
//! There are no locks. Everything is created with put-if-absent (a server is tried out before the first write), nothing is overwritten (but a
//! config, once, by itself without its key), and what makes data visible comes last: packs, index segments, nodes, point. Writers, readers and
//! collections hold sessions (`sessions`), so that a collection knows what they may need.
//!
//! | While this runs | this may run too | because |
//! | --- | --- | --- |
//! | a writer | writers, of this process or another | packs and segments have random names; at worst a chunk is stored twice, and both copies are right |
//! | a writer | a second writer of the same point name | both store the same; one put-if-absent of the point wins, the other gets [`Error::PointExists`] |
//! | a writer | another one that begins and adopts its unlisted packs | a pack is complete once it is visible; it is listed twice, which says the same |
//! | a writer | readers, `verify`, `occupied` | they start from points, and what a committed point needs no longer changes |
//! | a writer | `delete_point`, of its lineage too | points do not need each other, and deletion removes no pack |
//! | a reader | `delete_point` of what it reads | only the point object goes; collections wait for its session |
//! | a collection | writers | packs of sessions at work are left alone; what is condemned is deleted once all who do not know that have ended, and what their points took from it is copied before |
//! | a collection | readers, `verify` | they are waited for like writers; one without a session finds in the index what was moved |
//! | a collection | `delete_point` | its points' data goes now or next time |
//! | a collection | a writer that was taken for dead and comes back | one put-if-absent of its end decided: it gets [`Error::Fenced`], or its point is protected |
//! | a collection | another one | the later one stops with [`Error::Busy`]; one that was taken for dead stops before it deletes |
//! | a writer, a look-up, `verify` | a merge of index segments | the merged one is durable and in use before the others go; who has those open still reads them, who lists them meanwhile lists again |
//! | a merge of index segments | another one | entries are listed twice, which says the same |
//! | `verify` | writers, `delete_point` | it lists points before packs: what a listed point needs was durable before |
//! | `verify` | `verify`, writers | a mark is one put-if-absent or one deletion, and is only advice: at worst a chunk is stored twice |
//! | `repair` | everything | it replaces only what is damaged, by what it was; what it puts aside nobody can read |
//! | `scrub` | everything | the same |
//! | `init` | `init` | the first put-if-absent of the config wins |
//! | a change of the keys | everything, also of other processes | every keyring has all keys; who meets an object of newer keys reads the newest keyring, and who began before goes on with the older ones |
//! | a change of the keys | another one | the first put-if-absent of the next serial wins, the other gets [`Error::KeysChanged`] |
//!
//! Removing packs is the one thing that must not overlap with writers that may still build on them; `collect` is
//! the only one who does it.
//!
//! Inside a process: the index, the caches and the list of known points are shared by all clones of a
//! [`Repository`] behind short locks that are never held across an await; one refresh of the index runs at
//! a time. A writer's threads share its session; see `writer`.

mod adopt;
mod buffers;
mod cache;
mod collect;
mod config;
mod engine;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod index;
mod keyring;
mod layout;
mod marks;
mod nodes;
mod occupied;
mod packs;
mod point;
mod points;
mod reader;
mod repair;
mod report;
mod repository;
mod scrub;
mod secret;
mod segments;
mod sessions;
mod stats;
mod store;
mod text_object;
mod verify;
mod view;
mod writer;

pub use buffers::{Buffer, Buffers};
pub use collect::{CollectOptions, CollectPhase, CollectProgress, CollectReport};
pub use error::{Error, Result, Source};
pub use point::{Commit, NewPoint, Point, PointId};
pub use reader::{Content, PointReader, Segment};
pub use repair::{RepairAction, RepairReport, Repaired};
pub use report::{Damage, Hit, Remedy, VerifyDepth, VerifyProgress, VerifyReport};
pub use repository::{Env, Options, Repository};
pub use scrub::{ScrubDamage, ScrubOptions, ScrubReport, scrub};
pub use secret::{Secret, generate_key_file, looks_like_key_file};
pub use stats::{Holdings, LineageStats, Objects, PointStats, Stats, Unread};
pub use strongroom_chunk::Profile;
pub use view::PointView;
pub use writer::{Carriable, PointWriter, Reread};

#[cfg(test)]
mod tests;

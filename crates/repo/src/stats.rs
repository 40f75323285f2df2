//! What a repository holds, whose it is, and what forgetting a point would free.
//!
//! # How bytes are counted
//!
//! Chunks are compressed and sealed in frames of several. A chunk or node is stored with the share of its frame's sealed
//! bytes that it has of the frame's plain bytes, rounded so that the shares make up the frame. That is what rewriting
//! frees, and a frame that several points hold in part is nobody's as a whole. Headers, directories, parity and trailers of
//! packs belong to no chunk: they count in [`Stats::data_packs`] and [`Stats::node_packs`] only.
//!
//! A chunk counts as often as it is stored at a place that points use: two writers at once may have stored it twice.
//!
//! # What it costs
//!
//! Every node is read once for each lineage that holds it, and once more when a second point is met that does; the
//! directory of every pack in use is read once. Memory: 4 bytes for each chunk and node, 8 more for each node, and a bit for
//! each chunk of the packs that a lineage uses.

mod sums;
mod walk;

use std::collections::BTreeMap;

use strongroom_chunk::Kind;
use strongroom_types::Timestamp;

use crate::collect::PackTable;
use crate::engine::Engine;
use crate::points::{StoredPoint, point_id};
use crate::{Error, PointId, Result, layout};
use walk::{Held, Walk};

/// What a repository holds. Bytes of a damaged object's content are left out: [`Stats::damage`] names it.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Stats {
    pub data_packs: Objects,
    pub node_packs: Objects,
    pub index_segments: Objects,
    pub point_objects: Objects,
    pub points: u64,
    /// All points taken together.
    pub total: Holdings,
    /// Sealed bytes that no point holds, whole packs with all that is in them. A collection may free that much; what
    /// backups at work have written is not told from it.
    pub garbage_bytes: u64,
    /// By name.
    pub lineages: Vec<LineageStats>,
    /// By lineage, oldest first.
    pub point_stats: Vec<PointStats>,
    /// Objects that could not be read, at most [`Stats::DAMAGE_MAX`] of them.
    pub damage: Vec<Unread>,
    /// Number of objects that could not be read.
    pub damage_count: u64,
}

impl Stats {
    pub const DAMAGE_MAX: usize = 1000;
}

/// Objects of one kind as they lie in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Objects {
    pub objects: u64,
    pub bytes: u64,
}

/// What a set of points needs.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Holdings {
    /// Sizes of the images, holes included, added up.
    pub image_bytes: u64,
    /// Bytes of the images that are no holes, added up.
    pub referenced_bytes: u64,
    /// Plain bytes of the chunks that they refer to, each counted once.
    pub distinct_bytes: u64,
    /// Sealed bytes of these chunks.
    pub stored_bytes: u64,
    /// Sealed bytes of the nodes, each counted once.
    pub node_bytes: u64,
    /// `referenced_bytes` by `distinct_bytes`; nothing where there is nothing.
    pub dedup_ratio: Option<f64>,
    /// `distinct_bytes` by `stored_bytes`; nothing where there is nothing.
    pub compression_ratio: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LineageStats {
    pub lineage: String,
    pub points: u64,
    #[serde(flatten)]
    pub content: Holdings,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PointStats {
    pub id: PointId,
    pub name: String,
    pub lineage: String,
    pub created_at: Timestamp,
    /// Size of the image, holes included.
    pub size_bytes: u64,
    /// Bytes of the image that are no holes.
    pub referenced_bytes: u64,
    /// Sealed bytes of the chunks and nodes that no other point refers to: what forgetting this one alone would free.
    pub unique_bytes: u64,
}

/// An object that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unread {
    /// Name of the object in the store.
    pub object: String,
    pub problem: String,
}

/// Objects that could not be read, by name.
#[derive(Debug, Default)]
struct DamageNames(BTreeMap<String, String>);

impl DamageNames {
    /// Nothing for what is damaged or gone, which is noted under the name of the object.
    fn whole<T>(&mut self, object: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(
                error
                @ (Error::Corrupt { .. } | Error::Missing { .. } | Error::NewerVersion { .. }),
            ) => {
                let problem = strongroom_types::Chain(&error).to_string();
                self.0.entry(object.to_owned()).or_insert(problem);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

pub(crate) async fn stats(engine: &Engine) -> Result<Stats> {
    engine
        .condemned
        .refresh(&engine.store, &engine.keys)
        .await?;
    let mut damage = DamageNames::default();
    let points = readable_points(engine, &mut damage).await?;
    engine.index.refresh(&engine.store, &engine.keys).await?;
    engine.marks.refresh(&engine.store).await?;
    // Behind the points: what they need is in this listing.
    let mut table = PackTable::candidates(engine).await?;
    table.extend(engine).await?;

    let mut stats = Stats::default();
    let mut walk = Walk::new(engine, table, damage);
    let mut lineages: Vec<Held> = Vec::new();
    for points in points.chunk_by(|(_, left), (_, right)| left.lineage == right.lineage) {
        let mut lineage = new_lineage(&points[0].1.lineage);
        for (id, point) in points {
            let stats_of = walk_point(&mut walk, id.clone(), point).await?;
            lineage.points += 1;
            lineage.content.image_bytes += stats_of.size_bytes;
            lineage.content.referenced_bytes += stats_of.referenced_bytes;
            stats.point_stats.push(stats_of);
        }
        let held = walk.end_lineage();
        lineage.content.distinct_bytes = held.distinct_bytes;
        lineages.push(held);
        stats.lineages.push(lineage);
    }
    stats.total.distinct_bytes = walk.distinct_bytes();
    sums::add_up(&mut walk, &lineages, &mut stats).await?;
    count_objects(engine, &walk, &mut stats).await?;
    finish(&mut stats);
    let damage = walk.into_damage().0;
    stats.damage_count = damage.len() as u64;
    let unread = damage.into_iter().take(Stats::DAMAGE_MAX);
    let unread = unread.map(|(object, problem)| Unread { object, problem });
    stats.damage = unread.collect();
    Ok(stats)
}

/// By lineage, oldest first.
async fn readable_points(
    engine: &Engine,
    damage: &mut DamageNames,
) -> Result<Vec<(PointId, StoredPoint)>> {
    let mut points = Vec::new();
    for (id, point) in engine.points.read_all().await? {
        let name = layout::name(Kind::Point, id);
        if let Some(point) = damage.whole(&name, point)? {
            points.push((point_id(id), point));
        }
    }
    points.sort_by(|(id, a), (other, b)| {
        let order = (&a.lineage, a.created_at_us, id);
        order.cmp(&(&b.lineage, b.created_at_us, other))
    });
    Ok(points)
}

fn new_lineage(name: &str) -> LineageStats {
    LineageStats {
        lineage: name.to_owned(),
        points: 0,
        content: Holdings::default(),
    }
}

async fn walk_point(walk: &mut Walk<'_>, id: PointId, point: &StoredPoint) -> Result<PointStats> {
    let root = point
        .root()
        .map_err(|error| Error::decoding(id.as_str(), error))?;
    let referenced_bytes = walk.point(root).await?;
    Ok(PointStats {
        id,
        name: point.name.clone(),
        lineage: point.lineage.clone(),
        created_at: Timestamp::from_micros(point.created_at_us),
        size_bytes: point.size_bytes,
        referenced_bytes,
        unique_bytes: 0,
    })
}

async fn count_objects(engine: &Engine, walk: &Walk<'_>, stats: &mut Stats) -> Result<()> {
    for pack in walk.table().packs() {
        let objects = match pack.kind {
            Kind::NodePack => &mut stats.node_packs,
            _ => &mut stats.data_packs,
        };
        objects.objects += 1;
        objects.bytes += pack.length;
    }
    for (kind, objects) in [
        (Kind::IndexSegment, &mut stats.index_segments),
        (Kind::Point, &mut stats.point_objects),
    ] {
        let listed = engine.store.list(kind).await?;
        objects.objects = listed.len() as u64;
        objects.bytes = listed.iter().map(|object| object.length).sum();
    }
    Ok(())
}

fn finish(stats: &mut Stats) {
    stats.points = stats.point_stats.len() as u64;
    for lineage in &mut stats.lineages {
        stats.total.image_bytes += lineage.content.image_bytes;
        stats.total.referenced_bytes += lineage.content.referenced_bytes;
        lineage.content.find_ratios();
    }
    stats.total.find_ratios();
}

impl Holdings {
    fn find_ratios(&mut self) {
        self.dedup_ratio = ratio(self.referenced_bytes, self.distinct_bytes);
        self.compression_ratio = ratio(self.distinct_bytes, self.stored_bytes);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(of: u64, by: u64) -> Option<f64> {
    (by > 0).then(|| of as f64 / by as f64)
}

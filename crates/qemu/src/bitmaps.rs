//! Which bitmap may say what changed since a point, and how the bitmaps of a disk are settled after a backup.
//!
//! Between backups a disk has one bitmap of ours, which records since the last committed point and is named after it.
//! During a backup that one is disabled, and a second one, named after the point that is being made, records.

use std::fmt;

use serde_json::{Value, json};
use strongroom_types::BackupId;

use crate::block::{self, Bitmap, Node};
use crate::names;
use crate::{Error, Qmp, Result};

/// Bytes that one bit of our bitmaps stands for; QEMU's default, and 2 MiB of bitmap for a TiB.
pub const GRANULARITY: u64 = 64 << 10;

/// The last point of a disk that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPoint {
    pub point: BackupId,
    /// The disk's size then, bytes.
    pub size: u64,
}

/// What a reader has to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// What the bitmap marks; all else is as in the point.
    Since {
        point: BackupId,
        /// Its name, which NBD knows as the context `qemu:dirty-bitmap:…`.
        bitmap: String,
        /// Bytes marked when the backup began, in grains of [`GRANULARITY`].
        marked: u64,
    },
    /// All of the disk.
    Whole(Whole),
}

/// Why a bitmap cannot say what changed. None of these is a fault: the whole disk is read and compared instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// No point of this disk was committed.
    First,
    /// The disk has no bitmap of ours.
    Missing,
    /// The image is of a kind that keeps no bitmaps, and the machine was started since.
    NotKept,
    /// The bitmaps belong to other points.
    Lost,
    /// QEMU ended without closing the image.
    Inconsistent,
    /// It did not record all the time, or something else uses it.
    Interrupted,
    /// Its grains have another size than ours.
    Granularity,
    /// The disk has another size than in the point.
    Resized,
}

/// Continues the sentence "the disk was read whole, because".
impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "it has no backup yet",
            Self::Missing => "its image has lost the bitmap of the last backup",
            Self::NotKept => {
                "its image keeps no bitmaps, and the machine was started since the last backup"
            }
            Self::Lost => "its bitmap is not about the last backup",
            Self::Inconsistent => "its machine ended without closing the image",
            Self::Interrupted => "its bitmap did not record all the time, or is in use",
            Self::Granularity => "its bitmap has other grains than Strongroom makes",
            Self::Resized => "its size has changed since the last backup",
        })
    }
}

/// Decides for a disk that has been settled; the reason against a bitmap may lie in how the disk was `found` before that.
pub(crate) fn changes(found: &Node, settled: &Node, last: Option<&LastPoint>) -> Changes {
    let Some(last) = last else {
        return Changes::Whole(Whole::First);
    };
    match trusted(settled, last) {
        Ok(bitmap) => Changes::Since {
            point: last.point.clone(),
            bitmap: names::of_point(&last.point),
            marked: bitmap.count,
        },
        Err(whole) => Changes::Whole(trusted(found, last).err().unwrap_or(whole)),
    }
}

fn trusted<'a>(node: &'a Node, last: &LastPoint) -> Result<&'a Bitmap, Whole> {
    if node.image.virtual_size != last.size {
        return Err(Whole::Resized);
    }
    let Some(bitmap) = of_point(node, &last.point) else {
        return Err(match ours(node).next() {
            Some(_) => Whole::Lost,
            None if node.keeps_bitmaps() => Whole::Missing,
            None => Whole::NotKept,
        });
    };
    if bitmap.is_inconsistent {
        return Err(Whole::Inconsistent);
    }
    if !bitmap.is_recording || bitmap.is_busy {
        return Err(Whole::Interrupted);
    }
    if bitmap.granularity != GRANULARITY {
        return Err(Whole::Granularity);
    }
    Ok(bitmap)
}

/// Leaves the disk with one recording bitmap, that of the point committed last, or with none of ours where that one
/// cannot be told to have seen every write since. Does nothing the second time, and nothing where images are only read.
pub async fn settle(qmp: &mut Qmp, node: &str, last: Option<&BackupId>) -> Result<()> {
    let nodes = block::nodes(qmp).await?;
    let node = nodes.iter().find(|found| found.name() == node);
    let Some(node) = node.filter(|node| !node.is_read_only) else {
        return Ok(());
    };
    let actions = settlement(node, last);
    if actions.is_empty() {
        return Ok(());
    }
    qmp.command("transaction", json!({"actions": actions}))
        .await
}

fn settlement(node: &Node, last: Option<&BackupId>) -> Vec<Value> {
    let kept = last.and_then(|point| of_point(node, point));
    let kept = kept.filter(|bitmap| !bitmap.is_inconsistent);
    let others: Vec<&Bitmap> = ours(node)
        .filter(|bitmap| kept.is_none_or(|kept| kept.name != bitmap.name))
        .collect();
    let removals = others.iter().map(|bitmap| removal(node, bitmap));
    let Some(kept) = kept else {
        return removals.collect();
    };
    if kept.is_recording {
        return removals.collect();
    }
    // Disabled by a backup that came to nothing: the bitmap that was added in the same instant knows the rest.
    match others.as_slice() {
        [newer] if newer.is_recording && newer.granularity == kept.granularity => {
            let merge = action(
                "block-dirty-bitmap-merge",
                &json!({"node": node.name(), "target": kept.name, "bitmaps": [newer.name]}),
            );
            let enable = on_bitmap("block-dirty-bitmap-enable", node, kept);
            [merge, enable].into_iter().chain(removals).collect()
        }
        _ => removals.chain([removal(node, kept)]).collect(),
    }
}

/// The actions, for the transaction that makes the point, that end the recording since the last point and begin a new one.
pub(crate) fn turn(node: &Node, changes: &Changes, point: &BackupId) -> Vec<Value> {
    let mut actions = Vec::new();
    if let Changes::Since { point: last, .. } = changes {
        let name = names::of_point(last);
        actions.push(action(
            "block-dirty-bitmap-disable",
            &json!({"node": node.name(), "name": name}),
        ));
    }
    actions.push(action(
        "block-dirty-bitmap-add",
        &json!({
            "node": node.name(),
            "name": names::of_point(point),
            "granularity": GRANULARITY,
            "persistent": node.keeps_bitmaps(),
        }),
    ));
    actions
}

pub(crate) fn action(kind: &str, data: &Value) -> Value {
    json!({"type": kind, "data": data})
}

/// Refuses where another bitmap of the new point's name would be in the way.
pub(crate) fn check_is_new(node: &Node, point: &BackupId) -> Result<()> {
    match of_point(node, point) {
        None => Ok(()),
        Some(_) => Err(Error::unsupported(format!(
            "{} has a bitmap of point {point} already",
            node.name()
        ))),
    }
}

fn on_bitmap(kind: &str, node: &Node, bitmap: &Bitmap) -> Value {
    action(kind, &json!({"node": node.name(), "name": bitmap.name}))
}

fn removal(node: &Node, bitmap: &Bitmap) -> Value {
    on_bitmap("block-dirty-bitmap-remove", node, bitmap)
}

fn of_point<'a>(node: &'a Node, point: &BackupId) -> Option<&'a Bitmap> {
    let name = names::of_point(point);
    ours(node).find(|bitmap| bitmap.name.as_deref() == Some(&name))
}

fn ours(node: &Node) -> impl Iterator<Item = &Bitmap> {
    node.dirty_bitmaps.iter().filter(|bitmap| {
        let name = bitmap.name.as_deref();
        name.is_some_and(names::is_of_a_point)
    })
}

//! libvirt's checkpoints are its names for bitmaps, one over several disks.
//!
//! Between backups a domain has one of ours, which counts since the last committed points. Its description says which points
//! these are; so one that belongs to other points is never believed.

use std::collections::BTreeMap;

use roxmltree::Document;
use strongroom_types::BackupId;

use crate::domain::child;
use crate::request::PREFIX;
use crate::{Error, Result, Virsh};

/// A checkpoint of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) name: String,
    /// By libvirt's name of the disk.
    pub(crate) points: BTreeMap<String, BackupId>,
}

/// Leaves the domain, which must run, with that checkpoint of ours that counts from these points, `(target, point)`, or with none
/// where no checkpoint counts from any of them. Does nothing the second time.
pub async fn settle(virsh: &Virsh, last: &[(String, BackupId)]) -> Result<()> {
    keep(virsh, last).await.map(drop)
}

/// Does that, and answers which one is left.
pub(crate) async fn keep(virsh: &Virsh, last: &[(String, BackupId)]) -> Result<Option<Checkpoint>> {
    let ours = list(virsh).await?;
    let kept = since(&ours, last).cloned();
    // The newest first: its changes go to the one before it.
    for checkpoint in ours.iter().rev() {
        if Some(checkpoint) != kept.as_ref() {
            remove(virsh, &checkpoint.name).await?;
        }
    }
    Ok(kept)
}

/// The checkpoint that counts from most of these points, if from any.
fn since<'a>(ours: &'a [Checkpoint], points: &[(String, BackupId)]) -> Option<&'a Checkpoint> {
    let matching = |checkpoint: &&Checkpoint| {
        let known =
            |(target, point): &&(String, BackupId)| checkpoint.points.get(target) == Some(point);
        points.iter().filter(known).count()
    };
    let best = ours.iter().max_by_key(matching)?;
    (matching(&best) > 0).then_some(best)
}

/// Those of the domain, the oldest first.
async fn list(virsh: &Virsh) -> Result<Vec<Checkpoint>> {
    let names = virsh
        .run("checkpoint-list", &["--name", "--topological"])
        .await?;
    let names = names.lines().map(str::trim);
    let names: Vec<&str> = names.filter(|name| name.starts_with(PREFIX)).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let command = "checkpoint-dumpxml";
    let questions = names
        .iter()
        .map(|name| [command, "--checkpointname", name, "--no-domain"]);
    let questions: Vec<_> = questions.collect();
    let questions: Vec<&[&str]> = questions.iter().map(|words| &words[..]).collect();
    let mut answers = virsh.run_each(&questions).await?;
    let found = names.iter().map(|name| {
        Ok(Checkpoint {
            name: (*name).to_owned(),
            points: points(&answers.take()?)?,
        })
    });
    found.collect()
}

/// Removes a checkpoint; where its bitmaps are gone or broken, as after a power cut, only libvirt's notion of it.
async fn remove(virsh: &Virsh, name: &str) -> Result<()> {
    let deleted = virsh
        .run("checkpoint-delete", &["--checkpointname", name])
        .await;
    match deleted {
        Err(error) if error.is_refusal() => {
            tracing::info!(checkpoint = name, error = %error, "a checkpoint's bitmaps are not there");
            let options = ["--checkpointname", name, "--metadata"];
            virsh.run("checkpoint-delete", &options).await?;
        }
        other => drop(other?),
    }
    Ok(())
}

pub(crate) fn description<'a>(points: impl Iterator<Item = (&'a str, &'a BackupId)>) -> String {
    let words: Vec<_> = points
        .map(|(target, point)| format!("{target}={point}"))
        .collect();
    words.join(" ")
}

fn points(xml: &str) -> Result<BTreeMap<String, BackupId>> {
    let document = Document::parse(xml).map_err(|wrong| Error::strange(wrong.to_string()))?;
    let described = child(document.root_element(), "description");
    let words = described
        .and_then(|node| node.text())
        .unwrap_or_default()
        .split_whitespace();
    // What somebody else wrote there counts from none of our points.
    let points = words.filter_map(|word| {
        let (target, point) = word.split_once('=')?;
        Some((target.to_owned(), point.parse().ok()?))
    });
    Ok(points.collect())
}

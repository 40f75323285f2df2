//! `repo forget` and `repo gc`: removing points, and what no point needs.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use strongroom_repo::{CollectOptions, CollectReport, Point, Repository};

use super::Place;
use super::answer::print_answer;
use crate::output::{Format, human_bytes, print_line, remark};

/// Removes the points of these names; all of them must be there, or none goes.
pub(super) async fn forget(
    place: &Place,
    names: &[String],
    format: Format,
) -> anyhow::Result<ExitCode> {
    let repository = place.open().await?;
    let mut points = Vec::with_capacity(names.len());
    for name in names {
        let point = repository.find_point(name).await?;
        points.push(point.with_context(|| format!("there is no point `{name}`"))?);
    }
    remove(&repository, points, format).await
}

/// Removes all but the newest points of each lineage, or of the one that is named.
pub(super) async fn forget_old(
    place: &Place,
    kept: usize,
    lineage: Option<&str>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let repository = place.open().await?;
    let mut lineages: HashMap<String, Vec<Point>> = HashMap::new();
    for point in repository.list_points().await? {
        if lineage.is_none_or(|wanted| point.lineage == wanted) {
            lineages
                .entry(point.lineage.clone())
                .or_default()
                .push(point);
        }
    }
    if let Some(wanted) = lineage {
        let known = lineages.contains_key(wanted);
        anyhow::ensure!(known, "there is no lineage `{wanted}`");
    }
    let old = lineages.into_values().flat_map(|mut points| {
        // Oldest first.
        points.truncate(points.len().saturating_sub(kept));
        points
    });
    remove(&repository, old.collect(), format).await
}

async fn remove(
    repository: &Repository,
    points: Vec<Point>,
    format: Format,
) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Forgotten {
        forgotten: Vec<String>,
    }
    let mut answer = Forgotten {
        forgotten: Vec::with_capacity(points.len()),
    };
    for point in points {
        repository.delete_point(&point.id).await?;
        answer.forgotten.push(point.id.to_string());
    }
    match format {
        Format::Json => print_answer(repository.storage(), &answer)?,
        Format::Table => print_line(&format!(
            "{} points forgotten; `strongroom repo gc` frees their space",
            answer.forgotten.len()
        )),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn collect(
    place: &Place,
    options: &CollectOptions,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let repository = place.open().await?;
    let report = repository.collect(options, &|_| ()).await?;
    match format {
        Format::Json => print_answer(repository.storage(), &report)?,
        Format::Table if options.dry_run => print_estimate(&report),
        Format::Table => print_done(&report),
    }
    if report.chunks_missing == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    remark(&format!(
        "{} chunks that points need are in no pack: `strongroom repo verify` names the points",
        report.chunks_missing
    ));
    Ok(ExitCode::from(1))
}

fn print_found(report: &CollectReport) {
    print_line(&format!(
        "{} points need {} of {} packs, {}",
        report.points,
        report.packs.saturating_sub(report.dead_packs),
        report.packs,
        human_bytes(report.bytes)
    ));
}

fn print_estimate(report: &CollectReport) {
    print_found(report);
    let gain = report.sparse_bytes.saturating_sub(report.sparse_live_bytes);
    print_line(&format!(
        "would free about {}: {} packs that nothing needs, {} to be rewritten",
        human_bytes(report.dead_bytes + gain),
        report.dead_packs,
        report.sparse_packs
    ));
    if report.packs_pending > 0 {
        print_line(&format!(
            "{} packs, {}, were condemned before and go once nobody at work may need them",
            report.packs_pending,
            human_bytes(report.bytes_pending)
        ));
    }
}

fn print_done(report: &CollectReport) {
    print_found(report);
    print_line(&format!(
        "{} packs deleted, {}; {} rewritten for that",
        report.packs_deleted,
        human_bytes(report.bytes_deleted),
        human_bytes(report.bytes_copied)
    ));
    if report.packs_pending > 0 {
        print_line(&format!(
            "{} packs, {}, go once those at work now have ended: run it again then",
            report.packs_pending,
            human_bytes(report.bytes_pending)
        ));
    }
}

//! `repo stats`: what a repository holds, whose it is, and what forgetting a point would free.

use std::process::ExitCode;

use strongroom_repo::{Holdings, Objects, Stats};

use super::Place;
use super::answer::print_answer;
use crate::output::{Format, human_bytes, print_line, print_table, remark};

pub(super) async fn stats(place: &Place, format: Format) -> anyhow::Result<ExitCode> {
    let repository = place.open().await?;
    let stats = repository.stats().await?;
    match format {
        Format::Json => print_answer(repository.storage(), &stats)?,
        Format::Table => print_all(&stats),
    }
    if stats.damage_count == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    remark(&format!(
        "{} objects could not be read and are left out; `strongroom repo verify` tells whom that hits",
        stats.damage_count
    ));
    for unread in &stats.damage {
        remark(&format!("{}: {}", unread.object, unread.problem));
    }
    Ok(ExitCode::FAILURE)
}

fn print_all(stats: &Stats) {
    let objects = |name: &str, objects: Objects| {
        vec![
            name.to_owned(),
            objects.objects.to_string(),
            human_bytes(objects.bytes),
        ]
    };
    print_table(
        &["objects", "number", "bytes"],
        vec![
            objects("data packs", stats.data_packs),
            objects("node packs", stats.node_packs),
            objects("index segments", stats.index_segments),
            objects("points", stats.point_objects),
        ],
    );
    let mut rows: Vec<_> = stats
        .lineages
        .iter()
        .map(|lineage| row(&lineage.lineage, lineage.points, &lineage.content))
        .collect();
    rows.push(row("all together", stats.points, &stats.total));
    print_table(
        &[
            "lineage",
            "points",
            "images",
            "data",
            "distinct",
            "stored",
            "nodes",
            "dedup",
            "compression",
        ],
        rows,
    );
    let points = stats.point_stats.iter().map(|point| {
        vec![
            point.id.as_str()[..12].to_owned(),
            point.lineage.clone(),
            point.created_at.to_cbr(),
            human_bytes(point.size_bytes),
            human_bytes(point.referenced_bytes),
            human_bytes(point.unique_bytes),
        ]
    });
    print_table(
        &[
            "point",
            "lineage",
            "created (UTC)",
            "image",
            "data",
            "its own",
        ],
        points.collect(),
    );
    print_line(&format!(
        "{} are held by no point",
        human_bytes(stats.garbage_bytes)
    ));
}

fn row(name: &str, points: u64, content: &Holdings) -> Vec<String> {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
    vec![
        name.to_owned(),
        points.to_string(),
        human_bytes(content.image_bytes),
        human_bytes(content.referenced_bytes),
        human_bytes(content.distinct_bytes),
        human_bytes(content.stored_bytes),
        human_bytes(content.node_bytes),
        ratio(content.dedup_ratio),
        ratio(content.compression_ratio),
    ]
}

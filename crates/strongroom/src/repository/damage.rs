//! `repo verify`, `repair` and `scrub`: what damage there is, and what can be done about it.

use std::process::ExitCode;

use anyhow::Context;
use strongroom_repo::{
    Damage, Remedy, RepairAction, RepairReport, Repository, ScrubOptions, ScrubReport, VerifyDepth,
    VerifyReport,
};
use strongroom_store::Create;

use super::answer::print_answer;
use super::{Location, Place};
use crate::output::{Format, human_bytes, print_line, remark};

pub(super) async fn verify(
    place: &Place,
    read_data: bool,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let repository: Repository = place.open().await?;
    let depth = if read_data {
        VerifyDepth::ReadData
    } else {
        VerifyDepth::Structure
    };
    let report = repository.verify(depth, &|_| ()).await?;
    match format {
        Format::Json => print_answer(repository.storage(), &report)?,
        Format::Table => print_verified(&report),
    }
    Ok(code(report.is_clean()))
}

pub(super) async fn repair(
    place: &Place,
    dry_run: bool,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let repository: Repository = place.open().await?;
    let done = if dry_run {
        repository.plan_repair(&|_| ()).await
    } else {
        repository.repair(&|_| ()).await
    };
    let report = done.context("the repair was not finished")?;
    match format {
        Format::Json => print_answer(repository.storage(), &report)?,
        Format::Table => print_repaired(&report),
    }
    Ok(code(report.left.is_empty() && !report.more))
}

pub(super) async fn scrub(
    location: &Location,
    limit_rate: Option<u64>,
    dry_run: bool,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let storage = location.storage(Create::Never)?;
    let options = ScrubOptions {
        bytes_per_second: limit_rate.map(|mib| mib.saturating_mul(1 << 20)),
        dry_run,
    };
    let report = strongroom_repo::scrub(storage.clone(), options).await?;
    match format {
        Format::Json => print_answer(&storage, &report)?,
        Format::Table => print_scrubbed(&report),
    }
    Ok(code(report.is_clean()))
}

fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_verified(report: &VerifyReport) {
    print_line(&format!(
        "{} points and {} packs checked, {} read",
        report.points_checked,
        report.packs_checked,
        human_bytes(report.bytes_read)
    ));
    for point in &report.lone_copies {
        print_line(&format!(
            "points-copy/{point}: a copy without its point, which was deleted, or lost"
        ));
    }
    if report.is_clean() {
        print_line("no damage found");
        return;
    }
    report.damage.iter().for_each(print_damage);
    remark(&format!("{} objects are damaged", report.damage_count));
    if report.damage.iter().any(|damage| damage.remedy.is_some()) {
        remark("`strongroom repo repair` makes good what it can");
    }
}

fn print_damage(damage: &Damage) {
    let remedy = match damage.remedy {
        None => "",
        Some(Remedy::Parity) => " (its parity heals it)",
        Some(Remedy::Copy) => " (its copy is whole)",
        Some(Remedy::Packs) => " (the packs say what it said)",
    };
    print_line(&format!("{}: {}{remedy}", damage.object, damage.problem));
    for hit in &damage.hits {
        print_line(&format!(
            "  point {} loses {}",
            hit.point,
            human_bytes(hit.bytes)
        ));
        for range in &hit.ranges {
            print_line(&format!("    bytes {}..{}", range.start, range.end));
        }
    }
}

fn print_repaired(report: &RepairReport) {
    for repaired in &report.repaired {
        let action = match repaired.action {
            RepairAction::Healed => "healed by its parity",
            RepairAction::Copied => "restored from its copy",
            RepairAction::Indexed => "indexed anew from the packs",
            RepairAction::Quarantined => "moved to quarantine/",
        };
        print_line(&format!("{}: {action}", repaired.object));
    }
    if report.damage_count == 0 {
        print_line("no damage found");
    }
    report.left.iter().for_each(print_damage);
    if report.more {
        remark("there is more damage than one repair takes; run it again");
    }
    if !report.left.is_empty() {
        remark(&format!(
            "{} objects cannot be made good",
            report.left.len()
        ));
    }
}

fn print_scrubbed(report: &ScrubReport) {
    print_line(&format!(
        "{} objects checked, {} read",
        report.objects_checked,
        human_bytes(report.bytes_read)
    ));
    if report.objects_quarantined > 0 {
        print_line(&format!(
            "{} objects in quarantine/, not checked",
            report.objects_quarantined
        ));
    }
    for damage in &report.damage {
        let heals = if damage.heals {
            " (its parity or its copy heals it)"
        } else {
            ""
        };
        print_line(&format!("{}: {}{heals}", damage.object, damage.problem));
    }
    if !report.is_clean() {
        remark(&format!("{} objects were damaged", report.damage_count));
    }
}

//! The comparison as Markdown: the goals first, then all figures.

use std::fmt::Write as _;

use anyhow::Result;

use super::corpus::Corpus;
use super::goals::{Against, GOALS, Judged};
use super::results::{Measured, Results};
use super::tools::{OURS, Role, Step, TOOLS};

const COMMANDS: &str = "\
strongroom  repo init; repo backup --lineage vm; repo restore POINT --to FILE; repo verify --read-data
restic      init; backup --force; restore latest --sparse; check --read-data
rustic      init; backup --force; restore latest; check --read-data
borg        init -e repokey-blake2; create --files-cache=disabled [-C zstd,1 | --chunker-params fixed,4194304];
            extract --sparse; check --verify-data
qemu-img    convert -c -O qcow2 -o compression_type=zstd -m 2 -W; convert -O raw -m 2 -W   (day 1; no encryption, no history)
zstd        -1 -T2; -d --sparse                                                            (day 1; no encryption, no history)
cp          --sparse=always                                                                (day 1)
";

/// What the figures depend on.
pub(super) struct Setting<'a> {
    pub(super) circumstances: String,
    pub(super) corpus: &'a Corpus,
    pub(super) runs: usize,
    /// One when each run began.
    pub(super) loads: Vec<String>,
    /// Of each tool, in the order of the tables.
    pub(super) versions: Vec<(&'static str, String)>,
}

/// The goals that can be judged with these figures.
pub(super) fn judge(results: &Results) -> Vec<Judged> {
    GOALS
        .into_iter()
        .filter_map(|goal| goal.judge(results))
        .collect()
}

pub(super) fn write(setting: &Setting, results: &Results) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}\n", setting.circumstances)?;
    writeln!(text, "{}\n", setting.corpus.description())?;
    writeln!(
        text,
        "Medians of {}; tools took turns; load average when the runs began: {}. Every restore was compared with its \
         original.\n",
        setting.runs,
        setting.loads.join(", "),
    )?;
    goals(&mut text, results)?;
    table(&mut text, "Wall seconds", results, |tool, step| {
        results.wall(tool, step)
    })?;
    table(&mut text, "CPU seconds", results, |tool, step| {
        results.cpu(tool, step)
    })?;
    table(
        &mut text,
        "Wall time as a multiple of strongroom's (below 1: faster than strongroom)",
        results,
        |tool, step| Some(results.wall(tool, step)? / results.wall(OURS, step)?),
    )?;
    table(
        &mut text,
        "Peak memory of the largest process, MiB",
        results,
        |tool, step| results.memory_mib(tool, step),
    )?;
    repositories(&mut text, results)?;
    spread(&mut text, results)?;
    writeln!(text, "```text\n{COMMANDS}```\n")?;
    writeln!(
        text,
        "restic and rustic derive their key from a passphrase, about half a second in every command; strongroom is given a \
         key file.\n"
    )?;
    for (tool, version) in &setting.versions {
        writeln!(text, "- {tool}: {version}")?;
    }
    Ok(text)
}

fn goals(text: &mut String, results: &Results) -> Result<()> {
    writeln!(
        text,
        "| row | goal | strongroom | measured against | reached | |\n|---|---|---|---|---|---|"
    )?;
    for judged in judge(results) {
        writeln!(text, "{}", goal_row(&judged, results))?;
    }
    writeln!(text)?;
    Ok(())
}

pub(super) fn goal_row(judged: &Judged, results: &Results) -> String {
    let goal = &judged.goal;
    let unit = goal.figure.unit();
    let cell = |tool: &str, value: f64| {
        let cpu = goal.figure.cpu(results, tool);
        let cpu = cpu.map_or_else(String::new, |cpu| format!(" ({} CPU)", digits(cpu)));
        format!("{} {unit}{cpu}", digits(value))
    };
    let other = judged.other.map_or_else(
        || "–".to_owned(),
        |(tool, value)| format!("{tool}: {}", cell(tool, value)),
    );
    let (limit, reached) = match goal.against {
        Against::Limit => (
            format!("≤ {} {unit}", goal.most),
            format!("{} {unit}", digits(judged.reached)),
        ),
        Against::BestPeer => (
            format!("≤ {:.2} of the best peer", goal.most),
            format!("{:.2}", judged.reached),
        ),
        Against::Tool(name) => (
            format!("≤ {:.2} of {name}", goal.most),
            format!("{:.2}", judged.reached),
        ),
    };
    let verdict = if judged.is_met() { "met" } else { "**missed**" };
    format!(
        "| {} | {limit} | {} | {other} | {reached} | {verdict} |",
        goal.row,
        cell(OURS, judged.ours),
    )
}

/// A table with a row for each tool that ran and a column for each step.
fn table(
    text: &mut String,
    title: &str,
    results: &Results,
    value: impl Fn(&str, Step) -> Option<f64>,
) -> Result<()> {
    let steps = Step::ALL.map(Step::name).join(" | ");
    let rule = "---|".repeat(Step::ALL.len());
    writeln!(text, "{title}:\n\n| tool | {steps} |\n|---|{rule}")?;
    for tool in TOOLS.iter().filter(|tool| results.has(tool.name)) {
        let cells = Step::ALL.map(|step| shown(value(tool.name, step)));
        writeln!(text, "| {} | {} |", tool.name, cells.join(" | "))?;
    }
    writeln!(text)?;
    Ok(())
}

fn repositories(text: &mut String, results: &Results) -> Result<()> {
    const COLUMNS: [(Step, Step); 4] = [
        (Step::Full, Step::Unchanged),
        (Step::Unchanged, Step::Day2),
        (Step::Day2, Step::Day3),
        (Step::Day3, Step::Second),
    ];
    let heads = COLUMNS.map(|(_, step)| format!("+ {}", step.name()));
    writeln!(
        text,
        "Repository, MiB:\n\n| tool | after full | {} | in all |\n|---|---|---|---|---|---|---|",
        heads.join(" | ")
    )?;
    for tool in TOOLS.iter().filter(|tool| results.has(tool.name)) {
        let name = tool.name;
        let grown = COLUMNS.map(|(before, step)| shown(results.growth_mib(name, before, step)));
        writeln!(
            text,
            "| {name} | {} | {} | {} |",
            shown(results.size_mib(name, Step::Full)),
            grown.join(" | "),
            shown(results.size_mib(name, Step::Second)),
        )?;
    }
    writeln!(text)?;
    Ok(())
}

/// The fastest and the slowest of the runs.
fn spread(text: &mut String, results: &Results) -> Result<()> {
    writeln!(text, "Fastest and slowest run, wall seconds:\n")?;
    let tools = TOOLS.iter().filter(|tool| results.has(tool.name));
    for tool in tools.filter(|tool| tool.role != Role::Floor) {
        let mut words = Vec::new();
        for step in Step::ALL {
            let values = results.values(tool.name, step, |m: &Measured| m.sample.wall_seconds);
            if let (Some(least), Some(most)) = (values.first(), values.last()) {
                words.push(format!("{} {least:.2}–{most:.2}", step.name()));
            }
        }
        writeln!(text, "- {}: {}", tool.name, words.join(", "))?;
    }
    writeln!(text)?;
    Ok(())
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), digits)
}

/// Three digits are more than the machine can repeat.
pub(super) fn digits(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

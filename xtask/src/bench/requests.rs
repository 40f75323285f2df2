//! `cargo xtask bench requests`: how many requests the engine makes to a place like `s3://bucket/prefix`, and the time it takes.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::options::Options;
use super::peers::{self, Program};
use super::scratch::{self, Scratch};
use super::tools::{Step, TOOLS, Work};
use super::{corpus, interrupt, page};
use crate::shell;

const MIB_OF_TIB: f64 = 1_048_576.0;

/// What one step cost.
#[derive(Debug)]
pub(super) struct Cost {
    pub(super) step: Step,
    pub(super) seconds: f32,
    /// By kind, as the command prints them.
    pub(super) requests: Map<String, Value>,
}

/// Takes our steps against a new repository below `place`, with the usual AWS variables. The repository stays there: it
/// lies in the caller's bucket.
pub(super) fn run(options: &Options, place: &str) -> Result<()> {
    if !place.contains("://") {
        bail!("requests are counted for a place like s3://bucket/prefix, not {place}");
    }
    peers::install_helpers()?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => peers::install(Program::Strongroom)?,
    };
    let parent = options.folder.clone();
    let parent = parent.unwrap_or_else(|| scratch::default_parent(options.size_bytes * 4));
    let scratch = Scratch::new(&parent)?;
    interrupt::clean_up_on_signals(scratch.folder().to_owned())?;
    let images = scratch.folder().join("corpus");
    fs::create_dir(&images).with_context(|| format!("cannot create {}", images.display()))?;
    let corpus = corpus::make(&images, options.size_bytes)?;

    let mut work = Work::new(program, &corpus, &scratch.folder().join("run"))?;
    let place = place.trim_end_matches('/');
    work.repository = PathBuf::from(format!("{place}/bench-{}", std::process::id()));
    let [ours, ..] = TOOLS;
    ours.prepare(&work)?;
    let mut costs = Vec::new();
    for step in Step::ALL {
        work.provide(step)?;
        let mut command = ours
            .command(step, &work)?
            .context("ours takes every step")?;
        let started = shell::now();
        let printed = shell::output(command.args(["-o", "json"])).with_context(|| step.name())?;
        costs.push(Cost {
            step,
            seconds: started.elapsed().as_secs_f32(),
            requests: counts(&printed).with_context(|| step.name())?,
        });
    }
    let text = format!(
        "{}\n\n{}\n\n{}",
        page::circumstances(scratch.folder())?,
        corpus.description(),
        table(&costs, options.size_bytes >> 20)?,
    );
    println!("{text}");
    scratch.remove()?;
    // The page is about what this tree makes.
    match options.program {
        Some(_) => Ok(()),
        None => page::write("requests", &text),
    }
}

/// The counts in the object that a command prints last.
pub(super) fn counts(printed: &str) -> Result<Map<String, Value>> {
    let last = printed.lines().last().unwrap_or_default();
    // Either the whole output is one object, or its last line is.
    let answer: Value = serde_json::from_str(printed)
        .or_else(|_| serde_json::from_str(last))
        .context("the command prints JSON")?;
    let requests = answer["requests"].as_object();
    requests
        .cloned()
        .context("the command does not say how many requests it made")
}

/// Two tables, one below the other: what each step cost, and that for a TiB of image.
pub(super) fn table(costs: &[Cost], image_mib: u64) -> Result<String> {
    let kinds: Vec<&String> = costs
        .first()
        .map(|cost| cost.requests.keys().collect())
        .unwrap_or_default();
    let heads: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let (heads, rule) = (heads.join(" | "), "---|".repeat(kinds.len()));
    let mut made = format!("| step | s | {heads} |\n|---|---|{rule}\n");
    let mut for_each_tib = format!("| for each TiB of image | {heads} |\n|---|{rule}\n");
    for cost in costs {
        let name = cost.step.name();
        let of_kind = |kind: &&String| cost.requests.get(*kind).and_then(Value::as_u64);
        let counts: Vec<u64> = kinds
            .iter()
            .map(|kind| of_kind(kind).unwrap_or(0))
            .collect();
        let cells = counts.iter().map(u64::to_string).collect::<Vec<_>>();
        writeln!(
            made,
            "| {name} | {:.1} | {} |",
            cost.seconds,
            cells.join(" | ")
        )?;
        let cells = counts.iter().map(|count| {
            #[expect(clippy::cast_precision_loss, reason = "shown without digits")]
            let per_tib = *count as f64 / image_mib as f64 * MIB_OF_TIB;
            format!("{per_tib:.0}")
        });
        let cells = cells.collect::<Vec<_>>();
        writeln!(for_each_tib, "| {name} | {} |", cells.join(" | "))?;
    }
    Ok(format!("{made}\n{for_each_tib}"))
}

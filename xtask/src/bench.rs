//! `cargo xtask bench`: Strongroom's engine beside the tools that people use today, on one corpus in one run.

mod corpus;
mod goals;
mod interrupt;
mod live;
mod load;
mod measure;
mod options;
mod page;
mod peers;
mod report;
mod requests;
mod results;
mod scratch;
mod sections;
#[cfg(test)]
mod tests;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;
use corpus::Corpus;
use options::Options;
pub(crate) use options::USAGE;
use results::{Measured, Results};
use scratch::Scratch;
use tools::{Step, Tool, Work};

/// The last report, whether or not it went into the page.
const LAST: &str = "target/bench-last.md";

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if let [word, rest @ ..] = arguments {
        if *word == "corpus" {
            return keep_corpus(&options::parse(rest)?);
        }
        if *word == "requests" {
            let (place, rest) = rest.split_first().context(USAGE)?;
            return requests::run(&options::parse(rest)?, place);
        }
        if *word == "live" {
            return live::run(&options::parse(rest)?);
        }
        if *word == "load" {
            let folder = options::parse(rest)?.folder;
            return load::run(&folder.unwrap_or_else(|| shell::root().join("target/bench")));
        }
        if let Some(section) = sections::SECTIONS
            .iter()
            .find(|section| section.name == *word)
        {
            let options = options::parse(rest)?;
            let on_disk = shell::root().join("target/bench");
            return section.run(&options.folder.unwrap_or(on_disk));
        }
    }
    compare(&options::parse(arguments)?)
}

/// Makes the corpus where one can look at it and use it for other measurements.
fn keep_corpus(options: &Options) -> Result<()> {
    let folder = options.folder.as_ref();
    let folder = folder.context("`bench corpus` needs --folder")?;
    peers::install_helpers()?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty", folder.display());
    }
    corpus::make(folder, options.size_bytes)?;
    Ok(())
}

fn compare(options: &Options) -> Result<()> {
    if options.program.is_some() {
        bail!("--program is for `bench requests`:\n{USAGE}");
    }
    let started = shell::now();
    peers::install_helpers()?;
    let mut programs: Vec<(Tool, PathBuf)> = Vec::new();
    for tool in &options.tools {
        programs.push((*tool, peers::install(tool.program)?));
    }
    // Four images of which four tenths are zeros, a repository of one and a half, and what is restored.
    let parent = options.folder.clone();
    let parent = parent.unwrap_or_else(|| scratch::default_parent(options.size_bytes * 4));
    let scratch = Scratch::new(&parent)?;
    interrupt::clean_up_on_signals(scratch.folder().to_owned())?;
    println!("working in {}", scratch.folder().display());
    let images = scratch.folder().join("corpus");
    fs::create_dir(&images).with_context(|| format!("cannot create {}", images.display()))?;
    let corpus = corpus::make(&images, options.size_bytes)?;

    let mut results = Results::default();
    let mut loads = Vec::new();
    for run in 1..=options.runs {
        loads.push(page::load());
        // Tools take turns, so that a busy minute of the machine does not fall on one alone.
        for (tool, program) in &programs {
            let folder = scratch.folder().join("run");
            let measured = run_tool(tool, program.clone(), &corpus, &folder)
                .with_context(|| format!("{} in run {run}", tool.name))?;
            println!("run {run}: {}: {}", tool.name, in_short(&measured));
            results.measured.extend(measured);
        }
    }
    let mut versions = Vec::new();
    for (tool, program) in &programs {
        versions.push((tool.name, tool.version(program)?));
    }
    let setting = report::Setting {
        circumstances: page::circumstances(scratch.folder())?,
        corpus: &corpus,
        runs: options.runs,
        loads,
        versions,
    };
    let text = report::write(&setting, &results)?;
    scratch.remove()?;
    println!(
        "\n{text}\nin {:.0} minutes",
        started.elapsed().as_secs_f32() / 60.0
    );
    publish(options, &results, &text)
}

/// Only a run of all tools at the goals' size goes into the page.
fn publish(options: &Options, results: &Results, text: &str) -> Result<()> {
    fs::write(shell::root().join(LAST), text).with_context(|| format!("cannot write {LAST}"))?;
    if !options.are_for_the_page() {
        println!("written to {LAST} only: the goals are stated for all tools and at least 4G");
        return Ok(());
    }
    page::write("comparison", text)?;
    let judged = report::judge(results);
    let missed = judged.iter().filter(|judged| !judged.is_met());
    let missed: Vec<&str> = missed.map(|judged| judged.goal.row).collect();
    for row in page::unexplained(&missed)? {
        println!("missed and not yet explained under \"Missed goals\": {row}");
    }
    Ok(())
}

/// Runs every step the tool has, in a new folder; what it restores must equal what it was given.
fn run_tool(
    tool: &Tool,
    program: PathBuf,
    corpus: &Corpus,
    folder: &Path,
) -> Result<Vec<Measured>> {
    let work = Work::new(program, corpus, folder)?;
    tool.prepare(&work)?;
    let mut measured = Vec::new();
    for step in Step::ALL {
        work.provide(step)?;
        let Some(command) = tool.command(step, &work)? else {
            continue;
        };
        let sample = measure::run(&command, folder).with_context(|| step.name())?;
        if step == Step::Restore {
            let restored = tools::restored(&work)?;
            corpus::compare(tool.expected(&work), &restored)?;
            fs::remove_file(&restored).context("cannot remove what was restored")?;
        }
        measured.push(Measured {
            tool: tool.name,
            step,
            sample,
            repository_mib: measure::mib_of(&work.repository)?,
        });
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    Ok(measured)
}

fn in_short(measured: &[Measured]) -> String {
    let words = measured
        .iter()
        .map(|m| format!("{} {:.2} s", m.step.name(), m.sample.wall_seconds));
    words.collect::<Vec<_>>().join(", ")
}

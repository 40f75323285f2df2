//! What the command line asks for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::tools::{TOOLS, Tool};

pub(crate) const USAGE: &str = "\
cargo xtask bench [--size 4G] [--runs 3] [--quick] [--tools restic,rustic,…] [--folder FOLDER]
cargo xtask bench corpus --folder FOLDER [--size 4G]
cargo xtask bench index [--folder FOLDER]
cargo xtask bench load [--folder FOLDER]
cargo xtask bench live [--size 4G] [--runs 3] [--quick] [--folder FOLDER]
cargo xtask bench requests s3://BUCKET/PREFIX [--size 1G] [--folder FOLDER] [--program STRONGROOM]";

/// The goals are stated for images of this size.
pub(super) const GOAL_BYTES: u64 = 4 << 30;
const QUICK_BYTES: u64 = 512 << 20;
/// Below this the shares of the corpus lose their meaning.
const LEAST_BYTES: u64 = 128 << 20;

#[derive(Debug)]
pub(super) struct Options {
    pub(super) size_bytes: u64,
    pub(super) runs: usize,
    pub(super) tools: Vec<Tool>,
    /// None: memory if it is large enough.
    pub(super) folder: Option<PathBuf>,
    /// Counts another strongroom's requests than those of the one that this tree makes, and leaves the page alone.
    pub(super) program: Option<PathBuf>,
}

impl Options {
    /// Whether the figures may stand in the page beside the goals.
    pub(super) fn are_for_the_page(&self) -> bool {
        self.size_bytes >= GOAL_BYTES && self.tools.len() == TOOLS.len()
    }
}

pub(super) fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options {
        size_bytes: GOAL_BYTES,
        runs: 3,
        tools: TOOLS.to_vec(),
        folder: None,
        program: None,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if *word == "--quick" {
            (options.size_bytes, options.runs) = (QUICK_BYTES, 1);
            continue;
        }
        let value = words.next().with_context(|| format!("usage:\n{USAGE}"))?;
        match *word {
            "--size" => options.size_bytes = parse_size(value)?,
            "--runs" => options.runs = value.parse().context("--runs takes a number")?,
            "--tools" => options.tools = parse_tools(value)?,
            "--folder" => {
                let folder = std::path::absolute(value).context("--folder takes a path")?;
                options.folder = Some(folder);
            }
            "--program" => {
                let program = std::path::absolute(value).context("--program takes a path")?;
                options.program = Some(program);
            }
            _ => bail!("usage:\n{USAGE}"),
        }
    }
    if options.runs == 0 || options.size_bytes < LEAST_BYTES {
        bail!("at least one run, of at least {}M", LEAST_BYTES >> 20);
    }
    Ok(options)
}

/// Strongroom and every tool whose name begins with one of the words: `borg` is all three.
fn parse_tools(text: &str) -> Result<Vec<Tool>> {
    let words: Vec<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
    for word in &words {
        if !TOOLS.iter().any(|tool| tool.name.starts_with(word)) {
            let names = TOOLS.map(|tool| tool.name).join("; ");
            bail!("no tool is called {word:?}; there are {names}");
        }
    }
    let is_wanted = |tool: &&Tool| {
        let ours = tool.name == TOOLS[0].name;
        ours || words.iter().any(|word| tool.name.starts_with(word))
    };
    Ok(TOOLS.iter().filter(is_wanted).copied().collect())
}

/// `512M` or `4G` in bytes.
pub(super) fn parse_size(text: &str) -> Result<u64> {
    let shift = match text.chars().last() {
        Some('M') => 20,
        Some('G') => 30,
        _ => bail!("--size takes a number with M or G, not {text:?}"),
    };
    let number: u64 = text[..text.len() - 1]
        .parse()
        .context("--size takes a number with M or G")?;
    number
        .checked_mul(1 << shift)
        .with_context(|| format!("{text} is too large"))
}

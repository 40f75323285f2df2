//! The rules of the tree that no compiler checks. Every violation is printed; one is enough to fail.

mod edges;
mod licences;
mod metadata;
mod pages;
mod sources;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: [&str; 3] = [".git", "target", "__pycache__"];
/// What people wrote here and what is read as text.
const TEXT_SUFFIXES: [&str; 8] = ["rs", "toml", "md", "sql", "py", "sh", "json", "txt"];

/// One broken rule. Line 0 stands for the whole file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A text file of the tree; `path` is relative to the root.
struct SourceFile {
    path: String,
    text: String,
}

impl SourceFile {
    fn has_suffix(&self, suffix: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|own| own == suffix)
    }
}

pub(crate) fn run() -> Result<()> {
    let root = shell::root();
    let files = text_files(&root)?;
    let packages = metadata::load()?;
    let mut violations: Vec<Violation> = files.iter().flat_map(sources::check).collect();
    violations.extend(pages::check(&files, |path| root.join(path).exists()));
    violations.extend(sources::check_migrations(&files));
    violations.extend(edges::check(&packages));
    violations.extend(licences::check(&packages));
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("{} violations of the tree's rules", violations.len());
    }
    println!(
        "{} files and {} packages are tidy",
        files.len(),
        packages.len()
    );
    Ok(())
}

fn text_files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry.context("cannot list a folder")?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if is_text(&path) {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let relative = path.strip_prefix(root).context("a path under the root")?;
                files.push(SourceFile {
                    path: relative.to_string_lossy().into_owned(),
                    text,
                });
            }
        }
    }
    Ok(files)
}

fn is_text(path: &Path) -> bool {
    let suffix = path.extension().unwrap_or_default().to_string_lossy();
    TEXT_SUFFIXES.contains(&suffix.as_ref())
}

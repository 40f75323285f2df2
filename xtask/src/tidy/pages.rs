//! Documentation: every page can be found from the summary, every relative link leads somewhere.

use std::path::{Component, Path, PathBuf};

use super::{SourceFile, Violation};

const SUMMARY: &str = "docs/SUMMARY.md";

/// `exists` answers for paths relative to the root.
pub(super) fn check(files: &[SourceFile], exists: impl Fn(&Path) -> bool) -> Vec<Violation> {
    let pages = files.iter().filter(|file| file.has_suffix("md"));
    let mut violations: Vec<Violation> = pages
        .clone()
        .flat_map(|page| dead_links(page, &exists))
        .collect();

    let summary = files.iter().find(|file| file.path == SUMMARY);
    let listed: Vec<PathBuf> = summary
        .iter()
        .flat_map(|summary| links(&summary.text))
        .filter_map(|(_, target)| resolve(SUMMARY, target))
        .collect();
    for page in pages.filter(|page| page.path.starts_with("docs/") && page.path != SUMMARY) {
        if !listed.contains(&PathBuf::from(&page.path)) {
            violations.push(Violation::new(
                &page.path,
                0,
                format!("not listed in {SUMMARY}"),
            ));
        }
    }
    violations
}

fn dead_links(page: &SourceFile, exists: impl Fn(&Path) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (line, target) in links(&page.text) {
        let Some(path) = resolve(&page.path, target) else {
            continue;
        };
        if !exists(&path) {
            violations.push(Violation::new(
                &page.path,
                line,
                format!("dead link {target}"),
            ));
        }
    }
    violations
}

/// Line numbers and targets of Markdown's inline links outside code blocks.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for piece in line.split("](").skip(1) {
            if let Some((target, _)) = piece.split_once(')') {
                found.push((number, target));
            }
        }
    }
    found
}

/// The file a relative link means, from the root; none for addresses and for anchors of the same page.
fn resolve(page: &str, target: &str) -> Option<PathBuf> {
    let file = target.split('#').next().unwrap_or_default();
    if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
        return None;
    }
    let mut path = Path::new(page).parent()?.to_owned();
    for component in Path::new(file).components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path)
}

//! Rules for single files: length, module docs, words that must not be committed; and the twin migrations.

use std::collections::BTreeSet;

use super::{SourceFile, Violation};

/// Beyond this a file tells more than one story. Tests are not counted.
const MAX_LINES: usize = 500;

/// Unfinished work, and paths of one machine. Written in halves, so that this file passes its own rule.
const FORBIDDEN: [(&str, &str); 8] = [
    (concat!("TO", "DO"), "finish it or write an issue"),
    (concat!("FIX", "ME"), "fix it or write an issue"),
    (concat!("todo", "!"), "finish it"),
    (concat!("unimplemented", "!"), "finish it"),
    (concat!("#[ign", "ore"), "a test runs or does not exist"),
    (concat!("db", "g!"), "remove the debug print"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("../sha", "red"), "a path of one machine"),
];

pub(super) fn check(file: &SourceFile) -> Vec<Violation> {
    let mut violations = forbidden_words(file);
    if file.has_suffix("rs") {
        violations.extend(too_long(file));
        violations.extend(missing_docs(file));
    }
    if file.path.ends_with("Cargo.toml") {
        violations.extend(missing_lints(file));
    }
    violations
}

fn forbidden_words(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for (word, advice) in FORBIDDEN {
            if line.contains(word) {
                violations.push(Violation::new(
                    &file.path,
                    number,
                    format!("`{word}`: {advice}"),
                ));
            }
        }
    }
    violations
}

fn too_long(file: &SourceFile) -> Option<Violation> {
    let is_test = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    let lines = file
        .text
        .lines()
        .take_while(|line| !line.starts_with("mod tests {"))
        .count();
    let is_broken = !is_test && lines > MAX_LINES;
    is_broken.then(|| {
        Violation::new(
            &file.path,
            MAX_LINES + 1,
            format!("{lines} lines, more than {MAX_LINES}"),
        )
    })
}

/// The root of every crate says what the crate is for.
fn missing_docs(file: &SourceFile) -> Option<Violation> {
    let is_root = file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs");
    let is_broken = is_root && !file.text.starts_with("//! ");
    is_broken.then(|| Violation::new(&file.path, 1, "starts without a `//!` doc"))
}

/// The crate with the one line of unsafe code that the workspace forbids; it repeats the other lints.
const OWN_LINTS: &str = "crates/index/Cargo.toml";

fn missing_lints(file: &SourceFile) -> Option<Violation> {
    let is_broken =
        file.text.contains("[package]") && !file.text.contains("[lints]\nworkspace = true");
    let is_broken = is_broken && !file.path.ends_with(OWN_LINTS);
    is_broken.then(|| Violation::new(&file.path, 0, "does not take the workspace's lints"))
}

/// Both databases know the same migrations, by name.
pub(super) fn check_migrations(files: &[SourceFile]) -> Vec<Violation> {
    const FOLDERS: [&str; 2] = [
        "crates/db/migrations/sqlite/",
        "crates/db/migrations/postgres/",
    ];
    let names = |folder: &str| -> BTreeSet<String> {
        let names = files
            .iter()
            .filter_map(|file| file.path.strip_prefix(folder));
        names.map(str::to_owned).collect()
    };
    let [sqlite, postgres] = FOLDERS.map(names);
    let mut violations = Vec::new();
    for (folder, present, wanted) in [
        (FOLDERS[0], &sqlite, &postgres),
        (FOLDERS[1], &postgres, &sqlite),
    ] {
        for name in wanted.difference(present) {
            let path = format!("{folder}{name}");
            violations.push(Violation::new(
                &path,
                0,
                "missing: the other database has this migration",
            ));
        }
    }
    violations
}

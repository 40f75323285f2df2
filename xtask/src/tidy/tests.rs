//! Each rule is shown one tree that keeps it and one that breaks it.

use std::path::Path;

use super::metadata::{Dependency, Kind, Package};
use super::{SourceFile, edges, licences, pages, sources};

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// The violations of one file, as they are printed.
fn check_source(path: &str, text: &str) -> Vec<String> {
    let violations = sources::check(&file(path, text));
    violations.iter().map(ToString::to_string).collect()
}

fn dependency(name: &str, kind: Option<Kind>) -> Dependency {
    Dependency {
        name: name.to_owned(),
        kind,
        optional: false,
    }
}

fn check_edge(package: &str, dependency: Dependency) -> Vec<String> {
    let package = Package {
        name: package.to_owned(),
        version: "0.0.0".to_owned(),
        license: None,
        source: None,
        dependencies: vec![dependency],
    };
    edges::check(&[package])
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn unfinished_work_is_found_with_its_line() {
    let text = format!("//! Docs.\nfn f() {{\n    {}()\n}}\n", concat!("todo", "!"));
    let found = check_source("crates/x/src/lib.rs", &text);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("crates/x/src/lib.rs:3: "), "{found:?}");
}

#[test]
fn machine_paths_are_found_in_any_text() {
    let text = format!("see {}notes\n", concat!("/wo", "rk/"));
    assert_eq!(check_source("docs/a.md", &text).len(), 1);
    assert_eq!(
        check_source("docs/a.md", "network/x and ../docs\n"),
        Vec::<String>::new()
    );
}

#[test]
fn long_files_are_refused_but_tests_are_free() {
    let text = "// a line\n".repeat(501);
    assert_eq!(
        check_source("crates/x/src/a.rs", &text),
        ["crates/x/src/a.rs:501: 501 lines, more than 500"]
    );
    assert!(check_source("crates/x/src/tests/a.rs", &text).is_empty());
    assert!(check_source("crates/x/src/tests.rs", &text).is_empty());
    let with_tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{text}}}\n");
    assert!(check_source("crates/x/src/a.rs", &with_tests).is_empty());
}

#[test]
fn crate_roots_start_with_their_docs() {
    assert_eq!(check_source("crates/x/src/lib.rs", "mod a;\n").len(), 1);
    assert!(check_source("crates/x/src/lib.rs", "//! What it is for.\n").is_empty());
    assert!(check_source("crates/x/src/a.rs", "fn a() {}\n").is_empty());
}

#[test]
fn every_package_takes_the_lints() {
    assert_eq!(
        check_source("crates/x/Cargo.toml", "[package]\nname = \"x\"\n").len(),
        1
    );
    let good = "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n";
    assert!(check_source("crates/x/Cargo.toml", good).is_empty());
    assert!(check_source("Cargo.toml", "[workspace]\n").is_empty());
}

#[test]
fn migrations_are_twins() {
    let files = [
        file("crates/db/migrations/sqlite/0001_first.sql", ""),
        file("crates/db/migrations/postgres/0001_first.sql", ""),
        file("crates/db/migrations/sqlite/0002_more.sql", ""),
    ];
    let found = sources::check_migrations(&files);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "crates/db/migrations/postgres/0002_more.sql");
}

#[test]
fn edges_point_down() {
    assert!(check_edge("strongroom-repo", dependency("strongroom-chunk", None)).is_empty());
    assert_eq!(
        check_edge("strongroom-repo", dependency("strongroom-db", None)),
        ["crates/repo/Cargo.toml:0: strongroom-repo must not depend on strongroom-db"]
    );
    assert!(check_edge("strongroom", dependency("strongroom-repo", None)).is_empty());
    assert_eq!(
        check_edge("strongroom-new", dependency("serde", None)).len(),
        1
    );
}

#[test]
fn the_testkit_is_for_tests() {
    assert!(
        check_edge(
            "strongroom-db",
            dependency("strongroom-testkit", Some(Kind::Dev))
        )
        .is_empty()
    );
    assert_eq!(
        check_edge("strongroom-db", dependency("strongroom-testkit", None)).len(),
        1
    );
    assert_eq!(
        check_edge("strongroom", dependency("strongroom-testkit", None)).len(),
        1
    );
}

#[test]
fn libraries_keep_to_their_crates() {
    assert!(check_edge("strongroom-db", dependency("sqlx", None)).is_empty());
    assert_eq!(
        check_edge("strongroom-service", dependency("sqlx", None)).len(),
        1
    );
    assert_eq!(
        check_edge("strongroom-types", dependency("sqlx", None)).len(),
        1
    );
    let optional = Dependency {
        optional: true,
        ..dependency("sqlx", None)
    };
    assert!(check_edge("strongroom-types", optional).is_empty());
    assert_eq!(
        check_edge("strongroom-chunk", dependency("tokio", None)).len(),
        1
    );
    assert!(check_edge("strongroom-chunk", dependency("tokio", Some(Kind::Dev))).is_empty());
}

#[test]
fn licence_expressions_are_understood() {
    let permissive = |expression| licences::is_permissive(Some(expression));
    assert!(permissive("MIT OR Apache-2.0"));
    assert!(permissive("MIT/Apache-2.0"));
    assert!(permissive("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(permissive("MIT OR Apache-2.0 OR LGPL-2.1-or-later"));
    assert!(permissive("Apache-2.0 WITH LLVM-exception"));
    assert!(!permissive("GPL-3.0-only"));
    assert!(!permissive("MIT AND LGPL-2.1-only"));
    assert!(!permissive("GPL-2.0 WITH Classpath-exception-2.0"));
    assert!(!permissive("(MIT OR Apache-2.0"));
    assert!(!permissive(""));
    assert!(!licences::is_permissive(None));
}

#[test]
fn pages_are_listed_and_links_resolve() {
    let files = [
        file(
            "docs/SUMMARY.md",
            "- [One](one.md)\n- [Nested](formats/two.md#top)\n",
        ),
        file(
            "docs/one.md",
            "[up](../README.md) [site](https://example.org) [here](#here)\n",
        ),
        file(
            "docs/formats/two.md",
            "[gone](../three.md)\n```\n[code](x)\n```\n",
        ),
        file("docs/orphan.md", "No links.\n"),
        file("README.md", "[docs](docs/one.md)\n"),
    ];
    let exists = |path: &Path| files.iter().any(|file| Path::new(&file.path) == path);
    let found: Vec<String> = pages::check(&files, exists)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "docs/formats/two.md:1: dead link ../three.md",
            "docs/orphan.md:0: not listed in docs/SUMMARY.md"
        ]
    );
}

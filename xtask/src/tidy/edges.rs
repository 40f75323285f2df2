//! Who may depend on whom. What is not in these tables is forbidden.

use super::Violation;
use super::metadata::{Dependency, Kind, Package};

/// Each crate of ours and those of ours it may use; `*` means all but testkit and xtask.
const OURS: [(&str, &[&str]); 18] = [
    ("strongroom-types", &[]),
    ("strongroom-chunk", &["types"]),
    ("strongroom-block", &["types"]),
    ("strongroom-nbd", &[]),
    ("strongroom-wire", &["types"]),
    ("strongroom-db", &["types"]),
    ("strongroom-store", &["types"]),
    ("strongroom-qemu", &["types"]),
    ("strongroom-libvirt", &["types"]),
    ("strongroom-index", &["chunk", "types"]),
    ("strongroom-repo", &["chunk", "index", "store", "types"]),
    ("strongroom-attach", &["repo", "nbd"]),
    ("strongroom-service", &["db", "types"]),
    (
        "strongroom-worker",
        &[
            "service", "db", "repo", "store", "block", "nbd", "attach", "qemu", "libvirt", "types",
        ],
    ),
    ("strongroom-api", &["wire", "service", "types"]),
    ("strongroom", &["*"]),
    ("strongroom-testkit", &["types"]),
    ("xtask", &[]),
];

const TESTKIT: &str = "strongroom-testkit";

/// Libraries whose use marks a responsibility, and the crates that have it. Dev-dependencies are free.
const FOREIGN: [(&str, &[&str]); 8] = [
    ("sqlx", &["strongroom-db", TESTKIT]),
    ("axum", &["strongroom-api", "strongroom"]),
    (
        "object_store",
        &["strongroom-store", "strongroom-repo", TESTKIT],
    ),
    ("clap", &["strongroom"]),
    ("reqwest", &["strongroom", "strongroom-worker"]),
    ("fuser", &["strongroom"]),
    ("lettre", &["strongroom-worker"]),
    ("rustls", &["strongroom-nbd"]),
];

/// Crates that are pure functions and vocabulary: no runtime, so no clock, socket or task.
const PURE: [&str; 5] = [
    "strongroom-types",
    "strongroom-chunk",
    "strongroom-wire",
    "strongroom-block",
    "strongroom-nbd",
];

pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let members = packages.iter().filter(|package| package.is_member());
    members.flat_map(check_member).collect()
}

fn check_member(package: &Package) -> Vec<Violation> {
    let manifest = manifest_path(&package.name);
    let Some((_, allowed)) = OURS.iter().find(|(name, _)| *name == package.name) else {
        let message = format!(
            "{} is not in the table of crates (xtask/src/tidy/edges.rs)",
            package.name
        );
        return vec![Violation::new(&manifest, 0, message)];
    };
    let forbidden = |dependency: &&Dependency| !is_allowed(&package.name, allowed, dependency);
    let broken = package.dependencies.iter().filter(forbidden);
    broken
        .map(|dependency| {
            let message = format!("{} must not depend on {}", package.name, dependency.name);
            Violation::new(&manifest, 0, message)
        })
        .collect()
}

fn is_allowed(package: &str, allowed: &[&str], dependency: &Dependency) -> bool {
    let is_dev = dependency.kind == Some(Kind::Dev);
    let name = dependency.name.as_str();
    if name == TESTKIT {
        return is_dev && package != "xtask";
    }
    if OURS.iter().any(|(ours, _)| *ours == name) {
        let short = name.strip_prefix("strongroom-").unwrap_or(name);
        return name != "xtask" && (allowed == ["*"] || allowed.contains(&short));
    }
    if is_dev {
        return true;
    }
    if name == "tokio" {
        return !PURE.contains(&package);
    }
    if name == "sqlx" && package == "strongroom-types" {
        return dependency.optional; // ids and states as column types
    }
    FOREIGN
        .iter()
        .find(|(library, _)| *library == name)
        .is_none_or(|(_, users)| users.contains(&package))
}

fn manifest_path(package: &str) -> String {
    match package.strip_prefix("strongroom-") {
        Some(folder) => format!("crates/{folder}/Cargo.toml"),
        None if package == "xtask" => "xtask/Cargo.toml".to_owned(),
        None => format!("crates/{package}/Cargo.toml"),
    }
}

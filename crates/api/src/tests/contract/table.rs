//! The table of `docs/compatibility.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::departures::{DEPARTURES, Departure, Way};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
/// The cases of the official Python client, one function for each of its methods.
const CASES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../strongroom/tests/clients/sdk_cases"
);
const BEGIN: &str = "<!-- begin contract -->";
const END: &str = "<!-- end contract -->";
const UPDATE: &str = "STRONGROOM_UPDATE_SNAPSHOTS";

/// What one operation was seen to do.
pub(super) struct Row {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) permission: &'static str,
    pub(super) success: u16,
    pub(super) refusals: BTreeSet<String>,
}

/// Compares the page with what was seen, or writes it.
pub(super) fn check(rows: &BTreeMap<String, Row>) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let written = format!("{before}{BEGIN}\n\n{}\n{END}{after}", table(rows));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(PAGE, &written).unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    assert!(
        page == written,
        "the operations changed: run the test again with {UPDATE}=1 and review docs/compatibility.md"
    );
}

fn table(rows: &BTreeMap<String, Row>) -> String {
    let client = cases_of_client();
    let mut lines = vec![
        "## Every operation\n".to_owned(),
        "What one test has seen each published operation do, on both databases: succeed with the status of the description, \
         refuse, keep to the schema at each of its limits, and ask for its permission. SDK: the official client calls it.\n"
            .to_owned(),
        "| operation | request | success | refusals seen | schema | SDK | permission |".to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for (name, row) in rows {
        let refusals: Vec<&str> = row.refusals.iter().map(String::as_str).collect();
        let called = if client.contains(&case_of(name)) {
            "yes"
        } else {
            "no"
        };
        lines.push(format!(
            "| {name} | `{} {}` | {} | {} | {} | {called} | `{}` |",
            row.method,
            row.path,
            row.success,
            refusals.join(", "),
            notes_of(name),
            row.permission,
        ));
    }
    lines.push("\n`*n*` is a departure from the published schema:\n".to_owned());
    for (number, departure) in (1..).zip(DEPARTURES) {
        lines.push(format!("{number}. {}", told(departure)));
    }
    lines.join("\n") + "\n"
}

/// Departures of its own; those of everything are told once.
fn notes_of(name: &str) -> String {
    let notes: Vec<String> = (1..)
        .zip(DEPARTURES)
        .filter(|(_, departure)| departure.operations.contains(&name))
        .map(|(number, _)| format!("*{number}*"))
        .collect();
    if notes.is_empty() {
        "yes".to_owned()
    } else {
        notes.join(" ")
    }
}

fn told(departure: &Departure) -> String {
    let places: Vec<String> = departure
        .places
        .iter()
        .map(|place| format!("`{place}`"))
        .collect();
    let verb = match departure.from {
        Way::Takes => "takes more",
        Way::Refuses => "takes less",
        Way::Answers => "answers otherwise",
    };
    let whose = match departure.operations {
        ["*"] => "every operation".to_owned(),
        names => names.join(", "),
    };
    format!(
        "{} in {whose}, {verb}: {}",
        places.join(", "),
        departure.reason
    )
}

/// The text of all cases.
fn cases_of_client() -> String {
    let files = std::fs::read_dir(CASES).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default());
    texts.collect()
}

/// `def list_vault(` of `ListVault`.
fn case_of(name: &str) -> String {
    let mut method = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !method.is_empty() {
            method.push('_');
        }
        method.push(c.to_ascii_lowercase());
    }
    format!("def {method}(")
}

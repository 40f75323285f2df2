//! What a command prints: tables for people, one JSON value for machines.

use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

/// Prints one JSON value on a line of its own.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string(value)?).context("the answer cannot be printed")
}

pub(crate) fn print_line(line: &str) {
    if let Err(error) = print(line) {
        remark(&format!("the answer cannot be printed: {error}"));
    }
}

/// Who reads a part only, as `head` does, has what was wanted.
fn print(line: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// A message for the person at the terminal, beside the output.
#[expect(clippy::print_stderr, reason = "progress and remarks belong on stderr")]
pub(crate) fn remark(line: &str) {
    eprintln!("{line}");
}

pub(crate) fn print_table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    print_line(&table.to_string());
}

/// `1536` → `1.5 KiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut whole = bytes;
    let mut rest = 0;
    let mut unit = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{whole} B"),
        _ => format!("{whole}.{} {}", rest * 10 / 1024, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::human_bytes;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (3 << 30, "3.0 GiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}

//! Tables of Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Measured;
use crate::clients::{Ask, Round};
use crate::constant::Constant;

pub(crate) fn write(database: &str, all: &[Measured], constant: &Constant) -> String {
    let name = match database {
        "sqlite" => "SQLite",
        _ => "PostgreSQL",
    };
    let mut text = format!("### On {name}\n\n");
    for measured in all {
        let tables = measured.tables;
        let _ = writeln!(
            text,
            "{} vaults, {} backups, {} operation logs; peak memory of the server {} MiB.\n",
            tables.vaults,
            tables.backups(),
            tables.logs(),
            measured.peak_mib
        );
        text += "| request | round | a second | p50 ms | p99 ms |\n|---|---|---|---|---|\n";
        measured
            .rounds
            .iter()
            .for_each(|round| rows(&mut text, round));
        text += "\n";
    }
    let _ = writeln!(
        text,
        "A bare axum server that answers {} bytes: {:.0} a second, p50 {} ms, p99 {} ms, {} MiB.\n",
        constant.bytes,
        rate(&constant.round, Ask::ListVaults),
        at(&constant.round, Ask::ListVaults, 50),
        at(&constant.round, Ask::ListVaults, 99),
        constant.peak_mib
    );
    if let [small, large] = all {
        ratios(&mut text, small, large);
    }
    text
}

fn rows(text: &mut String, round: &Round) {
    for (ask, times) in &round.times {
        let name = ask.name();
        let (half, most) = (milliseconds(times, 50), milliseconds(times, 99));
        let rate = rate(round, *ask);
        let _ = writeln!(
            text,
            "| {name} | {} | {rate:.0} | {half} | {most} |",
            round.name
        );
    }
    if round.times.len() > 1 {
        let all: f64 = round.times.keys().map(|ask| rate(round, *ask)).sum();
        let _ = writeln!(
            text,
            "| all, {} of them refused as busy | {} | {all:.0} | | |",
            round.busy, round.name
        );
    }
}

/// How the slowest hundredth grew while the tables grew a hundredfold.
fn ratios(text: &mut String, small: &Measured, large: &Measured) {
    *text += "| p99, all of the tables against one hundredth | round | ratio |\n|---|---|---|\n";
    for (before, after) in small.rounds.iter().zip(&large.rounds) {
        for ask in [Ask::ListVaults, Ask::ListBackups, Ask::ListLogs] {
            let (Some(before), Some(times)) = (before.times.get(&ask), after.times.get(&ask))
            else {
                continue;
            };
            let ratio = quantile(times, 99).as_secs_f64() / quantile(before, 99).as_secs_f64();
            let _ = writeln!(text, "| {} | {} | {ratio:.2} |", ask.name(), after.name);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown without digits")]
fn rate(round: &Round, ask: Ask) -> f64 {
    round
        .times
        .get(&ask)
        .map_or(0.0, |times| times.len() as f64 / round.seconds)
}

fn at(round: &Round, ask: Ask, percent: usize) -> String {
    round
        .times
        .get(&ask)
        .map_or_else(String::new, |times| milliseconds(times, percent))
}

fn milliseconds(times: &[Duration], percent: usize) -> String {
    format!("{:.1}", quantile(times, percent).as_secs_f64() * 1000.0)
}

/// Of times in order; zero where there are none.
fn quantile(times: &[Duration], percent: usize) -> Duration {
    let place = times.len().saturating_sub(1) * percent / 100;
    times.get(place).copied().unwrap_or_default()
}

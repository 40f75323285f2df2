//! Tables of Markdown.

use std::fmt::Write as _;

use crate::latency::Waits;
use crate::tools::{Measured, Step, Tool};

/// Of each of the peer's ways, in each row.
const TIME_GOAL: f64 = 0.5;
const SIZE_GOAL: f64 = 0.7;

pub(crate) fn in_short(steps: &[Measured]) -> String {
    let steps = steps.iter().map(|measured| {
        format!(
            "{} {:.2} s, {} MiB",
            measured.step.name(),
            measured.seconds,
            measured.kept_bytes >> 20
        )
    });
    steps.collect::<Vec<_>>().join("; ")
}

pub(crate) fn write(measured: &[Measured], waits: &[Waits]) -> String {
    let [ours, peers @ ..] = Tool::ALL.map(Tool::name);
    let mut text = format!("| row | goal | {ours} |");
    for peer in peers {
        let _ = write!(text, " {peer} | of it | |");
    }
    text += "\n|---|---|---|---|---|---|---|---|---|\n";
    for step in Step::ALL {
        let seconds = Tool::ALL.map(|tool| median(measured, tool, step, |m| m.seconds));
        row(
            &mut text,
            &format!("{}, s", step.name()),
            TIME_GOAL,
            seconds,
            2,
        );
    }
    let kept = |tool, step| median(measured, tool, step, |m| mib(m.kept_bytes));
    let full = Tool::ALL.map(|tool| kept(tool, Step::Full));
    row(&mut text, "size of the full, MiB", SIZE_GOAL, full, 0);
    for (before, after, name) in [
        (Step::Full, Step::Day2, "growth on day 2, MiB"),
        (Step::Day2, Step::Day3, "growth on day 3, MiB"),
    ] {
        let grown = Tool::ALL.map(|tool| kept(tool, after) - kept(tool, before));
        row(&mut text, name, SIZE_GOAL, grown, 0);
    }
    let all = Tool::ALL.map(|tool| kept(tool, Step::Day3));
    row(&mut text, "all three days, MiB", SIZE_GOAL, all, 0);
    latencies(&mut text, waits);
    text
}

fn row(text: &mut String, name: &str, goal: f64, values: [f64; Tool::ALL.len()], digits: usize) {
    let [ours, peers @ ..] = values;
    let _ = write!(text, "| {name} | ≤ {goal} | {ours:.digits$} |");
    for peer in peers {
        let ratio = ours / peer;
        let judged = if ratio <= goal { "met" } else { "**missed**" };
        let _ = write!(text, " {peer:.digits$} | {ratio:.2} | {judged} |");
    }
    *text += "\n";
}

/// The lower one of the two in the middle where their number is even.
fn median(measured: &[Measured], tool: Tool, step: Step, value: impl Fn(&Measured) -> f64) -> f64 {
    let of_step = |m: &&Measured| m.tool == tool && m.step == step;
    let mut values: Vec<f64> = measured.iter().filter(of_step).map(value).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "sizes below 2^53 bytes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn latencies(text: &mut String, waits: &[Waits]) {
    *text += "\n| meanwhile | s | files a second | writes and flushes | half within ms | 99 % | 99.9 % |\n|---|---|---|---|---|---|---|\n";
    for wait in waits {
        #[expect(clippy::cast_precision_loss, reason = "some thousand files")]
        let rate = wait.files as f64 / wait.seconds;
        let _ = write!(
            text,
            "| {} | {:.1} | {rate:.1} | {} |",
            wait.load, wait.seconds, wait.requests
        );
        for within in wait.within {
            let _ = write!(text, " {:.1} |", within.as_secs_f64() * 1e3);
        }
        *text += "\n";
    }
}

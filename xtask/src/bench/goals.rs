//! The goals, as they were stated before the measuring, and whether they are met.

use super::results::Results;
use super::tools::{OURS, RESTIC, Role, Step, TOOLS, ZSTD};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Wall(Step),
    /// The mean of the two changed days.
    ChangedDay,
    SizeAfter(Step),
    /// The mean growth of the repository on a changed day.
    DailyGrowth,
    /// What the second disk adds, in percent of the repository after the first full.
    SecondDisk,
    /// Of all steps, in MiB.
    PeakMemory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    BestPeer,
    Tool(&'static str),
    /// The figure itself has a limit.
    Limit,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    pub(super) row: &'static str,
    pub(super) figure: Figure,
    pub(super) against: Against,
    pub(super) most: f64,
}

const fn goal(row: &'static str, figure: Figure, against: Against, most: f64) -> Goal {
    Goal {
        row,
        figure,
        against,
        most,
    }
}

pub(super) const GOALS: [Goal; 12] = [
    goal(
        "first full",
        Figure::Wall(Step::Full),
        Against::BestPeer,
        0.60,
    ),
    goal(
        "first full, against restic",
        Figure::Wall(Step::Full),
        Against::Tool(RESTIC),
        0.35,
    ),
    goal(
        "first full, against bare compression",
        Figure::Wall(Step::Full),
        Against::Tool(ZSTD),
        1.10,
    ),
    goal(
        "unchanged, read again",
        Figure::Wall(Step::Unchanged),
        Against::BestPeer,
        0.40,
    ),
    goal(
        "changed day, read whole",
        Figure::ChangedDay,
        Against::BestPeer,
        0.35,
    ),
    goal(
        "restore to a new file",
        Figure::Wall(Step::Restore),
        Against::BestPeer,
        0.65,
    ),
    goal(
        "verify, all data",
        Figure::Wall(Step::Verify),
        Against::BestPeer,
        0.45,
    ),
    goal(
        "size after the first full",
        Figure::SizeAfter(Step::Full),
        Against::BestPeer,
        1.10,
    ),
    goal(
        "growth on a changed day",
        Figure::DailyGrowth,
        Against::BestPeer,
        0.45,
    ),
    goal(
        "repository after three days",
        Figure::SizeAfter(Step::Day3),
        Against::BestPeer,
        0.85,
    ),
    goal(
        "second disk, of the first",
        Figure::SecondDisk,
        Against::Limit,
        25.0,
    ),
    goal("peak memory", Figure::PeakMemory, Against::Limit, 150.0),
];

/// A goal with the figures that decide it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) goal: Goal,
    pub(super) ours: f64,
    /// The one it is measured against or, for a limit, the best of the peers to look at.
    pub(super) other: Option<(&'static str, f64)>,
    /// Ours divided by the other's, or ours where the goal is a limit.
    pub(super) reached: f64,
}

impl Judged {
    pub(super) fn is_met(&self) -> bool {
        self.reached <= self.goal.most
    }
}

impl Goal {
    /// None while a figure is missing, since a tool was left out.
    pub(super) fn judge(self, results: &Results) -> Option<Judged> {
        let ours = self.figure.of(results, OURS)?;
        let other = match self.against {
            Against::Tool(name) => Some((name, self.figure.of(results, name)?)),
            Against::BestPeer => Some(best_peer(self.figure, results)?),
            Against::Limit => best_peer(self.figure, results),
        };
        let reached = match (self.against, other) {
            (Against::Limit, _) | (_, None) => ours,
            (_, Some((_, theirs))) => ours / theirs,
        };
        Some(Judged {
            goal: self,
            ours,
            other,
            reached,
        })
    }
}

fn best_peer(figure: Figure, results: &Results) -> Option<(&'static str, f64)> {
    TOOLS
        .iter()
        .filter(|tool| tool.role == Role::Peer)
        .filter_map(|tool| Some((tool.name, figure.of(results, tool.name)?)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
}

impl Figure {
    /// The tool's figure; the smaller the better.
    fn of(self, results: &Results, tool: &str) -> Option<f64> {
        match self {
            Self::Wall(step) => results.wall(tool, step),
            Self::ChangedDay => {
                let days = [Step::Day2, Step::Day3].map(|day| results.wall(tool, day));
                Some(f64::midpoint(days[0]?, days[1]?))
            }
            Self::SizeAfter(step) => results.size_mib(tool, step),
            Self::DailyGrowth => {
                let grown = results.growth_mib(tool, Step::Unchanged, Step::Day3)?;
                Some(grown / 2.0)
            }
            Self::SecondDisk => {
                let grown = results.growth_mib(tool, Step::Day3, Step::Second)?;
                Some(grown / results.size_mib(tool, Step::Full)? * 100.0)
            }
            Self::PeakMemory => Step::ALL
                .iter()
                .filter_map(|step| results.memory_mib(tool, *step))
                .max_by(f64::total_cmp),
        }
    }

    /// CPU seconds that belong to the figure.
    pub(super) fn cpu(self, results: &Results, tool: &str) -> Option<f64> {
        match self {
            Self::Wall(step) => results.cpu(tool, step),
            Self::ChangedDay => {
                let days = [Step::Day2, Step::Day3].map(|day| results.cpu(tool, day));
                Some(f64::midpoint(days[0]?, days[1]?))
            }
            _ => None,
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Wall(_) | Self::ChangedDay => "s",
            Self::SizeAfter(_) | Self::DailyGrowth | Self::PeakMemory => "MiB",
            Self::SecondDisk => "%",
        }
    }
}

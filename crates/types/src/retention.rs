//! Which automatic backups stay. Pure: the same backups and rules always give the same answer, and only rules of time
//! look at the clock.

mod marks;
mod offset;

pub use marks::{DayOfMonth, Mark, MarkedDays, Month, MonthUnit, Periods, WeekOfMonth};
pub use offset::{InvalidUtcOffset, UtcOffset};

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

const SECONDS_PER_DAY: u64 = 86_400;

/// Rules that do not contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    base: Base,
    zone: UtcOffset,
    /// Days whose backups are kept longer than the base says.
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Base {
    Forever,
    Days(u32),
    Newest(Numbers),
}

/// How many are kept: the newest of all, and beside them the newest of each of the last days, weeks, months and years
/// that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Numbers {
    newest: u32,
    of_days: u32,
    of_weeks: u32,
    of_months: u32,
    of_years: u32,
}

/// Rules as a client gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionTerms {
    /// Absent: no rule of time.
    pub days: Option<u32>,
    /// Absent: any number of backups.
    pub newest: Option<u32>,
    pub of_days: u32,
    pub of_weeks: u32,
    pub of_months: u32,
    pub of_years: u32,
    pub zone: Option<UtcOffset>,
    pub marks: Vec<Mark>,
}

/// Why rules do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionConflict {
    DaysAndNumbers,
    NoZone,
}

impl fmt::Display for RetentionConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DaysAndNumbers => {
                "retention_duration_days does not go with max_backups, day_backups, week_backups, month_backups or year_backups"
            }
            Self::NoZone => "day_backups, week_backups, month_backups and year_backups need a timezone",
        })
    }
}

impl std::error::Error for RetentionConflict {}

impl TryFrom<RetentionTerms> for Retention {
    type Error = RetentionConflict;

    fn try_from(terms: RetentionTerms) -> Result<Self, RetentionConflict> {
        let calendar = [
            terms.of_days,
            terms.of_weeks,
            terms.of_months,
            terms.of_years,
        ];
        let by_calendar = calendar.iter().any(|number| *number > 0);
        if terms.days.is_some() && (terms.newest.is_some() || by_calendar) {
            return Err(RetentionConflict::DaysAndNumbers);
        }
        if by_calendar && terms.zone.is_none() {
            return Err(RetentionConflict::NoZone);
        }
        let base = match (terms.days, terms.newest) {
            (Some(days), _) => Base::Days(days),
            (None, Some(newest)) => Base::Newest(Numbers {
                newest,
                of_days: terms.of_days,
                of_weeks: terms.of_weeks,
                of_months: terms.of_months,
                of_years: terms.of_years,
            }),
            // Without a number every backup is kept, so that the calendar has nothing to add.
            (None, None) => Base::Forever,
        };
        Ok(Self {
            base,
            zone: terms.zone.unwrap_or_default(),
            marks: terms.marks,
        })
    }
}

impl Retention {
    /// The end of a backup made at `made` under these rules, fixed then; none where time alone ends nothing.
    pub fn expires_at(&self, made: Timestamp) -> Option<Timestamp> {
        self.copy_expires_at(made, made)
    }

    /// The end of what is copied at `copied` and was made at `made`: its days are counted from the copy, and the day that it
    /// is kept for is that of the data.
    pub fn copy_expires_at(&self, made: Timestamp, copied: Timestamp) -> Option<Timestamp> {
        let Base::Days(days) = self.base else {
            return None;
        };
        let end = copied.plus(days_long(days));
        Some(
            self.marked_until(made)
                .map_or(end, |marked| marked.max(end)),
        )
    }

    /// Until when a backup made at `made` is kept for the day it was made on.
    pub fn marked_until(&self, made: Timestamp) -> Option<Timestamp> {
        let day = self.zone.civil(made);
        let marks = self.marks.iter().filter(|mark| mark.on.contains(day));
        marks.map(|mark| mark.kept_for.after(made)).max()
    }

    /// The largest number of backups that these rules never touch; none where they count none.
    pub const fn newest(&self) -> Option<u32> {
        match &self.base {
            Base::Newest(numbers) => Some(numbers.newest),
            Base::Forever | Base::Days(_) => None,
        }
    }

    /// For each of one resource's backups, given when they were made, whether the rules let it go at `now`.
    pub fn let_go(&self, made: &[Timestamp], now: Timestamp) -> Vec<bool> {
        let kept = match &self.base {
            Base::Forever => vec![true; made.len()],
            Base::Days(days) => {
                let runs = |made: &Timestamp| made.plus(days_long(*days)) > now;
                made.iter().map(runs).collect()
            }
            Base::Newest(numbers) => numbers.keep(made, self.zone),
        };
        let kept = kept.into_iter().zip(made);
        kept.map(|(kept, made)| !kept && self.marked_until(*made).is_none_or(|end| end <= now))
            .collect()
    }
}

const fn days_long(days: u32) -> Duration {
    Duration::from_secs(days as u64 * SECONDS_PER_DAY)
}

impl Numbers {
    fn keep(&self, made: &[Timestamp], zone: UtcOffset) -> Vec<bool> {
        let mut newest_first: Vec<usize> = (0..made.len()).collect();
        newest_first.sort_by_key(|index| std::cmp::Reverse((made[*index], *index)));
        let mut kept = vec![false; made.len()];
        for index in newest_first.iter().take(self.newest as usize) {
            kept[*index] = true;
        }
        let mut keep_by = |number: u32, period: &dyn Fn(Timestamp) -> i64| {
            let mut left = number;
            let mut last = None;
            for index in &newest_first {
                let this = Some(period(made[*index]));
                if this == last {
                    continue;
                }
                if left == 0 {
                    break;
                }
                left -= 1;
                last = this;
                kept[*index] = true;
            }
        };
        keep_by(self.of_days, &|made| zone.day(made));
        keep_by(self.of_weeks, &|made| zone.week(made));
        keep_by(self.of_months, &|made| zone.month(made));
        keep_by(self.of_years, &|made| zone.year(made));
        kept
    }
}

//! When a policy runs: the part of iCalendar's recurrence rules that the API takes, in UTC and exact to the minute.
//!
//! `FREQ=DAILY;INTERVAL=5;BYHOUR=21;BYMINUTE=00` counts its days from the one that the policy was made on;
//! `FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=06;BYMINUTE=00` names them. All arithmetic is on whole UTC days, which are all equally
//! long: no leap year, end of a month or change to summer time has an effect.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::text::words;

/// Patterns of one schedule.
const PATTERNS_MAX: usize = 24;
/// Two starts of one schedule are at least so far apart.
const APART_MINUTES: i64 = 60;
const INTERVAL_DAYS_MAX: i64 = 30;
const MICROS_PER_MINUTE: i64 = 60_000_000;
const MINUTES_PER_DAY: i64 = 24 * 60;
const MINUTES_PER_WEEK: i64 = 7 * MINUTES_PER_DAY;
const MICROS_PER_DAY: i64 = MINUTES_PER_DAY * MICROS_PER_MINUTE;

words!(Weekday {
    Monday = "MO",
    Tuesday = "TU",
    Wednesday = "WE",
    Thursday = "TH",
    Friday = "FR",
    Saturday = "SA",
    Sunday = "SU",
});

impl Weekday {
    /// Of a day counted from 1970-01-01, a Thursday.
    pub(crate) const fn of_day(day: i64) -> Self {
        match day.rem_euclid(7) {
            0 => Self::Thursday,
            1 => Self::Friday,
            2 => Self::Saturday,
            3 => Self::Sunday,
            4 => Self::Monday,
            5 => Self::Tuesday,
            _ => Self::Wednesday,
        }
    }
}

/// One to 24 patterns whose starts are at least an hour apart. Each keeps the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Schedule {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    days: Days,
    minute_of_day: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    /// Every so many days, counted from the day that the schedule was made on.
    Every(i64),
    /// In the week's order.
    On(Vec<Weekday>),
}

/// Why texts are no schedule, for the client to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSchedule {
    pub reason: String,
}

impl fmt::Display for InvalidSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for InvalidSchedule {}

fn refuse<T>(reason: impl Into<String>) -> Result<T, InvalidSchedule> {
    Err(InvalidSchedule {
        reason: reason.into(),
    })
}

impl TryFrom<Vec<String>> for Schedule {
    type Error = InvalidSchedule;

    fn try_from(texts: Vec<String>) -> Result<Self, InvalidSchedule> {
        if !(1..=PATTERNS_MAX).contains(&texts.len()) {
            return refuse(format!("it must have 1 to {PATTERNS_MAX} patterns"));
        }
        let patterns: Result<Vec<_>, _> = texts.into_iter().map(Pattern::parse).collect();
        let schedule = Self {
            patterns: patterns?,
        };
        schedule.check_apart()?;
        Ok(schedule)
    }
}

impl From<Schedule> for Vec<String> {
    fn from(schedule: Schedule) -> Self {
        schedule.patterns.into_iter().map(|p| p.text).collect()
    }
}

impl Schedule {
    /// The patterns as they were given, which is how clients read them back.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.text.as_str())
    }

    /// The first start after `moment` of a schedule that was made at `made`; there is none before it was made.
    pub fn next_after(&self, moment: Timestamp, made: Timestamp) -> Timestamp {
        let after = moment.max(made);
        let starts = self.patterns.iter().map(|p| p.next_after(after, made));
        starts.min().expect("a schedule has at least one pattern")
    }

    /// The last start at or before `moment` of a schedule that was made at `made`.
    pub fn last_until(&self, moment: Timestamp, made: Timestamp) -> Option<Timestamp> {
        let starts = self.patterns.iter();
        let starts = starts.filter_map(|pattern| pattern.last_until(moment, made));
        starts.filter(|start| *start > made).max()
    }

    /// A pattern of an interval wanders through the week, so that it counts for every day of it.
    fn check_apart(&self) -> Result<(), InvalidSchedule> {
        let mut minutes: Vec<i64> = self.patterns.iter().flat_map(Pattern::of_week).collect();
        minutes.sort_unstable();
        let last = minutes.last().map(|last| last - MINUTES_PER_WEEK);
        let before = last.into_iter().chain(minutes.iter().copied());
        let close = before
            .zip(&minutes)
            .any(|(before, minute)| minute - before < APART_MINUTES);
        if close {
            return refuse("its starts must be at least one hour apart");
        }
        Ok(())
    }
}

impl Pattern {
    fn parse(text: String) -> Result<Self, InvalidSchedule> {
        let mut parts = Parts::read(&text)?;
        let frequency = parts.take("FREQ");
        let days = match frequency {
            // As iCalendar has it, every day is what an absent interval means.
            Some("DAILY") if !parts.has("INTERVAL") => Days::Every(1),
            Some("DAILY") => Days::Every(parts.number("INTERVAL", 1, INTERVAL_DAYS_MAX)?),
            Some("WEEKLY") => Days::On(weekdays(parts.take("BYDAY"))?),
            _ => return refuse("FREQ must be DAILY or WEEKLY"),
        };
        let hour = parts.number("BYHOUR", 0, 23)?;
        let minute = parts.number("BYMINUTE", 0, 59)?;
        if let Some((name, _)) = parts.0.first() {
            return match *name {
                "INTERVAL" => refuse("INTERVAL goes with FREQ=DAILY"),
                "BYDAY" => refuse("BYDAY goes with FREQ=WEEKLY"),
                _ => refuse(
                    "a pattern has FREQ, INTERVAL or BYDAY, BYHOUR and BYMINUTE, each once and separated by ;",
                ),
            };
        }
        Ok(Self {
            text,
            days,
            minute_of_day: hour * 60 + minute,
        })
    }

    fn next_after(&self, after: Timestamp, made: Timestamp) -> Timestamp {
        let mut day = self.day_from(day_of(after), made);
        if self.on(day) <= after {
            day = self.day_from(day + 1, made);
        }
        self.on(day)
    }

    fn last_until(&self, moment: Timestamp, made: Timestamp) -> Option<Timestamp> {
        let mut day = day_of(moment);
        if self.on(day) > moment {
            day -= 1;
        }
        match &self.days {
            Days::Every(interval) => {
                let first = day_of(made);
                let day = day - (day - first).rem_euclid(*interval);
                (day >= first).then(|| self.on(day))
            }
            Days::On(weekdays) => {
                let mut week = (day - 6..=day).rev();
                let day = week.find(|day| weekdays.contains(&Weekday::of_day(*day)));
                day.map(|day| self.on(day))
            }
        }
    }

    /// The first day of the pattern that is not before `day`.
    fn day_from(&self, day: i64, made: Timestamp) -> i64 {
        match &self.days {
            Days::Every(interval) => day + (day_of(made) - day).rem_euclid(*interval),
            Days::On(weekdays) => (day..day + 7)
                .find(|day| weekdays.contains(&Weekday::of_day(*day)))
                .expect("a weekly pattern names a day, and a week has all of them"),
        }
    }

    fn on(&self, day: i64) -> Timestamp {
        let start = day.saturating_mul(MICROS_PER_DAY);
        Timestamp::from_micros(start.saturating_add(self.minute_of_day * MICROS_PER_MINUTE))
    }

    /// The minutes of a week at which the pattern can start.
    fn of_week(&self) -> Vec<i64> {
        let days = match &self.days {
            Days::Every(_) => Weekday::ALL,
            Days::On(days) => days.as_slice(),
        };
        let minute = |day: &Weekday| (*day as i64) * MINUTES_PER_DAY + self.minute_of_day;
        days.iter().map(minute).collect()
    }
}

fn day_of(moment: Timestamp) -> i64 {
    moment.as_micros().div_euclid(MICROS_PER_DAY)
}

/// The parts of a pattern that nothing has read yet.
struct Parts<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Self, InvalidSchedule> {
        let parts: Option<Vec<_>> = text.split(';').map(|part| part.split_once('=')).collect();
        match parts {
            Some(parts) => Ok(Self(parts)),
            None => {
                refuse("a pattern is written like FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=14;BYMINUTE=00")
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(part, _)| *part == name)
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(part, _)| *part == name)?;
        Some(self.0.remove(at).1)
    }

    /// One or two digits, within bounds.
    fn number(&mut self, name: &str, min: i64, max: i64) -> Result<i64, InvalidSchedule> {
        let text = self.take(name).unwrap_or_default();
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && (min..=max).contains(&number) => Ok(number),
            _ => refuse(format!("{name} must be {min} to {max}")),
        }
    }
}

fn weekdays(text: Option<&str>) -> Result<Vec<Weekday>, InvalidSchedule> {
    let days: Result<Vec<Weekday>, _> = text
        .unwrap_or_default()
        .split(',')
        .map(str::parse)
        .collect();
    let Ok(mut days) = days else {
        return refuse("BYDAY must list MO, TU, WE, TH, FR, SA or SU");
    };
    let given = days.len();
    days.sort_unstable();
    days.dedup();
    if days.len() < given {
        return refuse("BYDAY must name a day once");
    }
    Ok(days)
}

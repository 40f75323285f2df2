//! Days whose backups are kept longer: every Monday's for so many weeks, the last day of each month's for so many months.

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::schedule::Weekday;
use crate::text::words;

const SECONDS_PER_WEEK: u64 = 7 * 86_400;

words!(WeekOfMonth {
    First = "FIRST",
    Second = "SECOND",
    Third = "THIRD",
    Fourth = "FOURTH",
    Last = "LAST",
});

words!(Month {
    January = "JANUARY",
    February = "FEBRUARY",
    March = "MARCH",
    April = "APRIL",
    May = "MAY",
    June = "JUNE",
    July = "JULY",
    August = "AUGUST",
    September = "SEPTEMBER",
    October = "OCTOBER",
    November = "NOVEMBER",
    December = "DECEMBER",
});

words!(/// How a rule names days of a month: by weekdays of its weeks, or by their numbers.
    MonthUnit { Weekly = "WEEKLY", Monthly = "MONTHLY" });

/// A day that every month has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayOfMonth {
    /// 1 to 28.
    Number(u8),
    Last,
}

/// Backups made on these days are kept for so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub on: MarkedDays,
    pub kept_for: Periods,
}

/// `months`: absent for every month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkedDays {
    Weekdays(Vec<Weekday>),
    /// The named weekdays of the named weeks; `FIRST` and `MO` is the month's first Monday.
    OfWeeks {
        weeks: Vec<WeekOfMonth>,
        days: Vec<Weekday>,
        months: Option<Vec<Month>>,
    },
    OfMonths {
        days: Vec<DayOfMonth>,
        months: Option<Vec<Month>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Periods {
    Weeks(u32),
    Months(u32),
    Years(u32),
}

impl Periods {
    pub(super) fn after(self, made: Timestamp) -> Timestamp {
        match self {
            Self::Weeks(weeks) => {
                made.plus(Duration::from_secs(u64::from(weeks) * SECONDS_PER_WEEK))
            }
            Self::Months(months) => made.plus_months(u64::from(months)),
            Self::Years(years) => made.plus_months(12 * u64::from(years)),
        }
    }
}

impl MarkedDays {
    pub(super) fn contains(&self, date: Date) -> bool {
        match self {
            Self::Weekdays(days) => days.contains(&weekday(date)),
            Self::OfWeeks {
                weeks,
                days,
                months,
            } => {
                in_months(date, months.as_deref())
                    && days.contains(&weekday(date))
                    && weeks.iter().any(|week| is_in_week(date, *week))
            }
            Self::OfMonths { days, months } => {
                in_months(date, months.as_deref()) && days.iter().any(|day| is_day(date, *day))
            }
        }
    }
}

fn weekday(date: Date) -> Weekday {
    let monday_first = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
    Weekday::ALL[monday_first]
}

fn in_months(date: Date, months: Option<&[Month]>) -> bool {
    let month = Month::ALL[usize::try_from(date.month() - 1).unwrap_or(0)];
    months.is_none_or(|months| months.contains(&month))
}

/// Of the weekday that the date is: its first, second, … or last of the month.
fn is_in_week(date: Date, week: WeekOfMonth) -> bool {
    let before = (date.day() - 1) / 7;
    match week {
        WeekOfMonth::First => before == 0,
        WeekOfMonth::Second => before == 1,
        WeekOfMonth::Third => before == 2,
        WeekOfMonth::Fourth => before == 3,
        WeekOfMonth::Last => date.day() + 7 > date.days_in_month(),
    }
}

fn is_day(date: Date, day: DayOfMonth) -> bool {
    match day {
        DayOfMonth::Number(number) => i16::from(date.day()) == i16::from(number),
        DayOfMonth::Last => date.day() == date.days_in_month(),
    }
}

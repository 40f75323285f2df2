//! Advanced retention rules, as marks of days.

use std::ops::RangeInclusive;

use strongroom_types::{
    DayOfMonth, Mark, MarkedDays, Month, MonthUnit, Periods, WeekOfMonth, Weekday,
};
use strongroom_wire::Code;
use strongroom_wire::policies::AdvancedRetentionRules;
use strongroom_wire::values::{DayOfMonthNumber, KeptMonths, KeptWeeks, KeptYears};

use super::rule;
use crate::ApiError;
use crate::convert::check_count;

const RULES: &str = "operation_definition.advanced_retention_rules";

/// A rule that is off marks nothing, one that is on marks at least one day; the lists of both are as long as they may be.
pub(super) fn marks(rules: AdvancedRetentionRules) -> Result<Vec<Mark>, ApiError> {
    let mut marks = Vec::new();
    if let Some(weekly) = rules.weekly_retention_rules {
        let weeks = weekly.retention_duration_periods.map(KeptWeeks::get);
        let days = weekly.days_of_week.unwrap_or_default();
        check_list("weekly_retention_rules", "days_of_week", &days, 0..=7)?;
        if let Some(weeks) = weeks.and_then(rule) {
            check_list("weekly_retention_rules", "days_of_week", &days, 1..=7)?;
            marks.push(Mark {
                on: MarkedDays::Weekdays(days),
                kept_for: Periods::Weeks(weeks),
            });
        }
    }
    if let Some(monthly) = rules.monthly_retention_rules {
        let months = monthly.retention_duration_periods.map(KeptMonths::get);
        let days = NamedDays {
            rule: "monthly_retention_rules",
            unit: monthly.retention_type,
            numbers: monthly.days_of_month.unwrap_or_default(),
            weekdays: monthly.days_of_week.unwrap_or_default(),
            weeks: monthly.retention_weeks.unwrap_or_default(),
            months: None,
        };
        days.check_lengths()?;
        if let Some(months) = months.and_then(rule) {
            marks.push(Mark {
                on: days.marked()?,
                kept_for: Periods::Months(months),
            });
        }
    }
    if let Some(yearly) = rules.yearly_retention_rules {
        let years = yearly.retention_duration_periods.map(KeptYears::get);
        let days = NamedDays {
            rule: "yearly_retention_rules",
            unit: yearly.retention_type,
            numbers: yearly.days_of_month.unwrap_or_default(),
            weekdays: yearly.days_of_week.unwrap_or_default(),
            weeks: yearly.retention_weeks.unwrap_or_default(),
            months: Some(yearly.retention_months.unwrap_or_default()),
        };
        days.check_lengths()?;
        if let Some(years) = years.and_then(rule) {
            marks.push(Mark {
                on: days.marked()?,
                kept_for: Periods::Years(years),
            });
        }
    }
    Ok(marks)
}

/// What monthly and yearly rules have in common.
struct NamedDays {
    rule: &'static str,
    unit: Option<MonthUnit>,
    numbers: Vec<DayOfMonthNumber>,
    weekdays: Vec<Weekday>,
    weeks: Vec<WeekOfMonth>,
    /// Of yearly rules.
    months: Option<Vec<Month>>,
}

impl NamedDays {
    fn check_lengths(&self) -> Result<(), ApiError> {
        let months = self.months.as_deref().unwrap_or_default();
        check_list(self.rule, "retention_months", months, 0..=12)?;
        check_list(self.rule, "days_of_month", &self.numbers, 0..=29)?;
        check_list(self.rule, "days_of_week", &self.weekdays, 0..=7)?;
        check_list(self.rule, "retention_weeks", &self.weeks, 0..=5)
    }

    fn marked(self) -> Result<MarkedDays, ApiError> {
        if let Some(months) = &self.months {
            check_list(self.rule, "retention_months", months, 1..=12)?;
        }
        match self.unit {
            Some(MonthUnit::Weekly) => {
                check_list(self.rule, "retention_weeks", &self.weeks, 1..=5)?;
                check_list(self.rule, "days_of_week", &self.weekdays, 1..=7)?;
                Ok(MarkedDays::OfWeeks {
                    weeks: self.weeks,
                    days: self.weekdays,
                    months: self.months,
                })
            }
            Some(MonthUnit::Monthly) => {
                check_list(self.rule, "days_of_month", &self.numbers, 1..=29)?;
                Ok(MarkedDays::OfMonths {
                    days: self.numbers.into_iter().map(day_of_month).collect(),
                    months: self.months,
                })
            }
            None => Err(ApiError::new(
                Code::InvalidParameter,
                format!(
                    "Invalid {RULES}.{}.retention_type provided: it is missing.",
                    self.rule
                ),
            )),
        }
    }
}

fn check_list<T>(
    rule: &str,
    field: &str,
    items: &[T],
    allowed: RangeInclusive<usize>,
) -> Result<(), ApiError> {
    check_count(&format!("{RULES}.{rule}.{field}"), items, allowed)
}

/// Of a number whose type keeps it to 1 to 28, or -1.
fn day_of_month(number: DayOfMonthNumber) -> DayOfMonth {
    u8::try_from(number.get()).map_or(DayOfMonth::Last, DayOfMonth::Number)
}

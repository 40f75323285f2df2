//! Advanced retention rules, as marks of days.

use strongroom_types::{
    DayOfMonth, Mark, MarkedDays, Month, MonthUnit, Periods, WeekOfMonth, Weekday,
};
use strongroom_wire::Code;
use strongroom_wire::policies::AdvancedRetentionRules;
use strongroom_wire::values::DayOfMonthNumber;

use super::rule;
use crate::ApiError;
use crate::convert::check_count;

const RULES: &str = "operation_definition.advanced_retention_rules";

pub(super) fn marks(rules: AdvancedRetentionRules) -> Result<Vec<Mark>, ApiError> {
    let mut marks = Vec::new();
    if let Some(weekly) = rules.weekly_retention_rules {
        let weeks = weekly.retention_duration_periods.map(|n| n.get());
        if let Some(weeks) = weeks.and_then(rule) {
            let days = weekly.days_of_week.unwrap_or_default();
            check_list("weekly_retention_rules", "days_of_week", &days, 7)?;
            marks.push(Mark {
                on: MarkedDays::Weekdays(days),
                kept_for: Periods::Weeks(weeks),
            });
        }
    }
    if let Some(monthly) = rules.monthly_retention_rules {
        let months = monthly.retention_duration_periods.map(|n| n.get());
        if let Some(months) = months.and_then(rule) {
            let days = DaysOfMonth {
                unit: monthly.retention_type,
                days_of_month: monthly.days_of_month.unwrap_or_default(),
                days_of_week: monthly.days_of_week.unwrap_or_default(),
                weeks: monthly.retention_weeks.unwrap_or_default(),
            };
            marks.push(Mark {
                on: days.marked("monthly_retention_rules", None)?,
                kept_for: Periods::Months(months),
            });
        }
    }
    if let Some(yearly) = rules.yearly_retention_rules {
        let years = yearly.retention_duration_periods.map(|n| n.get());
        if let Some(years) = years.and_then(rule) {
            let days = DaysOfMonth {
                unit: yearly.retention_type,
                days_of_month: yearly.days_of_month.unwrap_or_default(),
                days_of_week: yearly.days_of_week.unwrap_or_default(),
                weeks: yearly.retention_weeks.unwrap_or_default(),
            };
            let months = yearly.retention_months.unwrap_or_default();
            marks.push(Mark {
                on: days.marked("yearly_retention_rules", Some(months))?,
                kept_for: Periods::Years(years),
            });
        }
    }
    Ok(marks)
}

/// What monthly and yearly rules have in common.
struct DaysOfMonth {
    unit: Option<MonthUnit>,
    days_of_month: Vec<DayOfMonthNumber>,
    days_of_week: Vec<Weekday>,
    weeks: Vec<WeekOfMonth>,
}

impl DaysOfMonth {
    fn marked(self, rule: &str, months: Option<Vec<Month>>) -> Result<MarkedDays, ApiError> {
        check_list(rule, "days_of_month", &self.days_of_month, 29)?;
        check_list(rule, "days_of_week", &self.days_of_week, 7)?;
        check_list(rule, "retention_weeks", &self.weeks, 5)?;
        check_list(
            rule,
            "retention_months",
            months.as_deref().unwrap_or_default(),
            12,
        )?;
        match self.unit {
            Some(MonthUnit::Weekly) => Ok(MarkedDays::OfWeeks {
                weeks: self.weeks,
                days: self.days_of_week,
                months,
            }),
            Some(MonthUnit::Monthly) => Ok(MarkedDays::OfMonths {
                days: self.days_of_month.into_iter().map(day_of_month).collect(),
                months,
            }),
            None => Err(ApiError::new(
                Code::InvalidParameter,
                format!("Invalid {RULES}.{rule}.retention_type provided: it is missing."),
            )),
        }
    }
}

fn check_list<T>(rule: &str, field: &str, items: &[T], max: usize) -> Result<(), ApiError> {
    check_count(&format!("{RULES}.{rule}.{field}"), items, 0..=max)
}

/// Of a number whose type keeps it to 1 to 28, or -1.
fn day_of_month(number: DayOfMonthNumber) -> DayOfMonth {
    u8::try_from(number.get()).map_or(DayOfMonth::Last, DayOfMonth::Number)
}

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::Timestamp;
use crate::text::text_column;

const MINUTES_MIN: i64 = -12 * 60;
const MINUTES_MAX: i64 = 14 * 60;
const MICROS_PER_MINUTE: i64 = 60_000_000;
const MICROS_PER_DAY: i64 = 24 * 60 * MICROS_PER_MINUTE;

/// A fixed distance from UTC, written `UTC+08:00`; it decides where days, weeks, months and years begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UtcOffset {
    minutes: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUtcOffset;

impl fmt::Display for InvalidUtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it must be from UTC-12:00 to UTC+14:00, written like UTC+08:00")
    }
}

impl std::error::Error for InvalidUtcOffset {}

impl FromStr for UtcOffset {
    type Err = InvalidUtcOffset;

    fn from_str(text: &str) -> Result<Self, InvalidUtcOffset> {
        let parse = || {
            let (sign, rest) = match text.strip_prefix("UTC")?.split_at_checked(1)? {
                ("+", rest) => (1, rest),
                ("-", rest) => (-1, rest),
                _ => return None,
            };
            let (hours, minutes) = rest.split_once(':')?;
            let two_digits = |part: &str| {
                let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
                digits.then(|| part.parse::<i64>().ok())?
            };
            let minutes_of_hour = two_digits(minutes).filter(|minutes| *minutes < 60)?;
            let minutes = sign * (two_digits(hours)? * 60 + minutes_of_hour);
            (MINUTES_MIN..=MINUTES_MAX)
                .contains(&minutes)
                .then_some(Self { minutes })
        };
        parse().ok_or(InvalidUtcOffset)
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let minutes = self.minutes.abs();
        write!(f, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

text_column!(UtcOffset);

impl UtcOffset {
    fn local(self, moment: Timestamp) -> Timestamp {
        let shift = self.minutes * MICROS_PER_MINUTE;
        Timestamp::from_micros(moment.as_micros().saturating_add(shift))
    }

    /// The date that a calendar there shows.
    pub(super) fn civil(self, moment: Timestamp) -> Date {
        self.local(moment).civil().date()
    }

    /// A number for each local day, in order.
    pub(super) fn day(self, moment: Timestamp) -> i64 {
        self.local(moment).as_micros().div_euclid(MICROS_PER_DAY)
    }

    /// A number for each local week; weeks begin on Monday, as 1969-12-29 was.
    pub(super) fn week(self, moment: Timestamp) -> i64 {
        (self.day(moment) + 3).div_euclid(7)
    }

    /// A number for each local month.
    pub(super) fn month(self, moment: Timestamp) -> i64 {
        let date = self.civil(moment);
        i64::from(date.year()) * 12 + i64::from(date.month())
    }

    /// The local year.
    pub(super) fn year(self, moment: Timestamp) -> i64 {
        i64::from(self.civil(moment).year())
    }
}

#[cfg(feature = "utoipa")]
impl utoipa::PartialSchema for UtcOffset {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::schema::pattern("^UTC[+-](0[0-9]|1[0-4]):[0-5][0-9]$")
    }
}

#[cfg(feature = "utoipa")]
impl utoipa::ToSchema for UtcOffset {
    fn name() -> std::borrow::Cow<'static, str> {
        "UtcOffset".into()
    }
}

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

/// A moment in UTC, in microseconds since 1970; the resolution the wire shows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "sqlx", sqlx(transparent))]
pub struct Timestamp(i64);

/// A text that is none of the accepted spellings of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTimestamp;

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time of the form 2018-02-01T12:00:00Z")
    }
}

impl std::error::Error for InvalidTimestamp {}

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000)
    }

    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// `self + duration`, at the far end of time if it would overflow.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// `self - duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same time of day some calendar months later, on the month's last day where it has no such day.
    #[must_use]
    pub fn plus_months(self, months: u64) -> Self {
        let months = i64::try_from(months).unwrap_or(i64::MAX);
        jiff::Span::new()
            .try_months(months)
            .and_then(|span| self.civil().checked_add(span))
            .ok()
            .and_then(|civil| Self::from_civil(civil).ok())
            .unwrap_or(Self(i64::MAX))
    }

    /// The same time of day some calendar months earlier, on the month's last day where it has no such day.
    #[must_use]
    pub fn minus_months(self, months: u64) -> Self {
        let months = i64::try_from(months).unwrap_or(i64::MAX);
        jiff::Span::new()
            .try_months(months)
            .and_then(|span| self.civil().checked_sub(span))
            .ok()
            .and_then(|civil| Self::from_civil(civil).ok())
            .unwrap_or(Self(i64::MIN))
    }

    pub(crate) fn civil(self) -> jiff::civil::DateTime {
        let instant = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        TimeZone::UTC.to_datetime(instant)
    }

    /// CBR's form: naive UTC, always six digits of fraction, `2020-08-17T03:51:24.678916`.
    ///
    /// A `Z` or an offset breaks clients that parse with `%Y-%m-%dT%H:%M:%S.%f`.
    pub fn to_cbr(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
    }

    /// The form of a trigger's `start_time`, `2025-05-24 08:45:56`.
    pub fn to_blank(self) -> String {
        self.civil().strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// Keystone's form, `2020-08-17T03:51:24.678916Z`.
    pub fn to_keystone(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// The form of a signature's `X-Sdk-Date`, `20200817T035124Z`.
    pub fn to_compact(self) -> String {
        self.civil().strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// Reads `20200817T035124Z`.
    pub fn from_compact(text: &str) -> Result<Self, InvalidTimestamp> {
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text)
            .map_err(|_| InvalidTimestamp)?;
        Self::from_civil(civil)
    }

    /// The end of a calendar day, `2026-12-31`, in a zone of fixed offset, `UTC+08:00`.
    pub fn end_of_day(day: &str, zone: &str) -> Result<Self, InvalidTimestamp> {
        // The parser takes more spellings, of which nobody has heard here.
        let written_out = day.len() == 10 && zone.len() == 9;
        let offset = zone.strip_prefix("UTC").filter(|_| written_out);
        let offset = offset.ok_or(InvalidTimestamp)?;
        let start: jiff::Timestamp = format!("{day}T00:00:00{offset}")
            .parse()
            .map_err(|_| InvalidTimestamp)?;
        Ok(Self(start.as_microsecond()).plus(Duration::from_hours(24)))
    }

    fn from_civil(civil: jiff::civil::DateTime) -> Result<Self, InvalidTimestamp> {
        let instant = TimeZone::UTC
            .to_timestamp(civil)
            .map_err(|_| InvalidTimestamp)?;
        Ok(Self(instant.as_microsecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_keystone())
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Accepts ISO 8601 with `Z`, with an offset, or naive (then UTC).
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(instant.as_microsecond()));
        }
        Self::from_civil(text.parse().map_err(|_| InvalidTimestamp)?)
    }
}

use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema};

/// A whole number within bounds.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $min:literal..=$max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            pub const MIN: i64 = $min;
            pub const MAX: i64 = $max;

            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = String;

            fn try_from(value: i64) -> Result<Self, String> {
                if (Self::MIN..=Self::MAX).contains(&value) {
                    Ok(Self(value))
                } else {
                    Err(format!("it must be from {} to {}", Self::MIN, Self::MAX))
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_from(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(Self::MIN))
                    .maximum(Some(Self::MAX))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

number!(/// Capacity of a new vault, in GB.
    VaultSize, 10..=10_485_760);
number!(/// Capacity of a vault that is changed, in GB.
    VaultSizeChange, 1..=10_485_760);
number!(/// Percentage of use that is worth a notice.
    Threshold, 1..=100);
number!(/// How many months or years a pre-paid term lasts.
    PeriodCount, 1..=9);
number!(/// Automatic backups that a policy keeps of a resource: 0 or -1 for any number.
    BackupNumber, -1..=99_999);
number!(/// Days that a policy keeps a backup: 0 or -1 for ever.
    KeptDays, -1..=99_999);
number!(/// Days, weeks, months or years of which the newest backup is kept.
    PeriodBackups, 0..=100);
number!(/// Incremental backups between two full ones; -1 for no end.
    FullBackupInterval, -1..=100);
number!(/// Minutes over which starts are spread.
    StartWindow, 60..=480);
number!(/// Weeks that a marked backup is kept: 0 or -1 for a rule that is off.
    KeptWeeks, -1..=5200);
number!(/// Months that a marked backup is kept: 0 or -1 for a rule that is off.
    KeptMonths, -1..=1200);
number!(/// Years that a marked backup is kept: 0 or -1 for a rule that is off.
    KeptYears, -1..=100);
number!(/// Days from the day of one proof to that of the next.
    ProofDays, 1..=365);
number!(/// Rows of one page.
    PageLimit, 1..=1000);
number!(/// Rows to leave out before the page. The end of the range is what a database can count.
    Offset, 0..=0x7fff_ffff_ffff_ffff);

/// A day that every month has: 1 to 28, or -1 for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct DayOfMonthNumber(i64);

impl DayOfMonthNumber {
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<'de> serde::Deserialize<'de> for DayOfMonthNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            day @ (-1 | 1..=28) => Ok(Self(day)),
            _ => Err(serde::de::Error::custom("it must be -1 or from 1 to 28")),
        }
    }
}

impl utoipa::PartialSchema for DayOfMonthNumber {
    fn schema() -> RefOr<Schema> {
        last_or_count(28)
    }
}

impl utoipa::ToSchema for DayOfMonthNumber {}

/// -1, or 1 to `max`.
fn last_or_count(max: i64) -> RefOr<Schema> {
    let numbers = |from: i64, to: i64| {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(from))
            .maximum(Some(to))
    };
    OneOfBuilder::new()
        .item(numbers(-1, -1))
        .item(numbers(1, max))
        .into()
}

/// A whole number within the bounds of another type, written as text.
macro_rules! number_text {
    ($(#[$doc:meta])* $name:ident, $number:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $number);

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0.get().to_string())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let number = text.parse::<i64>().map_err(|_| "it must be a whole number as text".to_owned());
                let number = number.and_then($number::try_from);
                number.map(Self).map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some($pattern))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

number_text!(/// Rows of one page, as text.
    PageLimitText, PageLimit, "^([1-9][0-9]{0,2}|1000)$");
number_text!(/// Rows to leave out before the page, as text.
    OffsetText, Offset, "^[0-9]{1,18}$");

/// How long a backup is kept: -1 for ever, else 1 to 36500 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct RetentionDays(i64);

impl RetentionDays {
    pub const FOREVER: Self = Self(-1);

    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<'de> serde::Deserialize<'de> for RetentionDays {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            days @ (-1 | 1..=36_500) => Ok(Self(days)),
            _ => Err(serde::de::Error::custom(
                "it must be -1 or from 1 to 36500 days",
            )),
        }
    }
}

impl utoipa::PartialSchema for RetentionDays {
    fn schema() -> RefOr<Schema> {
        last_or_count(36_500)
    }
}

impl utoipa::ToSchema for RetentionDays {}

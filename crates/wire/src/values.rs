//! Texts and numbers that carry their limits: a request that parses is a request within them.
//!
//! Every refusal begins with "it must", so that the HTTP layer can put the field's name before it.

mod numbers;
mod texts;

pub use numbers::{
    BackupNumber, DayOfMonthNumber, FullBackupInterval, KeptDays, KeptMonths, KeptWeeks, KeptYears,
    Offset, OffsetText, PageLimit, PageLimitText, PeriodBackups, PeriodCount, ProofDays,
    RetentionDays, StartWindow, Threshold, VaultSize, VaultSizeChange,
};
pub use texts::{
    AvailabilityZone, BackupNamePrefix, Description, DiskPlace, InventoryName, Label, LibvirtUri,
    Name, RegionName, ShortText, SocketPath, TagKey, TagText, TagValue,
};

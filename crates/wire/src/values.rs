//! Texts and numbers that carry their limits: a request that parses is a request within them.
//!
//! Every refusal begins with "it must", so that the HTTP layer can put the field's name before it.

mod numbers;
mod texts;

pub use numbers::{
    Offset, OffsetText, PageLimit, PageLimitText, PeriodCount, RetentionDays, Threshold, VaultSize,
    VaultSizeChange,
};
pub use texts::{
    AvailabilityZone, BackupNamePrefix, Description, DiskPath, InventoryName, Label, Name,
    ShortText, TagKey, TagText, TagValue,
};

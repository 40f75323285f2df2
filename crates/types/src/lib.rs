//! The vocabulary every other crate shares: ids, states, sizes, time and randomness, and the arithmetic of
//! schedules and retention.
//!
//! Pure apart from the two system implementations at the edge, [`SystemClock`] and [`SystemIds`]:
//! everything else takes a [`Clock`] and an [`IdSource`] so that tests decide the time and the ids.

mod chain;
mod clock;
mod ids;
mod machine;
mod place;
mod random;
mod retention;
mod schedule;
#[cfg(feature = "utoipa")]
mod schema;
mod sizes;
mod states;
mod text;
mod timestamp;

pub use chain::Chain;
pub use clock::{Clock, SystemClock};
pub use ids::{
    AgentId, AgentPathId, AttachmentId, AuditId, BackupId, CheckpointId, DomainId, InvalidId,
    JobId, MemberId, OperationLogId, OrderId, OrganizationPolicyId, PolicyId, ProjectId, ProofId,
    ReplicationId, ResourceId, ServerId, TriggerId, UserId, VaultId, VolumeId,
};
pub use machine::{
    Firmware, MachineDiskBus, MachineRecord, MachineSource, NetworkCard, NewMachine,
    NewMachineDisk, RecordedDisk,
};
pub use place::{is_nbd_uri, nbd_uri, nbds_uri};
pub use random::{IdSource, SystemIds};
pub use retention::{
    DayOfMonth, InvalidUtcOffset, Mark, MarkedDays, Month, MonthUnit, Periods, Retention,
    RetentionConflict, RetentionTerms, UtcOffset, WeekOfMonth,
};
pub use schedule::{InvalidSchedule, Schedule, Weekday};
pub use sizes::{GIB, KIB, MIB, gib_ceil, mib_ceil};
pub use states::{
    Accelerator, AgentStatus, AttachmentStatus, AttachmentTransport, AuditOutcome, BackupStatus,
    ChargingMode, CheckpointStatus, CloudType, ConsistentLevel, DeploymentStatus, FailedFreeze,
    FileSystemState, ImageType, JobKind, JobState, MemberStatus, NoticeChannel, NoticeState,
    ObjectType, OperationStatus, OperationType, OrderKind, OrderStatus, PeriodType,
    PolicyOperation, PolicyOrigin, ProofState, ProofVerdict, ProtectStatus, ProtectType,
    ReplicationStatus, ResourceType, Role, ServerStatus, Trouble, VaultStatus, VolumeFormat,
};
pub use text::UnknownWord;
pub use timestamp::{InvalidTimestamp, Timestamp};

#[cfg(test)]
mod tests;

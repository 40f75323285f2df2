//! Words that follow from a vault's kind; the clouds fixed them and clients compare them.

use strongroom_types::{ConsistentLevel, ObjectType, ProtectType};

/// `billing.spec_code`. Replication and hybrid vaults have one code each, whatever they hold.
pub const fn spec_code(
    object_type: ObjectType,
    protect_type: ProtectType,
    consistent_level: ConsistentLevel,
) -> &'static str {
    match (protect_type, object_type, consistent_level) {
        (ProtectType::Replication, _, _) => "vault.replication.server.normal",
        (ProtectType::Hybrid, _, _) => "vault.hybrid.server.normal",
        (ProtectType::Backup, ObjectType::Disk, _) => "vault.backup.volume.normal",
        (ProtectType::Backup, ObjectType::Turbo, _) => "vault.backup.turbo.normal",
        (ProtectType::Backup, _, ConsistentLevel::App) => "vault.backup.database.normal",
        (ProtectType::Backup, _, ConsistentLevel::Crash) => "vault.backup.server.normal",
    }
}

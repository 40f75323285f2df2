//! Words and ids that follow from a vault's kind; the clouds fixed them and clients compare them.

use strongroom_types::{ConsistentLevel, ObjectType, ProtectType, ResourceType};

/// `provider_id` of vaults, backups and tasks about servers.
pub const SERVER_PROVIDER: &str = "0daac4c5-6707-4851-97ba-169e36266b66";
/// The same for disks.
pub const DISK_PROVIDER: &str = "d1603440-187d-4516-af25-121250c7cc97";
const TURBO_PROVIDER: &str = "3f3c3220-245c-4805-b811-758870015881";
const HYBRID_PROVIDER: &str = "a13639de-00be-4e94-af30-26912d75e4a2";

pub const fn provider_of_vault(object_type: ObjectType) -> &'static str {
    match object_type {
        ObjectType::Disk => DISK_PROVIDER,
        ObjectType::Turbo => TURBO_PROVIDER,
        ObjectType::Vmware | ObjectType::File => HYBRID_PROVIDER,
        ObjectType::Server | ObjectType::Workspace | ObjectType::Rds => SERVER_PROVIDER,
    }
}

pub const fn provider_of_resource(resource_type: ResourceType) -> &'static str {
    match resource_type {
        ResourceType::Volume => DISK_PROVIDER,
        ResourceType::Turbo => TURBO_PROVIDER,
        ResourceType::Server
        | ResourceType::BareMetal
        | ResourceType::Native
        | ResourceType::Desktop => SERVER_PROVIDER,
    }
}

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

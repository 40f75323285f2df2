//! Rows as years of use leave them, written through the same code as the server's own.

use anyhow::{Context, Result};
use strongroom_db::{
    Backup, Checkpoint, Db, JsonText, OperationExtra, OperationLog, Tx, Vault, VaultResource,
    Volume,
};
use strongroom_types::{
    BackupId, BackupStatus, ChargingMode, CheckpointId, CheckpointStatus, CloudType,
    ConsistentLevel, ImageType, ObjectType, OperationLogId, OperationStatus, OperationType,
    ProjectId, ProtectStatus, ProtectType, ResourceType, Timestamp, UserId, VaultId, VaultStatus,
    VolumeFormat, VolumeId,
};

use crate::installation::Installation;

const VAULTS: u64 = 10_000;
const BACKUPS_OF_VAULT: u64 = 20;
const LOGS_OF_VAULT: u64 = 100;
/// Vaults of one transaction.
const AT_ONCE: u64 = 50;
const DAY_SECONDS: i64 = 86_400;
/// 2025-01-01.
const BEGINNING_SECONDS: i64 = 1_735_689_600;

/// How many rows there are to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables {
    pub(crate) vaults: u64,
}

impl Tables {
    /// One `part`th of all.
    pub(crate) const fn share(part: u64) -> Self {
        Self {
            vaults: VAULTS / part,
        }
    }

    pub(crate) const fn backups(self) -> u64 {
        self.vaults * BACKUPS_OF_VAULT
    }

    pub(crate) const fn logs(self) -> u64 {
        self.vaults * LOGS_OF_VAULT
    }
}

/// The dashed id of the `number`th row of a kind, without any order, as real ids are.
pub(crate) fn id(kind: u64, number: u64) -> String {
    let mut mixed = (kind << 56 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^= mixed >> 27;
    let (high, low) = (mixed >> 32, mixed & 0xffff);
    format!("{high:08x}-{low:04x}-4{kind:03x}-8000-{number:012x}")
}

pub(crate) const VAULT: u64 = 1;
pub(crate) const BACKUP: u64 = 2;
pub(crate) const LOG: u64 = 3;
const VOLUME: u64 = 4;
const CHECKPOINT: u64 = 5;

pub(crate) struct Filler {
    db: Db,
    address: String,
    project: ProjectId,
    user: UserId,
}

impl Filler {
    /// Of an installation whose server is not running.
    pub(crate) async fn open(installation: &Installation) -> Result<Self> {
        let credentials = installation.credentials()?;
        let text = |key: &str| {
            credentials[key]
                .as_str()
                .context("credentials are complete")
        };
        let address = installation.database_address();
        Ok(Self {
            db: Db::open(&address).await?,
            address,
            project: text("project_id")?.parse()?,
            user: text("user_id")?.parse()?,
        })
    }

    /// Adds what is missing.
    pub(crate) async fn fill(self, tables: Tables) -> Result<()> {
        let mut tx = self.db.read().await?;
        let mut next = 0;
        while next < tables.vaults && tx.find_vault(&id(VAULT, next).parse()?).await?.is_some() {
            next += AT_ONCE;
        }
        drop(tx);
        while next < tables.vaults {
            let mut tx = self.db.begin().await?;
            for vault in next..tables.vaults.min(next + AT_ONCE) {
                self.add_vault(&mut tx, vault).await?;
            }
            tx.commit().await?;
            next += AT_ONCE;
        }
        self.db.close().await;
        analyze(&self.address).await
    }

    async fn add_vault(&self, tx: &mut Tx, number: u64) -> Result<()> {
        let created_at = moment(number, 0);
        let volume = self.volume(number, created_at)?;
        let vault = self.vault(number, created_at)?;
        tx.insert_volume(&volume).await?;
        tx.insert_vault(&vault).await?;
        tx.insert_vault_resource(&resource(&vault, &volume)).await?;
        for n in 0..BACKUPS_OF_VAULT {
            let checkpoint = self.checkpoint(&vault, number * BACKUPS_OF_VAULT + n, n)?;
            tx.insert_checkpoint(&checkpoint).await?;
            let backup = self.backup(&checkpoint, &volume, number * BACKUPS_OF_VAULT + n)?;
            tx.insert_backup(&backup).await?;
        }
        for n in 0..LOGS_OF_VAULT {
            let log = self.log(&vault, &volume, number * LOGS_OF_VAULT + n, n)?;
            tx.insert_operation_log(&log).await?;
        }
        Ok(())
    }

    fn volume(&self, number: u64, created_at: Timestamp) -> Result<Volume> {
        Ok(Volume {
            id: id(VOLUME, number).parse::<VolumeId>()?,
            project_id: self.project.clone(),
            name: format!("disk-{number}"),
            path: format!("/nowhere/disk-{number}.raw"),
            format: VolumeFormat::Raw,
            size_bytes: 10 << 30,
            version: 0,
            created_at,
        })
    }

    fn vault(&self, number: u64, created_at: Timestamp) -> Result<Vault> {
        Ok(Vault {
            id: id(VAULT, number).parse::<VaultId>()?,
            project_id: self.project.clone(),
            user_id: self.user.clone(),
            name: format!("vault-{number}"),
            description: None,
            object_type: ObjectType::Disk,
            protect_type: ProtectType::Backup,
            consistent_level: ConsistentLevel::Crash,
            cloud_type: CloudType::Public,
            charging_mode: ChargingMode::PostPaid,
            size_gb: 100,
            used_bytes: 12 << 30,
            status: VaultStatus::Available,
            auto_bind: false,
            auto_expand: false,
            bind_rules: None,
            smn_notify: true,
            threshold: 80,
            locked: false,
            is_multi_az: false,
            demand_billing: false,
            backup_name_prefix: None,
            enterprise_project_id: "0".to_owned(),
            availability_zone: String::new(),
            sys_lock_source_service: String::new(),
            order_id: None,
            term_ends_at: None,
            version: 0,
            created_at,
            updated_at: created_at,
        })
    }

    fn checkpoint(&self, vault: &Vault, number: u64, day: u64) -> Result<Checkpoint> {
        Ok(Checkpoint {
            id: id(CHECKPOINT, number).parse::<CheckpointId>()?,
            project_id: self.project.clone(),
            vault_id: vault.id.clone(),
            name: format!("checkpoint-{number}"),
            description: String::new(),
            status: CheckpointStatus::Available,
            retention_days: -1,
            skipped_resources: JsonText(Vec::new()),
            created_at: moment(number / BACKUPS_OF_VAULT, day),
        })
    }

    fn backup(&self, checkpoint: &Checkpoint, volume: &Volume, number: u64) -> Result<Backup> {
        let created_at = checkpoint.created_at;
        Ok(Backup {
            id: id(BACKUP, number).parse::<BackupId>()?,
            project_id: self.project.clone(),
            vault_id: checkpoint.vault_id.clone(),
            checkpoint_id: checkpoint.id.clone(),
            parent_id: None,
            resource_id: volume.id.clone().into(),
            resource_type: ResourceType::Volume,
            resource_name: volume.name.clone(),
            resource_size_gb: 10,
            name: format!("backup-{number}"),
            description: String::new(),
            status: BackupStatus::Available,
            image_type: ImageType::Backup,
            incremental: !number.is_multiple_of(BACKUPS_OF_VAULT),
            auto_trigger: false,
            system_disk: false,
            progress: 100,
            point_id: None,
            size_bytes: volume.size_bytes,
            stored_bytes: 600 << 20,
            trouble: None,
            trouble_message: String::new(),
            created_at,
            updated_at: created_at,
            protected_at: Some(created_at),
            expired_at: None,
            policy_id: None,
            retention: None,
            quiesce: None,
        })
    }

    fn log(&self, vault: &Vault, volume: &Volume, number: u64, day: u64) -> Result<OperationLog> {
        let created_at = moment(number / LOGS_OF_VAULT, day);
        let backup = number % (VAULTS * BACKUPS_OF_VAULT);
        Ok(OperationLog {
            id: id(LOG, number).parse::<OperationLogId>()?,
            project_id: self.project.clone(),
            operation_type: OperationType::Backup,
            status: match number % 50 {
                0 => OperationStatus::Failed,
                _ => OperationStatus::Success,
            },
            progress: 100,
            vault_id: Some(vault.id.clone()),
            vault_name: Some(vault.name.clone()),
            checkpoint_id: None,
            policy_id: None,
            provider_id: None,
            resource_id: Some(volume.id.clone().into()),
            resource_type: Some(ResourceType::Volume),
            resource_name: Some(volume.name.clone()),
            extra: JsonText(OperationExtra::Backup {
                backup_id: id(BACKUP, backup).parse()?,
                backup_name: format!("backup-{backup}"),
                incremental: true,
                quiesce: None,
                disks: Vec::new(),
            }),
            trouble: None,
            error_message: String::new(),
            request_id: format!("req-{number}"),
            created_at,
            started_at: created_at,
            updated_at: created_at,
            ended_at: Some(created_at),
        })
    }
}

fn resource(vault: &Vault, volume: &Volume) -> VaultResource {
    VaultResource {
        resource_id: volume.id.clone().into(),
        vault_id: vault.id.clone(),
        resource_type: ResourceType::Volume,
        name: volume.name.clone(),
        size_gb: 10,
        protect_status: ProtectStatus::Available,
        auto_protect: false,
        exclude_volumes: None,
        include_volumes: None,
        backup_bytes: vault.used_bytes,
        backup_count: BACKUPS_OF_VAULT,
        created_at: vault.created_at,
    }
}

/// Vaults are eight seconds apart, and work in them a day.
fn moment(vault: u64, day: u64) -> Timestamp {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Timestamp::from_seconds(BEGINNING_SECONDS + whole(vault) * 8 + whole(day) * DAY_SECONDS)
}

/// PostgreSQL does so by itself within a minute; SQLite never, and its plans must be right without.
async fn analyze(address: &str) -> Result<()> {
    use sqlx::Connection as _;
    if address.starts_with("sqlite:") {
        return Ok(());
    }
    let mut connection = sqlx::PgConnection::connect(address).await?;
    sqlx::query("VACUUM ANALYZE")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

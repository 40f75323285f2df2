use strongroom_service::rows::{self, OperationLogFilter};
use strongroom_wire::CbrTime;
use strongroom_wire::operation_logs::{
    BackupTask, CommonExtra, DeleteTask, DiskReading, ListOperationLogsQuery, MigrateResourceTask,
    OperationError, OperationExtra, OperationLog, OperationResource, RemoveResourcesTask,
    ReplicationTask, RestoreTask, SyncTask, UpdateExpirationTask, VaultDeleteTask,
};
use strongroom_wire::resources::ResourceExtra;
use strongroom_wire::values::{Label, ShortText};

use super::backups::app_consistency;
use super::{check_count, enterprise_project};
use crate::ApiError;
use crate::error::code_of_trouble;

pub(crate) fn operation_log_filter(
    query: ListOperationLogsQuery,
) -> Result<OperationLogFilter, ApiError> {
    check_count("status", &query.status, 0..=64)?;
    Ok(OperationLogFilter {
        operation_type: query.operation_type,
        statuses: query.status,
        provider_id: query.provider_id.map(ShortText::into_string),
        resource_id: query.resource_id,
        resource_name: query.resource_name.map(Label::into_string),
        vault_id: query.vault_id,
        vault_name: query.vault_name.map(Label::into_string),
        start_time: query.start_time.map(|time| time.0),
        end_time: query.end_time.map(|time| time.0),
        enterprise_project_id: enterprise_project(query.enterprise_project_id),
    })
}

pub(crate) fn operation_log(row: rows::OperationLog) -> OperationLog {
    let error_info = OperationError {
        code: row.trouble.map_or_else(String::new, |trouble| {
            code_of_trouble(trouble).as_str().to_owned()
        }),
        message: row.error_message.clone(),
    };
    OperationLog {
        extra_info: extra(&row),
        id: row.id,
        operation_type: row.operation_type,
        status: row.status,
        project_id: row.project_id,
        provider_id: row.provider_id,
        vault_id: row.vault_id,
        vault_name: row.vault_name,
        checkpoint_id: row.checkpoint_id,
        policy_id: row.policy_id,
        created_at: CbrTime(row.created_at),
        started_at: CbrTime(row.started_at),
        updated_at: CbrTime(row.updated_at),
        ended_at: row.ended_at.map(CbrTime),
        error_info,
    }
}

/// What every task shows.
fn common(row: &rows::OperationLog) -> OperationExtra {
    OperationExtra {
        common: CommonExtra {
            progress: row.progress,
            request_id: row.request_id.clone(),
            task_id: row.id.clone(),
        },
        resource: resource(row),
        backup: None,
        delete: None,
        restore: None,
        remove_resources: None,
        vault_delete: None,
        update_expiration_time: None,
        migrate_resource: None,
        sync: None,
        replication: None,
    }
}

fn extra(row: &rows::OperationLog) -> OperationExtra {
    let mut extra = common(row);
    describe(row, &mut extra);
    extra
}

/// Fills in the part that fits the operation.
#[expect(
    clippy::too_many_lines,
    reason = "a table: one part for each kind of operation"
)]
fn describe(row: &rows::OperationLog, extra: &mut OperationExtra) {
    match row.extra.0.clone() {
        rows::OperationExtra::Backup {
            backup_id,
            backup_name,
            incremental,
            quiesce,
            disks,
        } => {
            extra.backup = Some(backup_task(
                backup_id,
                backup_name,
                incremental,
                quiesce.as_ref(),
                disks,
            ));
        }
        rows::OperationExtra::Delete {
            backup_id,
            backup_name,
        } => {
            extra.delete = Some(DeleteTask {
                backup_id,
                backup_name,
            });
        }
        rows::OperationExtra::Restore {
            backup_id,
            backup_name,
            target_resource_id,
            target_resource_name,
        } => {
            extra.restore = Some(RestoreTask {
                backup_id,
                backup_name,
                target_resource_id,
                target_resource_name,
            });
        }
        rows::OperationExtra::RemoveResources {
            total_count,
            fail_count,
        } => {
            extra.remove_resources = Some(RemoveResourcesTask {
                total_count,
                fail_count,
                resources: resource(row).into_iter().collect(),
            });
        }
        rows::OperationExtra::VaultDelete {
            total_count,
            fail_count,
        } => {
            extra.vault_delete = Some(VaultDeleteTask {
                total_count,
                fail_count,
            });
        }
        rows::OperationExtra::NotStarted { .. } => {}
        rows::OperationExtra::UpdateExpirationTime {
            affected_backups_count,
            expiration_day,
        } => {
            extra.update_expiration_time = Some(UpdateExpirationTask {
                affected_backups_count,
                expiration_day,
            });
        }
        rows::OperationExtra::MigrateResource {
            destination_vault_id,
            destination_vault_name,
            ..
        } => {
            extra.migrate_resource = Some(MigrateResourceTask {
                destination_vault_id,
                destination_vault_name,
            });
        }
        rows::OperationExtra::Sync {
            sync_backup_num,
            delete_backup_num,
            err_sync_backup_num,
            ..
        } => {
            extra.sync = Some(SyncTask {
                sync_backup_num,
                delete_backup_num,
                err_sync_backup_num,
            });
        }
        rows::OperationExtra::Replication(task) => {
            extra.replication = Some(replication_task(task));
        }
    }
}

fn replication_task(task: rows::ReplicationTask) -> ReplicationTask {
    ReplicationTask {
        source_region: task.source_region,
        source_project_id: task.source_project_id,
        source_checkpoint_id: task.source_checkpoint_id,
        source_backup_id: task.source_backup_id,
        source_backup_name: task.source_backup_name,
        destination_region: task.destination_region,
        destination_project_id: task.destination_project_id,
        destination_checkpoint_id: task.destination_checkpoint_id,
        destination_backup_id: task.destination_backup_id,
        destination_backup_name: task.destination_backup_name,
    }
}

fn backup_task(
    backup_id: strongroom_types::BackupId,
    backup_name: String,
    incremental: bool,
    quiesce: Option<&rows::Quiesce>,
    disks: Vec<rows::DiskReading>,
) -> BackupTask {
    let consistency = app_consistency(quiesce);
    BackupTask {
        backup_id,
        backup_name,
        incremental: incremental.to_string(),
        app_consistency_status: consistency.app_consistency_status,
        // What a backup shows as "0", a task shows as nothing.
        app_consistency_error_code: String::new(),
        app_consistency_error_message: consistency.app_consistency_error_message,
        disks: disks.into_iter().map(disk_reading).collect(),
    }
}

fn disk_reading(row: rows::DiskReading) -> DiskReading {
    DiskReading {
        volume_id: row.volume_id,
        read_bytes: row.read_bytes,
        whole_because: row.whole,
    }
}

fn resource(row: &rows::OperationLog) -> Option<OperationResource> {
    Some(OperationResource {
        id: row.resource_id.clone()?,
        resource_type: row.resource_type?,
        name: row.resource_name.clone()?,
        extra_info: ResourceExtra::default(),
    })
}

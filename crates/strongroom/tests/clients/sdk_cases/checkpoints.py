"""Restore points, backups, tasks, and what they show about themselves."""

import json

from huaweicloudsdkcbr.v1 import model as m

from common import check, equal, one

from .case import INVALID, UNKNOWN_BACKUP, UNKNOWN_VAULT, refused
from .stage import NOWHERE, SERVER


def back_up(vault, **parameters):
    parameters = m.CheckpointParam(incremental=True, **parameters)
    body = m.VaultBackupReq(checkpoint=m.VaultBackup(vault_id=vault.id, parameters=parameters))
    return m.CreateCheckpointRequest(body=body)


@refused(400, "BackupService.0001", lambda stage: back_up(stage.made.empty))
def create_checkpoint(stage):
    request = back_up(stage.made.vault, name="first", resources=[stage.server_id], retention_duration_days=30)
    stage.made.checkpoint = stage.client.create_checkpoint(request).checkpoint
    equal(stage.made.checkpoint.status, "protecting", "the status of a new checkpoint")


@refused(404, "BackupService.6217", lambda stage: m.ShowCheckpointRequest(checkpoint_id=NOWHERE))
def show_checkpoint(stage):
    shown = stage.wait_for_checkpoint(stage.made.checkpoint)
    equal(one(shown.vault.resources, "resources").protect_status, "available", "the resource's protect_status")


@refused(400, INVALID, lambda stage: m.ListBackupsRequest(sort="colour"))
def list_backups(stage):
    listed = stage.client.list_backups(m.ListBackupsRequest(checkpoint_id=stage.made.checkpoint.id))
    stage.made.backup = one(listed.backups, "backups of the checkpoint")
    equal((stage.made.backup.name, stage.made.backup.status), ("first", "available"), "the backup")


@refused(404, UNKNOWN_BACKUP, lambda stage: m.ShowBackupRequest(backup_id=NOWHERE))
def show_backup(stage):
    shown = stage.client.show_backup(m.ShowBackupRequest(backup_id=stage.made.backup.id)).backup
    check(shown.children, "a server's backup shows its disks as children")
    check(shown.expired_at, "a backup that is kept for 30 days has an end")
    stage.made.children = shown.children


def rename(backup_id):
    body = m.BackupUpdateReq(backup=m.BackupUpdate(name="renamed"))
    return m.UpdateBackupRequest(backup_id=backup_id, body=body)


@refused(404, UNKNOWN_BACKUP, lambda stage: rename(NOWHERE))
def update_backup(stage):
    equal(stage.client.update_backup(rename(stage.made.backup.id)).backup.name, "renamed", "the backup's new name")


@refused(404, UNKNOWN_BACKUP, lambda stage: m.ShowMetadataRequest(backup_id=NOWHERE))
def show_metadata(stage):
    metadata = stage.client.show_metadata(m.ShowMetadataRequest(backup_id=stage.made.backup.id))
    equal(metadata.backup_id, stage.made.backup.id, "the backup of the metadata")
    check(stage.server_id in metadata.server, "the metadata describes the server")
    check(json.loads(metadata.server), "a member of the metadata is JSON text")
    equal(len(metadata.volumes), len(stage.made.children), "the number of volumes in the metadata")


@refused(400, INVALID, lambda stage: m.ShowStorageUsageRequest(limit=0))
def show_storage_usage(stage):
    usage = stage.client.show_storage_usage(m.ShowStorageUsageRequest(resource_type=SERVER))
    equal(usage.resource_count, 1, "resource_count")
    row = one(usage.storage_usage, "resources with backups")
    equal((row.resource_id, row.backup_count), (stage.server_id, 1), "the server's use")
    check(row.backup_size > 0, "the server's backups have a size")


@refused(400, INVALID, lambda stage: m.ListOpLogsRequest(status="dreaming"))
def list_op_logs(stage):
    request = m.ListOpLogsRequest(vault_id=stage.made.vault.id, operation_type="backup", status="success")
    stage.made.task = one(stage.client.list_op_logs(request).operation_logs, "backup tasks of the vault")


@refused(404, "BackupService.6500", lambda stage: m.ShowOpLogRequest(operation_log_id=NOWHERE))
def show_op_log(stage):
    request = m.ShowOpLogRequest(operation_log_id=stage.made.task.id)
    task = stage.client.show_op_log(request).operation_log
    equal((task.status, task.extra_info.common.progress), ("success", 100), "the backup's task")


def restore(stage, backup_id):
    mappings = [
        m.BackupRestoreServerMapping(backup_id=child.id, volume_id=child.resource_id) for child in stage.made.children
    ]
    target = m.BackupRestore(server_id=stage.server_id, power_on=False, mappings=mappings)
    return m.RestoreBackupRequest(backup_id=backup_id, body=m.BackupRestoreReq(restore=target))


@refused(404, UNKNOWN_BACKUP, lambda stage: restore(stage, NOWHERE))
def restore_backup(stage):
    answer = stage.client.restore_backup(restore(stage, stage.made.backup.id))
    task = stage.wait_for_task(json.loads(answer.raw_content)["job_id"])
    equal((task.operation_type, task.extra_info.restore.backup_id), ("restore", stage.made.backup.id), "the task")


def keep_until(vault_id):
    body = m.UpdateExpirationTimeReq(expect_expiration_date="2099-12-31", time_zone="UTC+08:00")
    return m.UpdateExpirationTimeRequest(vault_id=vault_id, body=body)


@refused(404, UNKNOWN_VAULT, lambda stage: keep_until(NOWHERE))
def update_expiration_time(stage):
    answer = stage.client.update_expiration_time(keep_until(stage.made.vault.id))
    equal((answer.affected_backups_count, answer.new_expiration_day), (1, "2099-12-31"), "what was moved")
    stage.wait_for_task(answer.operation_log_id)
    shown = stage.client.show_backup(m.ShowBackupRequest(backup_id=stage.made.backup.id)).backup
    check(str(shown.expired_at).startswith("2099-12-31"), f"the backup is kept until then, not {shown.expired_at}")

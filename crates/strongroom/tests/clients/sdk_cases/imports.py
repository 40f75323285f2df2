"""What another installation has written is listed in a hybrid vault."""

import time

from huaweicloudsdkcbr.v1 import model as m

from common import equal

from .case import refused
from .stage import billing, new_vault


def sync_vault(vault_id):
    return m.ImportCheckpointRequest(body=m.SyncReq(sync=m.SyncParam(auto_trigger=False, vault_id=vault_id)))


def sync_backup(stage, bucket_name):
    backup = m.BackupSync(
        backup_id=stage.unit_backup,
        backup_name="imported",
        bucket_name=bucket_name,
        created_at=int(time.time()),
        image_path="/",
        resource_id=stage.unit_resource,
        resource_name="from-afar",
        resource_type="OS::Native::Server",
    )
    return m.ImportBackupRequest(body=m.BackupSyncReq(sync=[backup]))


@refused(400, "BackupService.7300", lambda stage: sync_backup(stage, "no-such-unit"))
def import_backup(stage):
    how = billing(object_type="vmware", cloud_type="hybrid")
    stage.made.hybrid = new_vault(stage.client, "hybrid", how)
    equal(stage.made.hybrid.billing.storage_unit, stage.unit, "the vault's storage unit")
    (task,) = stage.client.import_backup(sync_backup(stage, stage.unit)).sync
    equal(task.backup_id, stage.unit_backup, "the backup that is imported")
    stage.wait_for_task(task.operation_log_id)
    shown = stage.client.show_backup(m.ShowBackupRequest(backup_id=stage.unit_backup)).backup
    equal((shown.vault_id, shown.status), (stage.made.hybrid.id, "available"), "the imported backup")


@refused(400, "BackupService.7300", lambda stage: sync_vault(stage.made.vault.id))
def import_checkpoint(stage):
    answer = stage.client.import_checkpoint(sync_vault(stage.made.hybrid.id)).sync
    equal(answer.vault_id, stage.made.hybrid.id, "the vault that is compared with its unit")
    task = stage.wait_for_task(answer.operation_log_id)
    equal((task.operation_type, task.extra_info.sync.err_sync_backup_num), ("sync", 0), "the task")

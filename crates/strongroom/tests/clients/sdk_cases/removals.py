"""What moves, and what goes; last, because the cases before need it."""

from huaweicloudsdkcbr.v1 import model as m

from common import equal, one, wait_for

from .case import UNKNOWN_BACKUP, UNKNOWN_VAULT, refused
from .stage import new_vault


def move(stage, to):
    body = m.VaultMigrateResourceReq(destination_vault_id=to, resource_ids=[stage.server_id])
    return m.MigrateVaultResourceRequest(vault_id=stage.made.vault.id, body=body)


@refused(400, "BackupService.6135", lambda stage: move(stage, stage.made.target.id))
def migrate_vault_resource(stage):
    stage.made.target = new_vault(stage.client, "target")
    before = one(stage.show_vault(stage.made.vault.id).resources, "resources")
    moved = stage.client.migrate_vault_resource(move(stage, stage.made.target.id))
    equal(moved.migrated_resources, [stage.server_id], "migrated_resources")

    def has_moved():
        vault = stage.show_vault(stage.made.target.id)
        return vault if vault.resources and vault.resources[0].protect_status == "available" else None

    vault = wait_for("the server is in the other vault", has_moved)
    after = one(vault.resources, "resources")
    equal(after.backup_count, before.backup_count, "the number of backups that came along")


@refused(404, UNKNOWN_BACKUP, lambda stage: m.DeleteBackupRequest(backup_id=stage.made.backup.id))
def delete_backup(stage):
    stage.client.delete_backup(m.DeleteBackupRequest(backup_id=stage.made.backup.id))
    stage.wait_until_gone(stage.client.show_backup, m.ShowBackupRequest(backup_id=stage.made.backup.id))


def remove_server(stage):
    body = m.VaultRemoveResourceReq(resource_ids=[stage.server_id])
    return m.RemoveVaultResourceRequest(vault_id=stage.made.target.id, body=body)


@refused(400, "BackupService.6135", remove_server)
def remove_vault_resource(stage):
    removed = stage.client.remove_vault_resource(remove_server(stage))
    equal(removed.remove_resource_ids, [stage.server_id], "remove_resource_ids")
    vault_id = stage.made.target.id
    wait_for("the server has left", lambda: True if not stage.show_vault(vault_id).resources else None)


@refused(404, UNKNOWN_VAULT, lambda stage: m.DeleteVaultRequest(vault_id=stage.made.vault.id))
def delete_vault(stage):
    stage.client.delete_vault(m.DeleteVaultRequest(vault_id=stage.made.vault.id))
    stage.wait_until_gone(stage.client.show_vault, m.ShowVaultRequest(vault_id=stage.made.vault.id))

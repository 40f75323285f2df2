"""Copies in the region of a peer."""

from huaweicloudsdkcbr.v1 import model as m

from common import check, equal, one, wait_for

from .case import INVALID, UNKNOWN_BACKUP, UNKNOWN_VAULT, forbidden_to_strangers, refused
from .stage import NOWHERE, billing, new_vault


@forbidden_to_strangers(lambda stage: m.ShowReplicationCapabilitiesRequest())
def show_replication_capabilities(stage):
    answer = stage.client.show_replication_capabilities(m.ShowReplicationCapabilitiesRequest())
    region = one(answer.regions, "regions that can be copied from")
    equal(region.name, stage.account["region"], "the own region")
    equal(region.replication_destinations, [stage.peer["region"]], "the regions that copies can go to")


def vaults_elsewhere(stage, **more):
    request = {"region_id": stage.peer["region"], "external_project_id": stage.peer["project_id"], **more}
    return m.ListExternalVaultRequest(objcet_type="server", protect_type="replication", **request)


@refused(400, INVALID, lambda stage: vaults_elsewhere(stage, limit=0))
def list_external_vault(stage):
    how = billing(protect_type="replication")
    stage.made.elsewhere = new_vault(stage.peer_client, "copies", how)
    found = one(
        stage.client.list_external_vault(vaults_elsewhere(stage)).vaults, "vaults for copies in the other region"
    )
    equal((found.id, found.name), (stage.made.elsewhere.id, "copies"), "the vault in the other region")


def destination(stage, **what):
    where = {"destination_region": stage.peer["region"], "destination_project_id": stage.peer["project_id"]}
    return {**where, "destination_vault_id": stage.made.elsewhere.id, **what}


def copy_of_backup(stage, backup_id):
    body = m.BackupReplicateReq(replicate=m.BackupReplicateReqBody(**destination(stage)))
    return m.CopyBackupRequest(backup_id=backup_id, body=body)


@refused(404, UNKNOWN_BACKUP, lambda stage: copy_of_backup(stage, NOWHERE))
def copy_backup(stage):
    begun = stage.client.copy_backup(copy_of_backup(stage, stage.made.backup.id)).replication
    equal(begun.destination_vault_id, stage.made.elsewhere.id, "where the copy goes")
    wait_for_copy(stage, stage.made.backup.id, begun.replication_record_id)


def wait_for_copy(stage, backup_id, record_id):
    def is_success():
        listed = stage.client.list_backups(m.ListBackupsRequest(vault_id=stage.made.vault.id, show_replication=True))
        backup = one([backup for backup in listed.backups if backup.id == backup_id], "backups of that id")
        record = one([record for record in backup.replication_records if record.id == record_id], "records of the copy")
        check(record.status not in ("fail", "skip"), f"the copy succeeds: {record.extra_info}")
        return record if record.status == "success" else None

    record = wait_for("the copy is there", is_success)
    copy = stage.peer_client.show_backup(m.ShowBackupRequest(backup_id=record.destination_backup_id)).backup
    equal((copy.image_type, copy.status), ("replication", "available"), "the copy in the other region")


def copy_of_vault(stage, vault_id):
    body = m.CheckpointReplicateReq(replicate=m.CheckpointReplicateParam(**destination(stage, vault_id=vault_id)))
    return m.CopyCheckpointRequest(body=body)


@refused(404, UNKNOWN_VAULT, lambda stage: copy_of_vault(stage, NOWHERE))
def copy_checkpoint(stage):
    stage.back_up(stage.made.vault, "second")
    begun = stage.client.copy_checkpoint(copy_of_vault(stage, stage.made.vault.id)).replication
    copy = one(begun.backups, "backups that are copied, because they were not yet")
    wait_for_copy(stage, copy.backup_id, copy.replication_record_id)

"""Copies in other regions."""

from huaweicloudsdkcbr.v1 import model as m

from common import equal

from .case import UNKNOWN_BACKUP, UNKNOWN_VAULT, forbidden_to_strangers, refused
from .stage import NOWHERE

ELSEWHERE = "region-2"


@forbidden_to_strangers(lambda stage: m.ShowReplicationCapabilitiesRequest())
def show_replication_capabilities(stage):
    answer = stage.client.show_replication_capabilities(m.ShowReplicationCapabilitiesRequest())
    equal(answer.regions, [], "the regions that this one can copy to")


def vaults_of_region(region, project_id):
    return m.ListExternalVaultRequest(region_id=region, external_project_id=project_id, objcet_type="server")


def to_region(how, region, **what):
    return how(
        destination_region=region, destination_project_id=NOWHERE.replace("-", ""), destination_vault_id=NOWHERE, **what
    )


def copy_of_backup(backup_id):
    body = m.BackupReplicateReq(replicate=to_region(m.BackupReplicateReqBody, ELSEWHERE))
    return m.CopyBackupRequest(backup_id=backup_id, body=body)


def copy_of_vault(vault_id):
    body = m.CheckpointReplicateReq(replicate=to_region(m.CheckpointReplicateParam, ELSEWHERE, vault_id=vault_id))
    return m.CopyCheckpointRequest(body=body)

"""The official Python SDK, signing with an access key, walks through vaults, backups and restores.

A server with at least one disk and a volume of its own are in the inventory; the volume is the raw file `--volume-path`.
"""

import hashlib
import json

from huaweicloudsdkcbr.v1 import model as m
from huaweicloudsdkcbr.v1.cbr_client import CbrClient
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

from common import arguments, check, equal, main, one, say, wait_for

SERVER = "OS::Nova::Server"
DISK = "OS::Cinder::Volume"
NOWHERE = "00000000-0000-4000-8000-000000000000"


def connect(account):
    keys = BasicCredentials(account["access_key"], account["secret_key"], account["project_id"])
    return CbrClient.new_builder().with_credentials(keys).with_endpoint(account["endpoint"]).build()


def refused(status, code, call, *call_arguments):
    """The call must fail with exactly this status and error code."""
    try:
        call(*call_arguments)
    except ClientRequestException as error:
        equal((error.status_code, error.error_code), (status, code), f"the refusal of {call.__name__}")
        check(error.error_msg, f"{code} comes with a message")
        check(error.request_id, f"{code} comes with a request id")
        say(f"  refused as it must be: {code} {error.error_msg}")
        return
    check(False, f"{call.__name__} is refused with {code}")


def is_gone(call, request):
    """None while the object is there, True when it is answered with 404."""
    try:
        call(request)
    except ClientRequestException as error:
        equal(error.status_code, 404, "the status of a vanished object")
        return True
    return None


def billing(object_type, **more):
    return m.BillingCreate(
        cloud_type="public",
        consistent_level="crash_consistent",
        object_type=object_type,
        protect_type="backup",
        **{"size": 100, **more},
    )


def create_vault(client, name, object_type, **more):
    vault = m.VaultCreate(name=name, resources=[], billing=billing(object_type), **more)
    return client.create_vault(m.CreateVaultRequest(body=m.VaultCreateReq(vault=vault))).vault


def add(client, vault_id, resource_id, resource_type):
    body = m.VaultAddResourceReq(resources=[m.ResourceCreate(id=resource_id, type=resource_type)])
    return client.add_vault_resource(m.AddVaultResourceRequest(vault_id=vault_id, body=body)).add_resource_ids


def show_vault(client, vault_id):
    return client.show_vault(m.ShowVaultRequest(vault_id=vault_id)).vault


def list_backups(client, **filters):
    return client.list_backups(m.ListBackupsRequest(**filters)).backups


def back_up(client, vault_id, resource_id, name, incremental):
    """A checkpoint of one resource, waited for, and its only backup."""
    parameters = m.CheckpointParam(
        auto_trigger=False, description="backupauto", incremental=incremental, name=name, resources=[resource_id]
    )
    body = m.VaultBackupReq(checkpoint=m.VaultBackup(parameters=parameters, vault_id=vault_id))
    created = client.create_checkpoint(m.CreateCheckpointRequest(body=body)).checkpoint
    equal(created.status, "protecting", "the status of a new checkpoint")
    resource = one(created.vault.resources, "resources in the checkpoint")
    equal(resource.id, resource_id, "the resource of the checkpoint")
    check(isinstance(resource.resource_size, str), "a checkpoint's resource_size is a string")
    check(isinstance(resource.extra_info, str), "a checkpoint's extra_info is a string")
    equal(created.extra_info.name, name, "the name in the checkpoint")

    def is_available():
        shown = client.show_checkpoint(m.ShowCheckpointRequest(checkpoint_id=created.id)).checkpoint
        check(shown.status != "error", "the checkpoint does not fail")
        return shown if shown.status == "available" else None

    shown = wait_for(f"checkpoint {name} is available", is_available)
    equal(one(shown.vault.resources, "resources").protect_status, "available", "the resource's protect_status")
    backup = one(list_backups(client, checkpoint_id=created.id), "backups of the checkpoint")
    equal((backup.status, backup.resource_id, backup.name), ("available", resource_id, name), "the backup")
    equal((backup.vault_id, backup.image_type), (vault_id, "backup"), "the backup's vault and kind")
    return backup


def wait_for_task(client, job_id):
    def is_success():
        task = client.show_op_log(m.ShowOpLogRequest(operation_log_id=job_id)).operation_log
        check(task.status not in ("failed", "timeout", "skipped"), f"the task succeeds, it is {task.status}")
        return task if task.status == "success" else None

    task = wait_for(f"task {job_id} is success", is_success)
    equal(task.extra_info.common.progress, 100, "the progress of a task that ended")
    check(task.ended_at, "a task that ended has ended_at")
    return task


def restore(client, backup_id, target):
    body = m.BackupRestoreReq(restore=target)
    answer = client.restore_backup(m.RestoreBackupRequest(backup_id=backup_id, body=body))
    equal(answer.status_code, 202, "the status of a restore")
    task = wait_for_task(client, json.loads(answer.raw_content)["job_id"])
    equal((task.operation_type, task.extra_info.restore.backup_id), ("restore", backup_id), "the restore's task")


def delete_backup(client, backup):
    client.delete_backup(m.DeleteBackupRequest(backup_id=backup.id))
    request = m.ShowCheckpointRequest(checkpoint_id=backup.checkpoint_id)
    wait_for("the checkpoint goes with its last backup", lambda: is_gone(client.show_checkpoint, request))
    check(is_gone(client.show_backup, m.ShowBackupRequest(backup_id=backup.id)), "the backup is gone too")


def delete_vault(client, vault_id):
    client.delete_vault(m.DeleteVaultRequest(vault_id=vault_id))
    request = m.ShowVaultRequest(vault_id=vault_id)
    wait_for("the vault is gone", lambda: is_gone(client.show_vault, request))


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scribble(path):
    """A user's accident: half a megabyte of the disk is overwritten."""
    with open(path, "r+b") as file:
        file.seek(64 * 1024)
        file.write(b"\xa5" * (512 * 1024))


def walk_server(client, server_id):
    say("server: vault, resource, checkpoint, backup")
    vault = create_vault(client, "my_vault", "server")
    equal((vault.name, vault.billing.status, vault.resources), ("my_vault", "available", []), "the new vault")
    equal(vault.billing.spec_code, "vault.backup.server.normal", "the vault's spec_code")
    equal(add(client, vault.id, server_id, SERVER), [server_id], "add_resource_ids")
    first = back_up(client, vault.id, server_id, "backup_auto", incremental=True)
    equal(first.resource_type, SERVER, "the backup's resource_type")

    shown = client.show_backup(m.ShowBackupRequest(backup_id=first.id)).backup
    check(shown.children, "a server's backup shows its disks as children")
    for child in shown.children:
        equal((child.resource_type, child.status), (DISK, "available"), "a child backup")
    body = m.BackupUpdateReq(backup=m.BackupUpdate(name="renamed"))
    renamed = client.update_backup(m.UpdateBackupRequest(backup_id=first.id, body=body)).backup
    equal(renamed.name, "renamed", "the backup's new name")
    equal([b.id for b in list_backups(client, name="renamed", vault_id=vault.id)], [first.id], "backups of that name")

    say("server: restored to itself")
    mappings = [
        m.BackupRestoreServerMapping(backup_id=child.id, volume_id=child.resource_id) for child in shown.children
    ]
    restore(client, first.id, m.BackupRestore(server_id=server_id, power_on=False, mappings=mappings))

    say("server: backup, resource and vault deleted")
    delete_backup(client, first)
    body = m.VaultRemoveResourceReq(resource_ids=[server_id])
    removed = client.remove_vault_resource(m.RemoveVaultResourceRequest(vault_id=vault.id, body=body))
    equal(removed.remove_resource_ids, [server_id], "remove_resource_ids")
    wait_for("the resource has left", lambda: True if not show_vault(client, vault.id).resources else None)
    delete_vault(client, vault.id)


def walk_disk(client, volume_id, path):
    say("disk: backed up, damaged, restored in place")
    vault = create_vault(client, "disks", "disk")
    add(client, vault.id, volume_id, DISK)
    before = sha256(path)
    first = back_up(client, vault.id, volume_id, "first", incremental=True)
    shown = one(show_vault(client, vault.id).resources, "resources of the vault")
    equal((shown.id, shown.protect_status, shown.backup_count), (volume_id, "available", 1), "the vault's resource")
    scribble(path)
    check(sha256(path) != before, "the disk is damaged")
    second = back_up(client, vault.id, volume_id, "second", incremental=True)
    equal(second.incremental, True, "the second backup's incremental")
    restore(client, first.id, m.BackupRestore(volume_id=volume_id))
    equal(sha256(path), before, "the restored disk's SHA-256")

    say("disk: tasks")
    tasks = client.list_op_logs(m.ListOpLogsRequest(vault_id=vault.id)).operation_logs
    kinds = sorted(task.operation_type for task in tasks)
    equal(kinds, ["backup", "backup", "restore"], "the vault's tasks")
    restores = client.list_op_logs(m.ListOpLogsRequest(vault_id=vault.id, operation_type="restore", status="success"))
    equal(len(restores.operation_logs), 1, "the number of restore tasks")

    say("disk: refusals")
    refused(400, "BackupService.6104", add_twice, client, vault.id, volume_id)
    other = create_vault(client, "other", "disk")
    refused(400, "BackupService.6103", add, client, other.id, volume_id, DISK)
    servers = create_vault(client, "servers", "server")
    refused(400, "BackupService.6102", add, client, servers.id, volume_id, DISK)
    delete_vault(client, other.id)
    delete_vault(client, servers.id)

    say("disk: the vault goes with its backups")
    delete_vault(client, vault.id)
    equal(list_backups(client, vault_id=vault.id), [], "backups of a deleted vault")


def add_twice(client, vault_id, resource_id):
    resource = m.ResourceCreate(id=resource_id, type=DISK)
    body = m.VaultAddResourceReq(resources=[resource, resource])
    client.add_vault_resource(m.AddVaultResourceRequest(vault_id=vault_id, body=body))


def walk_protectables(client, server_id, volume_id):
    say("protectables")
    for kind, wanted, resource_type in (("server", server_id, SERVER), ("disk", volume_id, DISK)):
        listed = client.list_protectable(m.ListProtectableRequest(protectable_type=kind)).instances
        check(wanted in [instance.id for instance in listed], f"the {kind} is among the protectables")
        request = m.ShowProtectableRequest(protectable_type=kind, instance_id=wanted)
        shown = client.show_protectable(request).instance
        equal((shown.id, shown.type), (wanted, resource_type), f"the {kind}'s protectable")
        equal((shown.protectable.result, shown.protectable.vault), (True, None), f"the {kind} can be protected")
        check(shown.size >= 1, f"the {kind} has a size in GB")


def walk_vaults(client):
    say("vaults: update, filters, paging")
    tags = [m.Tag(key="team", value="red")]
    created = [create_vault(client, f"page-{n}", "disk", description="d", tags=tags) for n in range(3)]
    ids = sorted(vault.id for vault in created)
    equal(created[0].description, "d", "the vault's description")
    body = m.VaultUpdateReq(vault=m.VaultUpdate(name="page-x", billing=m.BillingUpdate(size=200)))
    updated = client.update_vault(m.UpdateVaultRequest(vault_id=created[0].id, body=body)).vault
    equal((updated.name, updated.billing.size), ("page-x", 200), "the updated vault")

    def listed(**filters):
        return client.list_vault(m.ListVaultRequest(**filters))

    equal([v.id for v in listed(name="page-x").vaults], [created[0].id], "vaults of that name")
    equal(listed(object_type="server").vaults, [], "server vaults")
    equal(listed(status="available", protect_type="backup").count, 3, "the count of available vaults")
    pages = [listed(limit=2, offset=offset) for offset in (0, 2, 4)]
    equal([len(page.vaults) for page in pages], [2, 1, 0], "the lengths of the pages")
    equal([page.count for page in pages], [3, 3, 3], "the count on each page")
    equal(sorted(v.id for page in pages for v in page.vaults), ids, "all vaults, each on one page")
    by_id = listed(id=[created[0].id, created[1].id]).vaults
    equal(sorted(v.id for v in by_id), sorted([created[0].id, created[1].id]), "vaults by id")
    for vault in created:
        delete_vault(client, vault.id)


def walk_policies(client):
    say("policies: made, applied, changed, taken off, deleted")
    patterns = ["FREQ=WEEKLY;BYDAY=MO;BYHOUR=14;BYMINUTE=00", "FREQ=DAILY;INTERVAL=5;BYHOUR=21;BYMINUTE=00"]
    policy = m.PolicyCreate(
        name="pol-a",
        enabled=True,
        operation_type="backup",
        operation_definition=m.PolicyoODCreate(day_backups=0, max_backups=10, timezone="UTC+08:00"),
        trigger=m.PolicyTriggerReq(properties=m.PolicyTriggerPropertiesReq(pattern=patterns)),
    )
    body = m.PolicyCreateReq(policy=policy)
    made = client.create_policy(m.CreatePolicyRequest(body=body)).policy
    equal(made.trigger.properties.pattern, patterns, "the patterns, to the letter")
    definition = made.operation_definition
    equal((definition.max_backups, definition.day_backups, definition.timezone), (10, 0, "UTC+08:00"), "the echo")
    vault = create_vault(client, "with-policy", "disk", backup_policy_id=made.id)
    other = create_vault(client, "later", "disk")
    associate = m.VaultAssociate(policy_id=made.id)
    applied = client.associate_vault_policy(m.AssociateVaultPolicyRequest(vault_id=other.id, body=associate))
    equal(applied.associate_policy.policy_id, made.id, "the policy that was applied")
    shown = client.show_policy(m.ShowPolicyRequest(policy_id=made.id)).policy
    equal(sorted(v.vault_id for v in shown.associated_vaults), sorted([vault.id, other.id]), "the policy's vaults")
    listed = client.list_policies(m.ListPoliciesRequest(vault_id=other.id, operation_type="backup"))
    equal((listed.count, listed.policies[0].id), (1, made.id), "the policies of a vault")
    found = client.list_vault(m.ListVaultRequest(policy_id=made.id))
    equal(found.count, 2, "the vaults of a policy")
    change = m.PolicyUpdateReq(policy=m.PolicyUpdate(name="pol-b", enabled=False))
    changed = client.update_policy(m.UpdatePolicyRequest(policy_id=made.id, body=change)).policy
    equal((changed.name, changed.enabled, changed.operation_definition.max_backups), ("pol-b", False, 10), "the change")
    dissociate = m.VaultDissociate(policy_id=made.id)
    taken = m.DisassociateVaultPolicyRequest(vault_id=other.id, body=dissociate)
    client.disassociate_vault_policy(taken)
    refused(404, "BackupService.6002", client.disassociate_vault_policy, taken)
    client.delete_policy(m.DeletePolicyRequest(policy_id=made.id))
    refused(404, "BackupService.6000", client.show_policy, m.ShowPolicyRequest(policy_id=made.id))
    for gone in (vault, other):
        delete_vault(client, gone.id)


def order_vault(client, name, is_auto_pay):
    """The id that a pre-paid vault has, or will have once its order is approved."""
    term = {"charging_mode": "pre_paid", "period_type": "month", "period_num": 1, "is_auto_renew": False}
    vault = m.VaultCreate(
        name=name, resources=[], description="d", billing=billing("server", is_auto_pay=is_auto_pay, **term)
    )
    answer = client.create_vault(m.CreateVaultRequest(body=m.VaultCreateReq(vault=vault)))
    equal((answer.vault, answer.ret_code, answer.error_code), (None, 0, "0"), "the answer to an order")
    order = one(answer.orders, "orders")
    equal((order.cloud_service_id, order.subscribe_result), ("cbr", 1), "the order")
    check(order.order_id, "an order has an id")
    return order.resource_id


def walk_orders(client):
    say("a pre-paid vault is an order")
    waiting = order_vault(client, "waiting", is_auto_pay=False)
    refused(404, "BackupService.6105", client.show_vault, m.ShowVaultRequest(vault_id=waiting))
    paid = order_vault(client, "paid", is_auto_pay=True)
    equal(show_vault(client, paid).billing.charging_mode, "pre_paid", "the charging_mode of a paid vault")
    refused(400, "BackupService.6111", client.delete_vault, m.DeleteVaultRequest(vault_id=paid))


def walk_refusals(client):
    say("what does not exist")
    refused(404, "BackupService.6105", client.show_vault, m.ShowVaultRequest(vault_id=NOWHERE))
    refused(404, "BackupService.6105", client.delete_vault, m.DeleteVaultRequest(vault_id=NOWHERE))
    refused(404, "BackupService.6200", client.show_backup, m.ShowBackupRequest(backup_id=NOWHERE))
    refused(404, "BackupService.6217", client.show_checkpoint, m.ShowCheckpointRequest(checkpoint_id=NOWHERE))
    refused(404, "BackupService.6500", client.show_op_log, m.ShowOpLogRequest(operation_log_id=NOWHERE))
    nameless = m.VaultCreateReq(vault=m.VaultCreate(name="<>", resources=[], billing=billing("disk")))
    refused(400, "BackupService.9900", client.create_vault, m.CreateVaultRequest(body=nameless))


def walk():
    args = arguments(__doc__, "--server", "--volume", "--volume-path")
    client = connect(args.credentials)
    walk_refusals(client)
    walk_protectables(client, args.server, args.volume)
    walk_vaults(client)
    walk_policies(client)
    walk_server(client, args.server)
    walk_disk(client, args.volume, args.volume_path)
    walk_orders(client)


if __name__ == "__main__":
    main(walk)

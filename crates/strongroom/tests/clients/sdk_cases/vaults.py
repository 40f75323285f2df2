"""Vaults, their resources and their tags."""

from huaweicloudsdkcbr.v1 import model as m

from common import check, equal, one

from .case import INVALID, UNKNOWN_VAULT, forbidden_to_strangers, refused
from .stage import NOWHERE, SERVER, new_vault, vault_request


@refused(400, INVALID, lambda stage: vault_request("<>"))
def create_vault(stage):
    stage.made.vault = new_vault(stage.client, "all")
    equal((stage.made.vault.name, stage.made.vault.billing.status), ("all", "available"), "the new vault")
    stage.made.empty = new_vault(stage.client, "empty")


@refused(404, UNKNOWN_VAULT, lambda stage: m.ShowVaultRequest(vault_id=NOWHERE))
def show_vault(stage):
    equal(stage.show_vault(stage.made.vault.id).name, "all", "the vault's name")


@refused(400, INVALID, lambda stage: m.ListVaultRequest(limit=0))
def list_vault(stage):
    answer = stage.client.list_vault(m.ListVaultRequest(name="all", object_type="server"))
    equal((answer.count, one(answer.vaults, "vaults").id), (1, stage.made.vault.id), "the vaults of that name")


def change_vault(vault_id, **change):
    body = m.VaultUpdateReq(vault=m.VaultUpdate(**change))
    return m.UpdateVaultRequest(vault_id=vault_id, body=body)


@refused(404, UNKNOWN_VAULT, lambda stage: change_vault(NOWHERE, name="nowhere"))
def update_vault(stage):
    request = change_vault(stage.made.vault.id, billing=m.BillingUpdate(size=200))
    equal(stage.client.update_vault(request).vault.billing.size, 200, "the vault's new size")


def change_all_vaults(threshold):
    vault = m.VaultBatchUpdate(smn_notify=True, threshold=threshold)
    return m.BatchUpdateVaultRequest(body=m.BatchUpdateVaultRequestBody(vault=vault))


@refused(400, INVALID, lambda stage: change_all_vaults(101))
def batch_update_vault(stage):
    changed = stage.client.batch_update_vault(change_all_vaults(90)).updated_vaults_id
    equal(sorted(changed), sorted([stage.made.vault.id, stage.made.empty.id]), "the vaults that were changed")
    equal(stage.show_vault(stage.made.vault.id).threshold, 90, "the vault's threshold")


@forbidden_to_strangers(lambda stage: m.ShowSummaryRequest())
def show_summary(stage):
    summary = stage.client.show_summary(m.ShowSummaryRequest())
    equal((summary.size, summary.used_size), (300, 0), "size and use of all vaults")


def add_server(stage, vault):
    body = m.VaultAddResourceReq(resources=[m.ResourceCreate(id=stage.server_id, type=SERVER)])
    return m.AddVaultResourceRequest(vault_id=vault.id, body=body)


@refused(400, "BackupService.6103", lambda stage: add_server(stage, stage.made.empty))
def add_vault_resource(stage):
    answer = stage.client.add_vault_resource(add_server(stage, stage.made.vault))
    equal(answer.add_resource_ids, [stage.server_id], "add_resource_ids")


def set_server(stage, vault, action):
    body = m.VaultSetResourceReq(action=action, resource_ids=[stage.server_id])
    return m.SetVaultResourceRequest(vault_id=vault.id, body=body)


@refused(400, "BackupService.6135", lambda stage: set_server(stage, stage.made.empty, "suspend"))
def set_vault_resource(stage):
    for action, takes_part in (("suspend", False), ("unsuspend", True)):
        answer = stage.client.set_vault_resource(set_server(stage, stage.made.vault, action))
        equal(answer.set_resource_ids, [stage.server_id], "set_resource_ids")
        resource = one(stage.show_vault(stage.made.vault.id).resources, "resources")
        equal(resource.auto_protect, takes_part, f"auto_protect after {action}")


def new_tag(vault_id, key, value):
    body = m.VaultTagsCreateReq(tag=m.TagCreate(key=key, value=value))
    return m.CreateVaultTagsRequest(vault_id=vault_id, body=body)


@refused(404, UNKNOWN_VAULT, lambda stage: new_tag(NOWHERE, "team", "red"))
def create_vault_tags(stage):
    stage.client.create_vault_tags(new_tag(stage.made.vault.id, "team", "red"))


def change_tags(vault_id, action, *tags):
    tags = [m.BulkCreateAndDeleteTags(key=key, value=value) for key, value in tags]
    body = m.BulkCreateAndDeleteVaultTagsReq(action=action, tags=tags)
    return m.BatchCreateAndDeleteVaultTagsRequest(vault_id=vault_id, body=body)


@refused(400, INVALID, lambda stage: change_tags(stage.made.vault.id, "create", ("a", "1"), ("a", "2")))
def batch_create_and_delete_vault_tags(stage):
    change = stage.client.batch_create_and_delete_vault_tags
    change(change_tags(stage.made.vault.id, "create", ("a", "1"), ("b", "2")))
    change(change_tags(stage.made.vault.id, "delete", ("a", None)))


@refused(404, UNKNOWN_VAULT, lambda stage: m.ShowVaultTagRequest(vault_id=NOWHERE))
def show_vault_tag(stage):
    tags = stage.client.show_vault_tag(m.ShowVaultTagRequest(vault_id=stage.made.vault.id)).tags
    equal(sorted((tag.key, tag.value) for tag in tags), [("b", "2"), ("team", "red")], "the vault's tags")


@forbidden_to_strangers(lambda stage: m.ShowVaultProjectTagRequest())
def show_vault_project_tag(stage):
    tags = stage.client.show_vault_project_tag(m.ShowVaultProjectTagRequest()).tags
    equal(sorted((tag.key, tag.values) for tag in tags), [("b", ["2"]), ("team", ["red"])], "the project's tags")


def find_vaults(**wanted):
    return m.ShowVaultResourceInstancesRequest(body=m.VaultResourceInstancesReq(**wanted))


@refused(400, INVALID, lambda stage: find_vaults(action="guess"))
def show_vault_resource_instances(stage):
    wanted = [m.TagsReq(key="team", values=["red", "blue"])]
    find = stage.client.show_vault_resource_instances
    found = find(find_vaults(action="filter", tags=wanted, limit="10", offset="0"))
    equal(one(found.resources, "vaults found").resource_id, stage.made.vault.id, "the vault with that tag")
    equal(find(find_vaults(action="count", tags=wanted)).total_count, 1, "the number of vaults with that tag")


def drop_tag(stage, key):
    return m.DeleteVaultTagRequest(vault_id=stage.made.vault.id, key=key)


@refused(404, "BackupService.6601", lambda stage: drop_tag(stage, "team"))
def delete_vault_tag(stage):
    stage.client.delete_vault_tag(drop_tag(stage, "team"))


@refused(400, INVALID, lambda stage: m.ListProtectableRequest(protectable_type="moon"))
def list_protectable(stage):
    listed = stage.client.list_protectable(m.ListProtectableRequest(protectable_type="server")).instances
    check(stage.server_id in [instance.id for instance in listed], "the server is among the protectables")


def protectable(instance_id):
    return m.ShowProtectableRequest(protectable_type="server", instance_id=instance_id)


@refused(404, "BackupService.6302", lambda stage: protectable(NOWHERE))
def show_protectable(stage):
    shown = stage.client.show_protectable(protectable(stage.server_id)).instance
    equal(shown.protectable.vault.id, stage.made.vault.id, "the vault that the server is in")

"""Cloud Custodian, with its plug-in for this API, finds what breaks the rules and acts on it.

A volume of its own is in the inventory. The program itself does not know the plug-in, so its policies run from here, as
the plug-in's own tests run them.
"""

import os
import tempfile

from huaweicloudsdkcbr.v1 import model as m
from huaweicloudsdkcbr.v1.cbr_client import CbrClient
from huaweicloudsdkcore.auth.credentials import BasicCredentials

from common import arguments, check, equal, main, one, say, wait_for

DISK = "OS::Cinder::Volume"


def point_at(account):
    """The plug-in and the SDK below it take everything from the environment, some of it when they are imported."""
    region = account["region"]
    os.environ.update(
        {
            "HUAWEI_DEFAULT_REGION": region,
            "HUAWEI_ACCESS_KEY_ID": account["access_key"],
            "HUAWEI_SECRET_ACCESS_KEY": account["secret_key"],
            "HUAWEI_PROJECT_ID": account["project_id"],
            f"HUAWEICLOUD_SDK_REGION_CBR_{region.upper().replace('-', '_')}": account["endpoint"],
        }
    )


def connect(account):
    keys = BasicCredentials(account["access_key"], account["secret_key"], account["project_id"])
    return CbrClient.new_builder().with_credentials(keys).with_endpoint(account["endpoint"]).build()


class Custodian:
    """Runs one policy after another, each with an output folder of its own."""

    def __init__(self, region):
        from c7n_huaweicloud.entry import initialize_huaweicloud
        from c7n_huaweicloud.resources import cbr_backup, cbr_vault  # noqa: F401, which registers them

        initialize_huaweicloud()
        self.region = region

    def run(self, name, resource, filters, actions=()):
        """The ids of what the policy found."""
        from c7n.config import Config
        from c7n.policy import PolicyCollection

        policy = {"name": name, "resource": f"huaweicloud.{resource}", "filters": filters, "actions": list(actions)}
        with tempfile.TemporaryDirectory() as folder:
            options = Config.empty(region=self.region, output_dir=folder, cache="memory", cache_period=0)
            loaded = one(list(PolicyCollection.from_data({"policies": [policy]}, options)), "loaded policies")
            found = sorted(resource["id"] for resource in loaded.run())
        say(f"  {name}: {len(found)}")
        return found


def create_vault(client, name, **more):
    billing = m.BillingCreate(consistent_level="crash_consistent", object_type="disk", protect_type="backup", size=50)
    vault = m.VaultCreate(name=name, resources=[], billing=billing, **more)
    return client.create_vault(m.CreateVaultRequest(body=m.VaultCreateReq(vault=vault))).vault.id


def apply_policy(client, vault_id):
    pattern = ["FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00"]
    policy = m.PolicyCreate(
        name="nightly",
        operation_type="backup",
        operation_definition=m.PolicyoODCreate(max_backups=7),
        trigger=m.PolicyTriggerReq(properties=m.PolicyTriggerPropertiesReq(pattern=pattern)),
    )
    made = client.create_policy(m.CreatePolicyRequest(body=m.PolicyCreateReq(policy=policy))).policy
    body = m.VaultAssociate(policy_id=made.id)
    client.associate_vault_policy(m.AssociateVaultPolicyRequest(vault_id=vault_id, body=body))


def back_up(client, vault_id, volume_id):
    body = m.VaultAddResourceReq(resources=[m.ResourceCreate(id=volume_id, type=DISK)])
    client.add_vault_resource(m.AddVaultResourceRequest(vault_id=vault_id, body=body))
    body = m.VaultBackupReq(checkpoint=m.VaultBackup(vault_id=vault_id, parameters=m.CheckpointParam(name="old")))
    made = client.create_checkpoint(m.CreateCheckpointRequest(body=body)).checkpoint

    def is_available():
        shown = client.show_checkpoint(m.ShowCheckpointRequest(checkpoint_id=made.id)).checkpoint
        check(shown.status != "error", "the checkpoint does not fail")
        return True if shown.status == "available" else None

    wait_for("the checkpoint is available", is_available)
    return one(client.list_backups(m.ListBackupsRequest(checkpoint_id=made.id)).backups, "backups").id


def walk_vaults(custodian, client, vaults):
    say("vaults")
    guarded, tagged, bare = vaults
    found = custodian.run("vaults-without-policy", "cbr-vault", [{"type": "unassociated"}])
    equal(found, sorted([tagged, bare]), "the vaults without a policy")
    unlocked = {"type": "value", "key": "locked", "value": False}
    found = custodian.run("vaults-without-lock", "cbr-vault", [unlocked])
    equal(found, sorted([tagged, bare]), "the vaults without a lock")

    untagged = [{"tags": "empty"}, {"type": "value", "key": "name", "value": "bare"}]
    tag = {"type": "add_tags", "keys": ["owner"], "values": ["nobody"]}
    equal(custodian.run("tag-what-has-no-owner", "cbr-vault", untagged, [tag]), [bare], "the vaults without tags")
    tags = client.show_vault(m.ShowVaultRequest(vault_id=bare)).vault.tags
    equal([(tag.key, tag.value) for tag in tags], [("owner", "nobody")], "the tags that the action added")
    equal(custodian.run("is-done", "cbr-vault", untagged), [], "the vaults without tags, afterwards")
    check(client.show_vault(m.ShowVaultRequest(vault_id=guarded)).vault.locked, "the lock is still there")


def walk_backups(custodian, client, backup_id):
    say("backups")

    def older_than(days):
        return [{"type": "value", "key": "created_at", "value_type": "age", "op": "gt", "value": days}]

    equal(custodian.run("a-day-old", "cbr-backup", older_than(1)), [], "backups older than a day")
    found = custodian.run("delete-old-backups", "cbr-backup", older_than(0), [{"type": "delete"}])
    equal(found, [backup_id], "the backups that are too old")

    def is_gone():
        return True if not client.list_backups(m.ListBackupsRequest()).backups else None

    wait_for("the old backup is gone", is_gone)


def walk():
    args = arguments(__doc__, "--volume")
    account = args.credentials
    point_at(account)
    client = connect(account)
    vaults = [
        create_vault(client, "guarded", locked=True),
        create_vault(client, "tagged", tags=[m.Tag(key="owner", value="red")]),
        create_vault(client, "bare"),
    ]
    apply_policy(client, vaults[0])
    backup_id = back_up(client, vaults[1], args.volume)
    custodian = Custodian(account["region"])
    walk_backups(custodian, client, backup_id)
    walk_vaults(custodian, client, vaults)


if __name__ == "__main__":
    main(walk)

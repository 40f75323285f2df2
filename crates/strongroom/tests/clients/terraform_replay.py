"""What Terraform's provider sends for a whole configuration, and what it insists on in the answers.

Terraform itself cannot be installed here. The requests, their order and the rules of waiting are those that the
providers `huaweicloud` and `opentelekomcloud` were seen to follow; delays between polls are left out. A server with two
disks and two volumes of their own are in the inventory.
"""

from common import arguments, check, equal, main, one, say
from rest import new_tenant
from terraform_client import Client, GopherClient
from terraform_resources import (
    all_pages,
    delete_checkpoint,
    delete_vault,
    make_checkpoint,
    make_vault,
    read_policy,
    read_vault,
    restore,
    wait_for_resources,
)

DISK, SERVER = "OS::Cinder::Volume", "OS::Nova::Server"
LONG_TERM = {
    "day_backups": 10,
    "full_backup_interval": -1,
    "max_backups": 5,
    "month_backups": 1,
    "timezone": "UTC+08:00",
    "week_backups": 10,
}
EVERY_FIFTH_DAY = ["FREQ=DAILY;INTERVAL=5;BYHOUR=21;BYMINUTE=00", "FREQ=DAILY;INTERVAL=5;BYHOUR=23;BYMINUTE=00"]
ON_TWO_DAYS = [
    "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=06;BYMINUTE=00",
    "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=18;BYMINUTE=00",
]
#: The provider's own acceptance test compares this text to the letter.
UNLOCKING = "vault not support to modify locked attribute from true to false."


def make_policy(tf, name, definition, patterns):
    policy = {
        "enabled": True,
        "name": name,
        "operation_definition": definition,
        "operation_type": "backup",
        "trigger": {"properties": {"pattern": patterns}},
    }
    return tf.post("/policies", {"policy": policy})["policy"]["id"]


def tags(tf, vault_id, action, *pairs):
    body = {"action": action, "tags": [{"key": key, "value": value} for key, value in pairs]}
    tf.request("POST", f"/vault/{vault_id}/tags/action", body, expected=(200, 204))


class Configuration:
    """Two policies, a vault of disks, a vault of servers: the first apply, the changed one, and the plans between."""

    def __init__(self, tf, server_id, excluded, volume_ids):
        self.tf = tf
        self.server_id, self.excluded, self.volume_ids = server_id, excluded, volume_ids

    def apply(self):
        say("terraform apply")
        tf = self.tf
        self.quantity = make_policy(tf, "pol-q", LONG_TERM, EVERY_FIFTH_DAY)
        self.days = make_policy(tf, "pol-a", {"retention_duration_days": 20}, ON_TWO_DAYS)
        self.disks = make_vault(tf, "disk", 50, name="vault-disk")
        volume = {"id": self.volume_ids[0], "type": DISK}
        tf.post(f"/vaults/{self.disks}/addresources", {"resources": [volume]})
        more = {
            "backup_name_prefix": "test-prefix-",
            "bind_rules": {"tags": [{"key": "foo", "value": "bar"}]},
            "enterprise_project_id": "0",
        }
        self.servers = make_vault(tf, "server", 200, name="vault-a", **more)
        tf.post(f"/vaults/{self.servers}/associatepolicy", {"policy_id": self.days})
        tags(tf, self.servers, "create", ("key", "value"), ("foo", "bar"))
        server = {"extra_info": {"exclude_volumes": [self.excluded]}, "id": self.server_id, "type": SERVER}
        tf.post(f"/vaults/{self.servers}/addresources", {"resources": [server]})
        wait_for_resources(tf, self.disks, {self.volume_ids[0]: []})
        wait_for_resources(tf, self.servers, {self.server_id: [self.excluded]})

    def plan(self):
        """Terraform would show no changes."""
        say("terraform plan")
        tf = self.tf
        quantity = {"name": "pol-q", "enabled": True, "rules": LONG_TERM, "interval": "5", "days": None}
        equal(read_policy(tf, self.quantity), {**quantity, "times": ["21:00", "23:00"]}, "the policy by quantity")
        days = {"name": "pol-a", "enabled": True, "rules": {"retention_duration_days": 20}, "interval": None}
        equal(read_policy(tf, self.days), {**days, "days": "MO,TU", "times": ["06:00", "18:00"]}, "the policy by days")
        disks = {"name": "vault-disk", "size": 50, "auto_expand": False, "prefix": None, "rules": [], "tags": {}}
        resources = {self.volume_ids[0]: []}
        equal(read_vault(tf, self.disks), {**disks, "resources": resources, "policies": []}, "the vault of disks")
        servers = {"name": "vault-a", "size": 200, "auto_expand": False, "prefix": "test-prefix-"}
        servers |= {"rules": [("foo", "bar")], "tags": {"key": "value", "foo": "bar"}}
        servers |= {"resources": {self.server_id: [self.excluded]}, "policies": [self.days]}
        equal(read_vault(tf, self.servers), servers, "the vault of servers")
        equal(self.names_of_vaults("vault-a"), ["vault-a"], "vaults in the data source")

    def names_of_vaults(self, name):
        return [v["name"] for v in all_pages(self.tf, f"/vaults?cloud_type=public&limit=100&name={name}", "vaults")]

    def change(self):
        say("terraform apply, changed")
        tf = self.tf
        tf.put(f"/policies/{self.days}", {"policy": {"name": "pol-b"}})
        tf.post(f"/vaults/{self.disks}/removeresources", {"resource_ids": [self.volume_ids[0]]})
        tf.get(f"/vaults/{self.disks}")
        rules = {**LONG_TERM, "max_backups": 33}
        tf.put(f"/policies/{self.quantity}", {"policy": {"enabled": False, "operation_definition": rules}})
        change = {"auto_bind": False, "auto_expand": True, "billing": {"size": 300}, "name": "vault-b"}
        tf.put(f"/vaults/{self.servers}", {"vault": change})
        tf.post(f"/vaults/{self.servers}/dissociatepolicy", {"policy_id": self.days})
        tf.post(f"/vaults/{self.servers}/associatepolicy", {"policy_id": self.quantity})
        tags(tf, self.servers, "delete", ("foo", "bar"), ("key", "value"))
        tags(tf, self.servers, "create", ("foo", "bar1"))
        volume = {"id": self.volume_ids[1], "type": DISK}
        tf.post(f"/vaults/{self.disks}/addresources", {"resources": [volume]})
        wait_for_resources(tf, self.disks, {self.volume_ids[1]: []})

    def plan_of_the_change(self):
        say("terraform plan, changed")
        tf = self.tf
        policy = read_policy(tf, self.quantity)
        equal((policy["enabled"], policy["rules"]["max_backups"]), (False, 33), "the changed policy")
        equal(policy["times"], ["21:00", "23:00"], "what was not sent stays")
        equal(read_policy(tf, self.days)["name"], "pol-b", "the policy's new name")
        vault = read_vault(tf, self.servers)
        equal((vault["name"], vault["size"], vault["auto_expand"]), ("vault-b", 300, True), "the changed vault")
        equal((vault["tags"], vault["policies"]), ({"foo": "bar1"}, [self.quantity]), "its tags and policies")
        equal((vault["prefix"], vault["rules"]), ("test-prefix-", [("foo", "bar")]), "what was not sent stays")
        equal(read_vault(tf, self.disks)["resources"], {self.volume_ids[1]: []}, "the vault's resources")

    def switch_retention(self):
        say("from days to a quantity, as the acceptance test does")
        tf = self.tf
        tf.put(f"/policies/{self.days}", {"policy": {"operation_definition": {"max_backups": 5}}})
        equal(read_policy(tf, self.days)["rules"], {"max_backups": 5}, "the rules, without the old key")

    def destroy(self):
        say("terraform destroy")
        tf = self.tf
        for vault_id in (self.disks, self.servers):
            delete_vault(tf, vault_id)
        for policy_id in (self.quantity, self.days):
            tf.request("DELETE", f"/policies/{policy_id}", expected=(202, 204))
            tf.request("GET", f"/policies/{policy_id}", expected=(404,))


def walk_exclusions(tf, configuration):
    say("an associated server once more: its exclusions are replaced")
    server = {"extra_info": {"exclude_volumes": []}, "id": configuration.server_id, "type": SERVER}
    tf.post(f"/vaults/{configuration.servers}/addresources", {"resources": [server]})
    wait_for_resources(tf, configuration.servers, {configuration.server_id: []})


def walk_checkpoint(tf, receiver, configuration):
    say("checkpoint, restore and share")
    checkpoint_id = make_checkpoint(tf, configuration.servers, configuration.server_id, SERVER)
    backups = all_pages(tf, f"/backups?checkpoint_id={checkpoint_id}", "backups")
    backup = one(backups, "backups of the checkpoint")
    check(isinstance(backup["resource_size"], int), "a backup's resource_size is a number")
    children = tf.get(f"/backups/{backup['id']}")["backup"]["children"]
    restore(tf, backup["id"], configuration.server_id, {child["id"]: child["resource_id"] for child in children})
    walk_share(tf, receiver, backup["id"])
    tf.put(f"/backups/{backup['id']}", {"backup": {"name": "renamed"}})
    delete_checkpoint(tf, checkpoint_id)


def walk_share(tf, receiver, backup_id):
    say("backup_share and backup_share_accepter")
    members = f"/backups/{backup_id}/members"
    tf.post(members, {"members": [receiver.project_id]})
    member = one(all_pages(tf, members, "members"), "members")
    texts = [member[key] for key in ("status", "created_at", "updated_at", "image_id", "vault_id", "id")]
    check(all(text is None or isinstance(text, str) for text in texts), "a member's fields are texts")
    equal(member["dest_project_id"], receiver.project_id, "the receiving project")
    vault_id = make_vault(receiver, "server", 50, name="received")
    answer = f"{members}/{receiver.project_id}"
    receiver.put(answer, {"status": "accepted", "vault_id": vault_id})
    shown = receiver.get(f"/backups/{backup_id}")["backup"]
    equal((shown["vault_id"], shown["project_id"]), (vault_id, tf.project_id), "vault and project of what was received")
    receiver.put(answer, {"status": "rejected"})
    tf.request("DELETE", answer, expected=(202, 204))
    equal(all_pages(tf, members, "members"), [], "members after the share was deleted")
    delete_vault(receiver, vault_id)


def walk_lock(tf):
    say("a lock stays")
    vault_id = make_vault(tf, "disk", 10, name="vault-locked")
    change = {"auto_bind": False, "auto_expand": False, "locked": True, "billing": {"size": 10}}
    tf.put(f"/vaults/{vault_id}", {"vault": change})
    refusal = tf.request("PUT", f"/vaults/{vault_id}", {"vault": {**change, "locked": False}}, expected=(400,))
    check(UNLOCKING in refusal["error_msg"], f"the refusal says {UNLOCKING!r}: {refusal}")
    delete_vault(tf, vault_id)


def walk_data_sources(tf, configuration):
    say("data sources")
    equal(sorted(tf.get("/vaults/summary")), ["size", "used_size"], "the keys of vaults_summary")
    check(isinstance(tf.get("/cbr-features"), dict), "features is a map")
    for region in tf.get("/replication-capabilities")["regions"]:
        check(isinstance(region["replication_destinations"], list), "replication_destinations is a list")
    for tag in tf.get("/vault/tags")["tags"]:
        check(isinstance(tag["values"], list), "the values of a tag are a list")
    found, offset = [], 0
    while True:  # this one pages in the body, with texts
        body = {"action": "filter", "tags": [{"key": "foo", "values": []}], "limit": "1", "offset": str(offset)}
        page = tf.post("/vault/resource_instances/action", body)["resources"]
        if not page:
            break
        found += [resource["resource_id"] for resource in page]
        offset += len(page)
    equal(found, [configuration.servers], "vaults_by_tags")
    for path, key in (
        ("/operation-logs?limit=1000", "operation_logs"),
        ("/storage_usage", "storage_usage"),
        ("/protectables/server/instances?limit=50", "instances"),
        ("/organization-policies?operation_type=backup", "policies"),
        ("/agents", "agents"),
    ):
        say(f"  {key}: {len(all_pages(tf, path, key))}")


def walk_gopher(account):
    say("gophertelekomcloud: a policy")
    go = GopherClient(account)
    for path in (f"/v3/projects?name={account['region']}", "/v3/auth/domains?name=default", "/v3/auth/catalog"):
        go.request_at(path, "GET", expected=(200,))
    definition = {"day_backups": 1, "week_backups": 2, "year_backups": 3, "month_backups": 4, "max_backups": 10}
    definition["timezone"] = "UTC+03:00"
    policy_id = make_policy(go, "test-policy", definition, ["FREQ=WEEKLY;BYDAY=MO,SU;BYHOUR=14;BYMINUTE=00"])
    check(policy_id in [policy["id"] for policy in go.get("/policies")["policies"]], "the policy is in the list")
    go.put(f"/policies/{policy_id}", {"policy": {"enabled": False, "name": "name2"}})
    shown = go.get(f"/policies/{policy_id}")["policy"]
    equal((shown["name"], shown["enabled"]), ("name2", False), "the changed policy")
    equal(shown["operation_definition"]["year_backups"], 3, "what was not sent stays")
    go.request("DELETE", f"/policies/{policy_id}", expected=(202, 204))


def walk():
    args = arguments(__doc__, "--server", "--volume", "--second-volume")
    account = args.credentials
    tf = Client(account)
    tf.configure()
    shown = tf.get(f"/protectables/server/instances/{args.server}")["instance"]
    excluded = shown["children"][1]["id"]
    configuration = Configuration(tf, args.server, excluded, [args.volume, args.second_volume])
    configuration.apply()
    configuration.plan()
    configuration.change()
    configuration.plan_of_the_change()
    configuration.switch_retention()
    walk_exclusions(tf, configuration)
    walk_checkpoint(tf, Client(new_tenant(account, "receiver")), configuration)
    walk_data_sources(tf, configuration)
    walk_lock(tf)
    configuration.destroy()
    walk_gopher(account)


if __name__ == "__main__":
    main(walk)

"""How the provider `huaweicloud` makes, reads, waits for and deletes what it manages."""

import re

from common import check, equal, wait_for


def all_pages(tf, path, key):
    """The provider counts what it has and goes on until a page is empty, whatever `count` says."""
    rows = []
    mark = "&" if "?" in path else "?"
    while True:
        page = tf.get(f"{path}{mark}offset={len(rows)}")[key]
        if not page:
            return rows
        rows += page
        check(len(rows) <= 1000, f"{path} ends")


def read_policy(tf, policy_id):
    """The state that the provider makes of a policy: days and interval from the first pattern, times from all."""
    policy = tf.get(f"/policies/{policy_id}")["policy"]
    patterns = policy["trigger"]["properties"]["pattern"]
    days = re.search(r"BYDAY=([\w,]+);", patterns[0])
    interval = re.search(r"INTERVAL=(\d+);", patterns[0])
    times = [re.search(r"BYHOUR=(\d+);BYMINUTE=(\d+)", pattern) for pattern in patterns]
    rules = {key: value for key, value in policy["operation_definition"].items() if key != "created_by"}
    return {
        "name": policy["name"],
        "enabled": policy["enabled"],
        "rules": rules,
        "days": days and days[1],
        "interval": interval and interval[1],
        "times": [f"{time[1]}:{time[2]}" for time in times],
    }


def make_vault(tf, object_type, size, **more):
    """A new vault is empty always: resources come with a call of their own."""
    billing = {"consistent_level": "crash_consistent", "is_multi_az": False, "object_type": object_type}
    billing |= {"protect_type": "backup", "size": size}
    vault = {"auto_bind": False, "auto_expand": False, "billing": billing, "locked": False, "resources": [], **more}
    return tf.post("/vaults", {"vault": vault})["vault"]["id"]


def read_vault(tf, vault_id):
    """The state that the provider makes of a vault, after it asked for the vault's policies."""
    vault = tf.get(f"/vaults/{vault_id}")["vault"]
    billing = vault["billing"]
    for key in ("allocated", "used", "size"):
        check(isinstance(billing[key], int), f"billing.{key} is a number: a text ends the provider")
    equal((billing["cloud_type"], vault["enterprise_project_id"]), ("public", "0"), "what the provider assumes")
    policies = tf.get(f"/policies?vault_id={vault_id}")["policies"]
    for policy in policies:
        check(vault_id in [found["vault_id"] for found in policy["associated_vaults"]], "the policy names the vault")
    return {
        "name": vault["name"],
        "size": billing["size"],
        "auto_expand": vault["auto_expand"],
        "prefix": vault.get("backup_name_prefix"),
        "rules": [(tag["key"], tag["value"]) for tag in vault["bind_rules"].get("tags", [])],
        "tags": {tag["key"]: tag["value"] for tag in vault["tags"]},
        "resources": resources_of(vault),
        "policies": [policy["id"] for policy in policies],
    }


def resources_of(vault):
    """Id → excluded volumes."""
    found = {}
    for resource in vault["resources"]:
        check(isinstance(resource["size"], int), "a vault resource's size is a number")
        check(isinstance(resource["extra_info"], dict), "a vault resource's extra_info is an object")
        found[resource["id"]] = resource["extra_info"].get("exclude_volumes", [])
    return found


def wait_for_resources(tf, vault_id, wanted):
    def are_there():
        return True if resources_of(tf.get(f"/vaults/{vault_id}")["vault"]) == wanted else None

    wait_for("the vault has these resources, with these exclusions", are_there)


def delete_vault(tf, vault_id):
    """Waits while the vault is available or being deleted; any other state is a failure, and 404 is the end."""
    tf.request("DELETE", f"/vaults/{vault_id}", expected=(200, 202, 204))

    def is_gone():
        answer = tf.request("GET", f"/vaults/{vault_id}", expected=(200, 404))
        if "vault" not in answer:
            return True
        status = answer["vault"]["billing"]["status"]
        check(status in ("available", "deleting"), f"a vault that is being deleted is not {status}")
        return None

    wait_for("the vault is gone", is_gone)


def make_checkpoint(tf, vault_id, resource_id, resource_type):
    """A full backup, waited for twice: until the checkpoint is available, then until each resource is."""
    details = [{"id": resource_id, "type": resource_type, "extra_info": {}}]
    parameters = {"name": "tf", "description": "d", "incremental": False, "resource_details": details}
    body = {"checkpoint": {"vault_id": vault_id, "parameters": parameters}}
    checkpoint_id = tf.post("/checkpoints", body)["checkpoint"]["id"]

    def show():
        shown = tf.get(f"/checkpoints/{checkpoint_id}")["checkpoint"]
        check(shown["status"] != "error", "the checkpoint does not fail")
        return shown

    wait_for("the checkpoint is available", lambda: True if show()["status"] == "available" else None)

    def all_are_available():
        resources = show()["vault"]["resources"]
        check(resources, "the checkpoint shows its vault's resources")
        for resource in resources:
            texts = (resource["resource_size"], resource["backup_size"], resource["backup_count"])
            check(all(isinstance(text, str) for text in texts), "the numbers of a checkpoint's resource are texts")
        return True if all(resource["protect_status"] == "available" for resource in resources) else None

    wait_for("each resource is available", all_are_available)
    return checkpoint_id


def delete_checkpoint(tf, checkpoint_id):
    """There is no such call: its backups are deleted, and it goes with the last of them."""
    for backup in all_pages(tf, f"/backups?checkpoint_id={checkpoint_id}", "backups"):
        tf.request("DELETE", f"/backups/{backup['id']}", expected=(200, 202, 204, 404))

    def is_gone():
        answer = tf.request("GET", f"/checkpoints/{checkpoint_id}", expected=(200, 404))
        return None if "checkpoint" in answer else True

    wait_for("the checkpoint is gone", is_gone)


def restore(tf, backup_id, server_id, mappings):
    """Needs `job_id`, which no document knows, and polls that task."""
    pairs = [{"backup_id": child, "volume_id": volume} for child, volume in mappings.items()]
    body = {"restore": {"power_on": False, "server_id": server_id, "mappings": pairs}}
    answer = tf.request("POST", f"/backups/{backup_id}/restore", body, expected=(200, 201, 202))

    def is_success():
        status = tf.get(f"/operation-logs/{answer['job_id']}")["operation_log"]["status"]
        check(status not in ("failed", "timeout"), f"the restore does not end as {status}")
        return True if status == "success" else None

    wait_for("the restore is success", is_success)

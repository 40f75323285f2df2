"""Live answers, fetched with a token and no SDK, have the keys and JSON types of golden.json.

There: kind → key → what its value may be. `a|b` is either; `{kind}` an object of a kind, `[kind]` a list of them; a key
ending in `?` may be absent. Keys that golden.json does not know are refused, so that it stays complete.
"""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

from common import arguments, check, equal, main, say, wait_for

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))

PATTERNS = {
    "string": "",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "hex32": r"[0-9a-f]{32}$",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$",
    "digits": r"\d+$",
}
TYPES = {"object": dict, "list": list, "boolean": bool}


def fits(value, wanted, place):
    """Whether `value` is what the single word `wanted` asks for; objects of a kind are checked in depth."""
    if wanted.startswith("{"):
        if isinstance(value, dict):
            check_kind(value, wanted.strip("{}"), place)
        return isinstance(value, dict)
    if wanted.startswith("["):
        if isinstance(value, list):
            for number, item in enumerate(value):
                check_kind(item, wanted.strip("[]"), f"{place}[{number}]")
        return isinstance(value, list)
    if wanted == "null":
        return value is None
    if wanted == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted in TYPES:
        return isinstance(value, TYPES[wanted])
    return isinstance(value, str) and re.match(PATTERNS[wanted], value) is not None


def check_kind(value, kind, place):
    check(isinstance(value, dict), f"{place} is an object")
    known = {key.rstrip("?"): (key, wanted) for key, wanted in GOLDEN[kind].items()}
    for name, (key, wanted) in known.items():
        if name not in value:
            check(key.endswith("?"), f"{place} has {name}")
            continue
        good = any(fits(value[name], word, f"{place}.{name}") for word in wanted.split("|"))
        check(good, f"{place}.{name} is {wanted}, not {json.dumps(value[name])[:200]}")
    equal(sorted(set(value) - set(known)), [], f"keys of {place} that nobody expects")


class Server:
    """Plain HTTP with a token."""

    def __init__(self, account):
        self.root = account["endpoint"]
        self.base = f"{self.root}/v3/{account['project_id']}"
        user = {
            "name": account["user_name"],
            "password": account["password"],
            "domain": {"name": account["domain_name"]},
        }
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": account["project_id"]}},
        }
        request = self.request("POST", self.root + "/v3/auth/tokens", {"auth": auth})
        with urllib.request.urlopen(request, timeout=30) as answer:
            equal(answer.status, 201, "the status of a new token")
            self.token = answer.headers["X-Subject-Token"]

    def request(self, method, url, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "token"):
            headers["X-Auth-Token"] = self.token
        return urllib.request.Request(url, data=data, headers=headers, method=method)

    def call(self, method, path, kind, body=None, status=200):
        """The answer, after its status, its headers and its shape were checked. No kind: no body."""
        try:
            with urllib.request.urlopen(self.request(method, self.base + path, body), timeout=30) as answer:
                got, headers, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            got, headers, text = error.code, error.headers, error.read()
        equal(got, status, f"the status of {method} {path} ({text[:300]!r})")
        check(re.match(PATTERNS["hex32"], headers["X-Request-Id"] or ""), f"{method} {path} has an X-Request-Id")
        if kind is None:
            equal(text, b"", f"the body of {method} {path}")
            return None
        check(headers["Content-Type"].startswith("application/json"), f"{method} {path} answers JSON")
        value = json.loads(text)
        check_kind(value, kind, kind)
        say(f"  {method} {path.split('?')[0]}: {kind}")
        return value


def new_vault(name, object_type):
    billing = {
        "cloud_type": "public",
        "consistent_level": "crash_consistent",
        "object_type": object_type,
        "protect_type": "backup",
        "size": 200,
    }
    return {"vault": {"billing": billing, "name": name, "resources": []}}


def walk_backup(server, kind, resource):
    """One vault of a kind through its whole life; every answer on the way is checked."""
    say(f"{kind}: every answer from create to delete")
    vault = server.call("POST", "/vaults", "vault_answer", new_vault(f"shapes-{kind}", kind))["vault"]
    place = f"/vaults/{vault['id']}"
    server.call("POST", place + "/addresources", "added", {"resources": [resource]})
    server.call("GET", place, "vault_answer")
    server.call("GET", f"/protectables/{kind}/instances", "protectable_list")
    server.call("GET", f"/protectables/{kind}/instances/{resource['id']}", "protectable_answer")
    parameters = {
        "auto_trigger": False,
        "description": "backupauto",
        "incremental": True,
        "name": "backup_auto",
        "resources": [resource["id"]],
    }
    body = {"checkpoint": {"parameters": parameters, "vault_id": vault["id"]}}
    checkpoint = server.call("POST", "/checkpoints", "checkpoint_answer", body)["checkpoint"]

    def is_available():
        shown = server.call("GET", f"/checkpoints/{checkpoint['id']}", "checkpoint_answer")["checkpoint"]
        check(shown["status"] != "error", "the checkpoint does not fail")
        return True if shown["status"] == "available" else None

    wait_for("the checkpoint is available", is_available)
    listed = server.call("GET", f"/backups?checkpoint_id={checkpoint['id']}&show_replication=true", "backup_list")
    backup = server.call("GET", f"/backups/{listed['backups'][0]['id']}", "backup_answer")["backup"]
    server.call("GET", "/vaults?limit=100", "vault_list")
    restore(server, kind, resource, backup)
    server.call("DELETE", f"/backups/{backup['id']}", None, status=204)
    gone = f"/checkpoints/{checkpoint['id']}"
    wait_for("the backup is gone", lambda: is_gone(server, "/backups?checkpoint_id=" + checkpoint["id"]))
    server.call("GET", gone, "error", status=404)
    server.call("GET", "/operation-logs", "operation_log_list")
    server.call("POST", place + "/removeresources", "removed", {"resource_ids": [resource["id"]]})
    server.call("DELETE", place, None, status=204)
    wait_for("the vault is gone", lambda: is_gone(server, f"/vaults?id={vault['id']}"))
    server.call("GET", place, "error", status=404)


def walk_policy(server):
    say("policy: every answer from create to delete")
    pattern = "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=06;BYMINUTE=00"
    definition = {"max_backups": 5, "day_backups": 0, "timezone": "UTC+08:00", "full_backup_interval": -1}
    body = {
        "name": "shapes",
        "operation_type": "backup",
        "operation_definition": definition,
        "trigger": {"properties": {"pattern": [pattern], "start_window_minutes": 60}},
    }
    policy = server.call("POST", "/policies", "policy_answer", {"policy": body})["policy"]
    equal(policy["trigger"]["properties"]["pattern"], [pattern], "the echoed pattern")
    place = f"/policies/{policy['id']}"
    vault = server.call("POST", "/vaults", "vault_answer", new_vault("shapes-policy", "disk"))["vault"]
    bound = f"/vaults/{vault['id']}"
    server.call("POST", bound + "/associatepolicy", "policy_applied", {"policy_id": policy["id"]})
    shown = server.call("GET", place, "policy_answer")["policy"]
    equal([row["vault_id"] for row in shown["associated_vaults"]], [vault["id"]], "the policy's vaults")
    server.call("GET", f"/policies?vault_id={vault['id']}", "policy_list")
    change = {"policy": {"operation_definition": {"retention_duration_days": 20}}}
    changed = server.call("PUT", place, "policy_answer", change)["policy"]["operation_definition"]
    check("max_backups" not in changed, "a new definition replaces the old one whole")
    server.call("POST", bound + "/dissociatepolicy", "policy_taken_off", {"policy_id": policy["id"]})
    server.call("DELETE", place, None, status=204)
    server.call("GET", place, "error", status=404)
    server.call("DELETE", bound, None, status=204)
    wait_for("the vault is gone", lambda: is_gone(server, f"/vaults?id={vault['id']}"))


def restore(server, kind, resource, backup):
    target = {"volume_id": resource["id"]}
    if kind == "server":
        pairs = [{"backup_id": child["id"], "volume_id": child["resource_id"]} for child in backup["children"]]
        target = {"server_id": resource["id"], "power_on": False, "mappings": pairs}
    path = f"/backups/{backup['id']}/restore"
    job_id = server.call("POST", path, "restore_answer", {"restore": target}, status=202)["job_id"]

    def is_success():
        task = server.call("GET", f"/operation-logs/{job_id}", "operation_log_answer")["operation_log"]
        check(task["status"] not in ("failed", "timeout", "skipped"), "the restore succeeds")
        return True if task["status"] == "success" else None

    wait_for("the restore is success", is_success)


def is_gone(server, path):
    """True when the list at `path` is empty."""
    kind = "vault_list" if path.startswith("/vaults") else "backup_list"
    return True if server.call("GET", path, kind)["count"] == 0 else None


def walk():
    args = arguments(__doc__, "--server", "--volume")
    server = Server(args.credentials)
    walk_backup(server, "disk", {"id": args.volume, "type": "OS::Cinder::Volume"})
    walk_backup(server, "server", {"id": args.server, "type": "OS::Nova::Server", "name": "server-4690-0002"})
    walk_policy(server)
    server.call("POST", "/vaults", "error", {"vault": {}}, status=400)
    server.call("GET", "/nothing", "error", status=404)


if __name__ == "__main__":
    main(walk)

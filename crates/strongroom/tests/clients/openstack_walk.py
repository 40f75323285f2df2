"""`openstack cbr …` with a password, and with a token, against the server.

A server with at least one disk and a volume of its own are in the inventory.
"""

import contextlib
import io
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from openstackclient import shell

from common import Failed, arguments, check, equal, main, say, wait_for

#: One command takes a second; a hanging one must not hang the tests.
COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Openstack:
    """The command line client with one entry of a clouds.yaml."""

    def __init__(self, folder, auth_type, auth, region):
        cloud = {"auth_type": auth_type, "auth": auth, "region_name": region, "identity_api_version": "3"}
        config = Path(folder) / f"{auth_type}.yaml"
        config.write_text(json.dumps({"clouds": {"strongroom": cloud}}), encoding="utf-8")  # JSON is YAML
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self.environment = {**environment, "OS_CLIENT_CONFIG_FILE": str(config), "OS_CLOUD": "strongroom"}

    def attempt(self, *words):
        """One command, as the program `openstack` runs it, in a fork: loading the client takes longer than any command."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                self._become(words, out, err)
            _, status = os.waitpid(child, 0)
            out.seek(0)
            err.seek(0)
            return Done(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())

    def _become(self, words, out, err):
        """Ends the process that it is called in."""
        signal.alarm(COMMAND_SECONDS)
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(err.fileno(), sys.stderr.fileno())
        code = 1
        try:
            os.environ.clear()
            os.environ.update(self.environment)
            code = shell.main(list(words))
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def load(self):
        """Loads what the commands need, by running one here."""
        os.environ.update(self.environment)
        with contextlib.redirect_stdout(io.StringIO()):
            equal(shell.main(["cbr", "vault", "list"]), 0, "the end of the first command")

    def run(self, *words):
        """What the command printed; it must succeed."""
        say("$ openstack " + " ".join(words))
        done = self.attempt(*words)
        if done.returncode != 0:
            raise Failed(f"openstack {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def cbr(self, *words):
        """The command's JSON with lower-case keys."""

        def lower(value):
            if isinstance(value, list):
                return [lower(item) for item in value]
            return {key.lower(): item for key, item in value.items()}

        return lower(json.loads(self.run("cbr", *words, "-f", "json")))


def connect(folder, account):
    password = {
        "auth_url": account["endpoint"] + "/v3",
        "username": account["user_name"],
        "password": account["password"],
        "user_domain_name": account["domain_name"],
        "project_name": account["project_name"],
        "project_domain_name": account["domain_name"],
    }
    openstack = Openstack(folder, "password", password, account["region"])
    openstack.load()
    return openstack


def walk_token(folder, account, openstack):
    say("a token instead of the password")
    token = json.loads(openstack.run("token", "issue", "-f", "json"))["id"]
    auth = {"auth_url": account["endpoint"] + "/v3", "token": token, "project_id": account["project_id"]}
    with_token = Openstack(folder, "v3token", auth, account["region"])
    equal(with_token.cbr("vault", "list"), openstack.cbr("vault", "list"), "the vaults that a token shows")


def walk_vaults(openstack):
    say("vaults: create, find by name, update, page, delete")
    options = ("--consistent-level", "crash_consistent", "--object-type", "disk", "--size", "50")
    made = []
    for name in ("osc-a", "osc-b", "osc-c"):
        made.append(openstack.cbr("vault", "create", name, *options, "--description", "d", "--tag", "k=v"))
    equal([vault["name"] for vault in made], ["osc-a", "osc-b", "osc-c"], "the names of the vaults")
    equal((made[0]["status"], made[0]["size"]), ("available", 50), "the new vault")
    paged = [vault["id"] for vault in openstack.cbr("vault", "list", "--limit", "1", "--object-type", "disk")]
    equal(sorted(paged), sorted(vault["id"] for vault in made), "vaults on pages of one")
    filtered = openstack.cbr("vault", "list", "--name", "osc-b", "--object-type", "disk", "--status", "available")
    equal([v["id"] for v in filtered], [made[1]["id"]], "vaults of that name")
    shown = openstack.cbr("vault", "show", "osc-a")
    equal((shown["id"], shown["description"]), (made[0]["id"], "d"), "the vault found by its name")
    updated = openstack.cbr("vault", "update", "osc-a", "--name", "osc-x", "--size", "60")
    equal((updated["name"], updated["size"]), ("osc-x", 60), "the updated vault")
    for vault in made:
        delete_vault(openstack, vault["id"])
    check(openstack.attempt("cbr", "vault", "show", "osc-b").returncode != 0, "a deleted vault is not found")


def delete_vault(openstack, vault_id):
    openstack.run("cbr", "vault", "delete", vault_id)
    wait_for("the vault is gone", lambda: is_gone(openstack, "vault", vault_id))


def is_gone(openstack, kind, wanted):
    """None while the command can show it, True when it cannot any more."""
    return True if openstack.attempt("cbr", kind, "show", wanted).returncode else None


def walk_policies(openstack, server_id):
    say("policies: create, list, bind to a vault and unbind")
    pattern = "FREQ=WEEKLY;BYDAY=MO;BYHOUR=14;BYMINUTE=00"
    definition = ("--operation-type", "backup", "--pattern", pattern, "--max-backups", "5")
    policy = openstack.cbr("policy", "create", "osc-policy", *definition)
    equal(policy["name"], "osc-policy", "the policy's name")
    equal([(p["id"], p["name"]) for p in openstack.cbr("policy", "list")], [(policy["id"], "osc-policy")], "policies")

    options = ("--consistent-level", "crash_consistent", "--object-type", "server", "--size", "50")
    rules = ("--bind-rule", "a=b", "--auto-bind", "true", "--resource", f"id={server_id},type=OS::Nova::Server")
    vault = openstack.cbr("vault", "create", "osc-bound", *options, *rules)
    openstack.run("cbr", "vault", "bind", "osc-bound", policy["id"])
    unknown = openstack.attempt("cbr", "vault", "bind", "osc-bound", "osc-policy")
    check(unknown.returncode != 0, "a policy's name is no id: the command sends it as one")
    openstack.run("cbr", "vault", "unbind", "osc-bound", policy["id"])
    delete_vault(openstack, vault["id"])
    for words in (("show",), ("update", "--name", "x"), ("delete",)):
        is_broken(openstack, "policy", words[0], policy["id"], *words[1:])


def is_broken(openstack, *words):
    """Commands that end before any request. The day they work, they belong into the walk."""
    say("$ openstack cbr " + " ".join(words))
    done = openstack.attempt("cbr", *words)
    check(done.returncode != 0, f"cbr {' '.join(words)} fails, as it does in this version of the client")
    check("unexpected keyword argument 'policy_id'" in done.stderr, f"it fails in the client: {done.stderr}")


def walk_backup(openstack, kind, resource_id, resource_type, restore_option):
    say(f"{kind}: associate, checkpoint, restore, delete")
    options = ("--consistent-level", "crash_consistent", "--object-type", kind, "--size", "100")
    vault = openstack.cbr("vault", "create", f"osc-{kind}", *options)
    resource = f"id={resource_id},type={resource_type}"
    added = openstack.cbr("vault", "associate", vault["name"], "--resource", resource)
    equal(added["resource_1"], resource_id, "the associated resource")

    made = openstack.cbr(
        "checkpoint", "create", "--vault-id", vault["id"], "--backup-name", "osc", "--resources", resource_id
    )
    equal((made["status"], made["vault_id"]), ("protecting", vault["id"]), "the new checkpoint")

    def is_available():
        shown = openstack.cbr("checkpoint", "show", made["id"])
        check(shown["status"] != "error", "the checkpoint does not fail")
        return shown if shown["status"] == "available" else None

    wait_for("the checkpoint is available", is_available)
    (backup,) = openstack.cbr("backup", "list", "--checkpoint-id", made["id"])
    shown = openstack.cbr("backup", "show", backup["id"])
    equal((shown["name"], shown["status"], shown["resource_id"]), ("osc", "available", resource_id), "the backup")

    restore = ["cbr", "backup", "restore", backup["id"], restore_option, resource_id]
    for child_id in (value for key, value in shown.items() if key.startswith("child_backup_")):
        child = openstack.cbr("backup", "show", child_id)
        restore += ["--mappings", f"backup_id={child['id']} volume_id={child['resource_id']}"]
    openstack.run(*restore)
    wait_for("the restore has ended", lambda: restored(openstack, made["id"]))

    openstack.run("cbr", "backup", "delete", backup["id"])
    wait_for("the checkpoint goes with its backup", lambda: is_gone(openstack, "checkpoint", made["id"]))
    openstack.run("cbr", "vault", "dissociate", vault["name"], "--resource", resource_id)
    delete_vault(openstack, vault["id"])


def restored(openstack, checkpoint_id):
    """The ended restore of the checkpoint's backup; the command shows no status, but the end and the error."""
    for task in openstack.cbr("task", "list"):
        if (task["operation_type"], task["checkpoint_id"]) == ("restore", checkpoint_id):
            shown = openstack.cbr("task", "show", task["id"])
            check(not shown["error_code"], f"the restore succeeds, it says {shown['error_code']}")
            return shown if shown["ended_at"] else None
    raise Failed("the restore's task is in the list")


def walk():
    args = arguments(__doc__, "--server", "--volume")
    with tempfile.TemporaryDirectory() as folder:
        openstack = connect(folder, args.credentials)
        walk_token(folder, args.credentials, openstack)
        walk_vaults(openstack)
        walk_policies(openstack, args.server)
        walk_backup(openstack, "disk", args.volume, "OS::Cinder::Volume", "--volume-id")
        walk_backup(openstack, "server", args.server, "OS::Nova::Server", "--server-id")


if __name__ == "__main__":
    main(walk)

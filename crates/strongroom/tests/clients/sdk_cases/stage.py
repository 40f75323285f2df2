"""What the cases share: clients, what earlier cases have made, and a record of what was answered."""

import json
from types import SimpleNamespace

from huaweicloudsdkcbr.v1 import model as m
from huaweicloudsdkcbr.v1.cbr_client import CbrClient
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

from common import check, wait_for
from rest import new_tenant

SERVER = "OS::Nova::Server"
NOWHERE = "00000000-0000-4000-8000-000000000000"


def connect(account, **changes):
    account = {**account, **changes}
    keys = BasicCredentials(account["access_key"], account["secret_key"], account["project_id"])
    return CbrClient.new_builder().with_credentials(keys).with_endpoint(account["endpoint"]).build()


class Recorder:
    """The SDK's client; what succeeds is noted under the operation's name."""

    def __init__(self, client, succeeded):
        self._client = client
        self._succeeded = succeeded

    def __getattr__(self, name):
        operation = getattr(self._client, name)

        def call(request):
            answer = operation(request)
            self._succeeded[name] = answer.status_code
            return answer

        return call


class Stage:
    def __init__(self, args):
        account = args.credentials
        tenant = new_tenant(account, "receiver")
        self.account, self.tenant = account, tenant
        self.server_id = args.server
        self.unit, self.unit_backup, self.unit_resource = args.unit, args.unit_backup, args.unit_resource
        #: The other installation, with which this one has a storage unit and copies in common.
        with open(args.peer, encoding="utf-8") as file:
            self.peer = json.load(file)
        self._succeeded = {}
        self.client = Recorder(connect(account), self._succeeded)
        self.peer_client = connect(self.peer)
        self.receiver = Recorder(connect(tenant), self._succeeded)
        self._refused_clients = {
            "owner": connect(account),
            "stranger": connect(tenant, project_id=account["project_id"]),
            "forger": connect(account, secret_key="F" * 40),
        }
        #: What earlier cases have made and later ones need.
        self.made = SimpleNamespace()

    def begin(self):
        self._succeeded.clear()

    def has_succeeded(self, operation):
        """The status of its success in the case that runs, or None."""
        return self._succeeded.get(operation)

    def refusal(self, client, operation, request):
        """Status and code of a request that must not succeed."""
        try:
            getattr(self._refused_clients[client], operation)(request)
        except ClientRequestException as error:
            check(error.error_msg, f"{error.error_code} comes with a message")
            check(error.request_id, f"{error.error_code} comes with a request id")
            return error.status_code, error.error_code
        return check(False, f"{operation} is refused when it has to be")

    def wait_for_task(self, task_id):
        def has_ended():
            task = self.client.show_op_log(m.ShowOpLogRequest(operation_log_id=task_id)).operation_log
            check(task.status not in ("failed", "timeout", "skipped"), f"the task succeeds: {task.error_info}")
            return task if task.status == "success" else None

        return wait_for(f"task {task_id} is success", has_ended)

    def wait_until_gone(self, call, request):
        def is_gone():
            try:
                call(request)
            except ClientRequestException as error:
                return True if error.status_code == 404 else None
            return None

        wait_for("it is gone", is_gone)

    def back_up(self, vault, name):
        """A checkpoint of everything in a vault, waited for."""
        body = m.VaultBackupReq(checkpoint=m.VaultBackup(vault_id=vault.id, parameters=m.CheckpointParam(name=name)))
        made = self.client.create_checkpoint(m.CreateCheckpointRequest(body=body)).checkpoint
        self.wait_for_checkpoint(made)

    def wait_for_checkpoint(self, checkpoint):
        def is_available():
            request = m.ShowCheckpointRequest(checkpoint_id=checkpoint.id)
            shown = self.client.show_checkpoint(request).checkpoint
            check(shown.status != "error", "the checkpoint does not fail")
            return shown if shown.status == "available" else None

        return wait_for("the checkpoint is available", is_available)

    def show_vault(self, vault_id):
        return self.client.show_vault(m.ShowVaultRequest(vault_id=vault_id)).vault


def billing(object_type="server", protect_type="backup", **more):
    levels = {"consistent_level": "crash_consistent", "cloud_type": "public", "size": 100}
    return m.BillingCreate(object_type=object_type, protect_type=protect_type, **{**levels, **more})


def vault_request(name, how=None):
    vault = m.VaultCreate(name=name, resources=[], billing=how or billing())
    return m.CreateVaultRequest(body=m.VaultCreateReq(vault=vault))


def new_vault(client, name, how=None):
    return client.create_vault(vault_request(name, how)).vault

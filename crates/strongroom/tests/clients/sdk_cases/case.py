"""How a case is written down: a function named after the operation, which succeeds, under the refusal."""

from collections.abc import Callable
from dataclasses import dataclass

#: Operation → case, in the order in which the cases were defined.
CASES = {}

INVALID = "BackupService.9900"
UNKNOWN_VAULT = "BackupService.6105"
UNKNOWN_BACKUP = "BackupService.6200"
UNKNOWN_POLICY = "BackupService.6000"

#: Who asks when a request is refused: the administrator, somebody of another project, or one with a wrong secret.
OWNER, STRANGER, FORGER = "owner", "stranger", "forger"


@dataclass(frozen=True)
class Case:
    succeed: Callable
    status: int
    code: str
    refused_request: Callable
    refused_client: str


def refused(status, code, request, by=OWNER):
    """Registers the decorated success; `request` makes, after it, what has to be refused."""

    def register(succeed):
        CASES[succeed.__name__] = Case(succeed, status, code, request, by)
        return succeed

    return register


def forbidden_to_strangers(request):
    """For operations that can be refused for nothing in their request."""
    return refused(403, "APIGW.0302", request, by=STRANGER)


def wrong_signature(request):
    """For operations that are not even about a project."""
    return refused(401, "APIGW.0301", request, by=FORGER)

"""One case for each operation of the SDK, in the order in which they can run."""

# A module adds its cases when it is imported, so the order of these lines counts.
# isort: off
from .case import CASES
from . import vaults
from . import policies
from . import checkpoints
from . import sharing
from . import replication
from . import imports
from . import agents
from . import accounts
from . import orders
from . import removals

__all__ = [
    "CASES",
    "accounts",
    "agents",
    "checkpoints",
    "imports",
    "orders",
    "policies",
    "removals",
    "replication",
    "sharing",
    "vaults",
]

"""The official Python SDK calls each of its operations once with success and once with its commonest refusal.

The operations are those that the SDK's client has, so one of which there is no case fails the script. A server with at
least one disk is in the inventory. Another installation, whose credentials are in the file `--peer`, takes copies, and
what it writes is the storage unit `--unit`: the backup `--unit-backup` of the disk `--unit-resource`.
"""

from huaweicloudsdkcbr.v1.cbr_client import CbrClient

from common import arguments, check, equal, main, say
from sdk_cases import CASES
from sdk_cases.stage import Stage


def operations():
    """The SDK has two methods for each operation, of which one makes the other."""
    made = [name for name in dir(CbrClient) if name.endswith("_invoker")]
    return sorted(name.removesuffix("_invoker") for name in made)


def run(stage, name, case):
    """A line of the table: the operation, how it succeeded, how it was refused."""
    stage.begin()
    case.succeed(stage)
    check(stage.has_succeeded(name), f"the case of {name} calls it with success")
    status, code = stage.refusal(case.refused_client, name, case.refused_request(stage))
    equal((status, code), (case.status, case.code), f"the refusal of {name}")
    return name, str(stage.has_succeeded(name)), f"{status} {code}"


def walk():
    args = arguments(__doc__, "--server", "--unit", "--unit-backup", "--unit-resource", "--peer")
    wanted = operations()
    equal(len(wanted), 74, "the number of the SDK's operations")
    equal(sorted(CASES), wanted, "the operations of which there is a case")
    stage = Stage(args)
    table = []
    for name, case in CASES.items():
        say(name)
        table.append(run(stage, name, case))
    say("")
    for line in [("operation", "success", "refusal"), *sorted(table)]:
        say("{:34} {:9} {}".format(*line))


if __name__ == "__main__":
    main(walk)

"""The functional tests inside the otcextensions wheel, as they were published, against the server.

They run in processes of their own. All of them have to pass: one that is missing or skips itself fails this script.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import otcextensions.tests.functional

from common import arguments, check, equal, main, say

PUBLISHED = Path(otcextensions.tests.functional.__file__).parent
#: Where the tests are, how many there are, and the cloud's name: the second half accepts no other.
SUITES = (("sdk/cbr", 7, "otc"), ("osclient/cbr", 2, "devstack-admin"))
#: Each suite takes some seconds; a hanging one must not hang the tests.
SUITE_SECONDS = 60


def write_clouds(folder, account):
    """A clouds.yaml with one account under both names."""
    cloud = {
        "auth_type": "password",
        "auth": {
            "auth_url": account["endpoint"] + "/v3",
            "username": account["user_name"],
            "password": account["password"],
            "user_domain_name": account["domain_name"],
            "project_name": account["project_name"],
            "project_domain_name": account["domain_name"],
        },
        "region_name": account["region"],
        "identity_api_version": "3",
    }
    path = Path(folder) / "clouds.yaml"
    path.write_text(json.dumps({"clouds": {name: cloud for _, _, name in SUITES}}), encoding="utf-8")  # JSON is YAML
    return path


def run(folder, clouds, suite, cloud):
    """What pytest recorded: test → `passed`, or what happened instead."""
    record = Path(folder) / "record.xml"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    environment |= {
        "OS_CLIENT_CONFIG_FILE": str(clouds),
        "OS_CLOUD": cloud,
        "PATH": str(Path(sys.executable).parent) + os.pathsep + environment["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={record}", PUBLISHED / suite]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SUITE_SECONDS, check=False
    )
    check(record.exists(), f"pytest ran: {done.stdout}{done.stderr}")
    found = {}
    for case in ElementTree.parse(record).iter("testcase"):
        name = case.get("classname").rsplit(".", 2)[1] + "." + case.get("name")
        problems = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[name] = problems[0] if problems else "passed"
        say(f"  {name}: {found[name]}")
    if done.returncode:
        say(done.stdout + done.stderr)
    return found


def walk():
    args = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        clouds = write_clouds(folder, args.credentials)
        for suite, number, cloud in SUITES:
            say(suite)
            found = run(folder, clouds, suite, cloud)
            equal(len(found), number, f"the number of tests in {suite}")
            others = {name: result for name, result in found.items() if result != "passed"}
            equal(others, {}, f"what did not pass in {suite}")


if __name__ == "__main__":
    main(walk)

"""Schemathesis reads /openapi.json of the running server and tries what it promises, with good and with bad input.

Each operation of CBR is tried a bounded number of times, with the same input in each run. No answer may be an error of
the server, and each must have a status, a content type and a body that the document describes. Administration and
identity are left out: a probe that changes passwords would lock itself out.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import arguments, check, main, say
from rest import Rest

#: For each operation in each phase.
EXAMPLES = 4
PROBE_SECONDS = 300
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def write_configuration(folder, parameters):
    """Parameters that cannot be guessed: with a wrong project, or an unknown vault, most refusals are the same."""
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in parameters.items()]
    # Other methods than the documented ones are one rule of the router, and most of the time.
    text = "\n".join(["[parameters]", *lines, "[phases.coverage]", "unexpected-methods = []", ""])
    (Path(folder) / "schemathesis.toml").write_text(text, encoding="utf-8")


def new_vault(rest, project_id):
    billing = {"consistent_level": "crash_consistent", "object_type": "disk", "protect_type": "backup", "size": 50}
    body = {"vault": {"billing": billing, "name": "probed", "resources": []}}
    return rest.call("POST", f"/v3/{project_id}/vaults", body)["vault"]["id"]


def walk():
    args = arguments(__doc__)
    rest = Rest(args.credentials)
    program = str(Path(sys.executable).parent / "schemathesis")
    with tempfile.TemporaryDirectory() as folder:
        project_id = args.credentials["project_id"]
        write_configuration(folder, {"project_id": project_id, "vault_id": new_vault(rest, project_id)})
        command = [program, "run", rest.root + "/openapi.json", "--url", rest.root]
        command += ["--include-path-regex", r"^/v3/\{project_id\}/"]
        command += ["--header", f"X-Auth-Token: {rest.token}", "--checks", CHECKS]
        command += ["--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES)]
        command += ["--generation-deterministic", "--no-shrink"]
        command += ["--continue-on-failure", "--no-color", "--warnings", "off"]
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    say(done.stdout + done.stderr)
    check(done.returncode == 0, "the server keeps what its document promises")


if __name__ == "__main__":
    main(walk)

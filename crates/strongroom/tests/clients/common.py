"""What the client scripts share: arguments, checks that explain themselves, waiting with a deadline."""

import argparse
import json
import sys
import time

#: Backups of the small test disks end long before; a stuck one must not hang the tests.
DEADLINE_SECONDS = 90


class Failed(Exception):
    """A check did not hold; the text says which."""


def say(text):
    print(text, flush=True)


def check(condition, claim):
    if not condition:
        raise Failed(claim)


def equal(actual, expected, what):
    check(actual == expected, f"{what} is {actual!r}, expected {expected!r}")


def one(items, what):
    """The only element of `items`."""
    equal(len(items), 1, f"the number of {what}")
    return items[0]


def wait_for(what, probe):
    """What `probe` returns as soon as it is not None."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = probe()
        if found is not None:
            say(f"  {what}: yes")
            return found
        time.sleep(0.1)
    raise Failed(f"{what}: not within {DEADLINE_SECONDS} s")


def arguments(description, *options):
    """The credentials file, read, as `args.credentials`; `options` are names such as `--server`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("credentials", help="the server's credentials.json")
    for option in options:
        parser.add_argument(option, required=True)
    args = parser.parse_args()
    with open(args.credentials, encoding="utf-8") as file:
        args.credentials = json.load(file)
    return args


def main(walk):
    """Runs `walk`; a failed check ends the script with 1 and its claim as the last line."""
    try:
        walk()
    except Failed as failure:
        say(f"FAILED: {failure}")
        sys.exit(1)
    say("passed")

"""The official Python SDK has one server of a vault backed up, and says the backup's id in its last line but one."""

from common import arguments, main, say
from sdk_walk import back_up, connect


def walk():
    args = arguments(__doc__, "--vault", "--server")
    backup = back_up(connect(args.credentials), args.vault, args.server, "live", True)
    say(backup.id)


if __name__ == "__main__":
    main(walk)

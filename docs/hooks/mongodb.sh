#!/bin/sh
# MongoDB recovers by itself from its journal. From the freeze to the thaw it writes nothing.
# SHELL_OF_MONGODB is the program with its options, such as `mongosh --quiet mongodb://localhost:27018`.
set -eu
shell=${SHELL_OF_MONGODB:-mongosh --quiet}
case ${1:-} in
freeze) exec timeout 5 $shell --eval 'db.fsyncLock()' ;;
thaw) exec timeout 5 $shell --eval 'db.fsyncUnlock()' ;;
esac

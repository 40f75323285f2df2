#!/bin/sh
# MariaDB and MySQL: from the freeze to the thaw nobody writes, so that tables of engines without recovery (MyISAM, Aria)
# are whole in the backup as well. CLIENT is the program with its options, such as `mysql --defaults-file=/root/backup.cnf`.
set -eu
client=${CLIENT:-mariadb}
session=${SESSION:-/run/fsfreeze-mariadb}

case ${1:-} in
freeze)
    rm -f "$session"
    # Holds the lock while it sleeps, which ends by itself should nobody ever thaw.
    setsid $client --batch --skip-column-names --unbuffered --execute '
        SET SESSION lock_wait_timeout = 4;
        FLUSH TABLES WITH READ LOCK;
        SELECT CONNECTION_ID();
        DO SLEEP(15)' >"$session" 2>/dev/null </dev/null &
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
        [ ! -s "$session" ] || exit 0
        sleep 0.2
    done
    echo "the tables were not locked within five seconds"
    exit 1
    ;;
thaw)
    [ -e "$session" ] || exit 0
    read -r connection <"$session" || exit 0
    rm -f "$session"
    $client --batch --execute "KILL $connection"
    ;;
esac

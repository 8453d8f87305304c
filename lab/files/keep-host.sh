#!/bin/sh
# Keep one test host running, in the background: systemd-nspawn ends with 133 when the host asked for a reboot,
# and is started again.
# usage: keep-host.sh CGROUP... -- COMMAND...
# Standard input is the host's lock, held until this process is in the groups where it will be looked for.
set -eu
while [ "$1" != -- ]; do
    echo $$ >"$1/cgroup.procs"
    shift
done
shift
exec </dev/null
keep() {
    status=133
    while [ "$status" -eq 133 ]; do
        status=0
        "$@" || status=$?
    done
    echo "keep-host: systemd-nspawn ended with $status"
}
keep "$@" &

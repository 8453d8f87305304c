# Bring the unit of an app's supervisor up, enabled, and started with the files as they now are; say why.
# usage: supervisor-activate.sh UNIT STARTED
set -eu
systemctl --quiet --no-reload enable "$1"
systemctl daemon-reload
# STARTED has the digests of the files that the running one was started with.
why=
if ! systemctl --quiet is-active "$1"; then
    why="it was not running"
elif [ ! -e "$2" ]; then
    why="nothing tells what it was started with"
elif ! differ=$(LC_ALL=C sha256sum --check --quiet "$2" 2>&1); then
    why=$(echo "$differ" | sed -n 's/: FAILED.*//p' | paste -sd ' ')" changed since it was started"
fi
if [ -n "$why" ]; then
    systemctl reset-failed "$1"
    systemctl restart "$1"
    echo "$1 restarted with all its services: $why"
fi

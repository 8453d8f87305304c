# Bring the unit of an app's supervisor up, enabled, and started with the files as they now are.
# usage: supervisor-activate.sh UNIT STARTED
set -eu
systemctl daemon-reload
systemctl --quiet enable "$1"
# STARTED has the digests of the files that the running one was started with.
if ! systemctl --quiet is-active "$1" || ! sha256sum --check --status "$2"; then
    systemctl reset-failed "$1"
    systemctl restart "$1"
fi

# Run one app's migrations as a unit of a fixed name, so that two can never run at a time.
# usage: migrations-run.sh UNIT USER ENV_FILE DIRECTORY SECONDS [@over OVER_FILE] COMMAND [ARGUMENT...]
#            OVER_FILE is an environment file over ENV_FILE, which goes when this ends
#        postgres-cluster.sh CLUSTER up sh -c ... UNIT USER '' DIRECTORY SECONDS @program PROGRAM PASSWORD_FILE
#            runs PROGRAM, text of Python, with the specification on standard input as its file, and the
#            password as the unit's credential "password", which only this unit can read
# A unit outlives the connection that started it: one of an interrupted run is waited for, up to SECONDS.
# Its output goes to the journal, where the end of a connection cannot break it, and is shown from there.
set -eu
unit=$1 user=$2 env_file=$3 directory=$4 seconds=$5
shift 5
over=
if [ "$1" = @over ]; then
    over=$2
    shift 2
    # It has the password of the database's owner, and is for this unit alone.
    trap 'rm -f -- "$over"' EXIT
fi

runs() {
    case $(systemctl show --property=ActiveState --value -- "$unit") in inactive | failed) return 1 ;; esac
}
# What a process says just before it ends may reach the journal without its unit, never without this.
tag=${unit%.service}
watch="watch it with: journalctl -f -t $tag"

waited=0
while runs; do
    if [ "$waited" -ge "$seconds" ]; then
        echo "$unit: the migration of an interrupted run still runs after ${seconds} s; nothing was started;" \
            "$watch, and run again once it has ended" >&2
        exit 1
    fi
    waited=$((waited + 1))
    sleep 1
done
if [ "$waited" -gt 0 ]; then
    echo "$unit: waited $waited s for the migration of an interrupted run to end"
fi

if [ "$1" = @program ]; then
    # In a directory that the service user may read: what is in it is no secret.
    rm -rf -- "/run/$tag".??????
    files=$(mktemp -d -- "/run/$tag.XXXXXX")
    trap 'rm -rf -- "$files"' EXIT
    chmod 0755 -- "$files"
    printf '%s\n' "$2" >"$files/program.py"
    cat >"$files/spec.json"
    chmod 0644 -- "$files/program.py" "$files/spec.json"
    set -- -p "LoadCredential=password:$3" -- \
        python3 -I "$files/program.py" "$files/spec.json" "$CLUSTER_BIN/psql" "$PGPORT"
else
    set -- -p EnvironmentFile="$env_file" ${over:+-p EnvironmentFile="$over"} -- "$@"
fi
# So that whoever undoes this run finds the unit that belongs to it.
if [ -n "${HOSTWRIGHT_RUN-}" ]; then
    set -- -p Environment=HOSTWRIGHT_RUN="$HOSTWRIGHT_RUN" "$@"
fi

# An entry that is not the migration's, to read on from: --after-cursor together with a match skips one too
# many in systemd 252.
logger -t hostwright "starting the migration of $directory"
journalctl --sync
cursor=$(journalctl --quiet --lines=0 --show-cursor | sed -n 's/^-- cursor: //p')
status=0
systemd-run --quiet --wait --collect --unit="$unit" --service-type=exec \
    -p SyslogIdentifier="$tag" -p User="$user" -p WorkingDirectory="$directory" "$@" || status=$?
if [ "$status" -ne 0 ] && runs; then
    # --wait returns when ours has ended: what runs now is another's, for which systemd refused ours.
    echo "$unit: another run started this migration at the same moment; $watch, and run again" >&2
    exit 1
fi
journalctl --sync
said() {
    journalctl --quiet --no-pager --output=cat ${cursor:+--cursor="$cursor"} SYSLOG_IDENTIFIER="$tag" "$@"
}
if [ "$status" -ne 0 ]; then
    # With systemd's own words: it may be what could not start the command.
    said + UNIT="$unit" >&2
    echo "$unit: the migration failed; what it said is above, and in: journalctl -t $tag" >&2
    exit 1
fi
said

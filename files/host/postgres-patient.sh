# Run short transactions one after the other in a database that is in use, without making anybody wait long.
# usage: postgres-cluster.sh CLUSTER up sh -c ... DATABASE    SQL on standard input
# Each must be fit to be run again. One that does not get its lock within 2 s gives up, so that nobody queues
# behind it, and all are run again after 1, 2, 3, 4 and 5 s.
set -eu
statements=$(cat)
said=$(mktemp)
trap 'rm -f -- "$said"' EXIT
for pause in 1 2 3 4 5 0; do
    status=0
    printf '%s\n' "set lock_timeout = '2s';" "$statements" |
        runuser -u postgres -- "$CLUSTER_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -d "$1" \
            2>"$said" || status=$?
    [ "$status" -ne 0 ] || exit 0
    # lock_not_available and deadlock_detected: another session was in the way, and may be gone a moment later.
    if ! grep -q -e '55P03: ' -e '40P01: ' "$said" || [ "$pause" -eq 0 ]; then break; fi
    sleep "$pause"
done
cat "$said" >&2
echo "PostgreSQL: database $1: what was done is kept, and the next run goes on from there; if a lock was not" \
    "to be had, pg_stat_activity shows who holds it" >&2
exit 1

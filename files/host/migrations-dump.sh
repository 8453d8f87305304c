# Dump one database into a new directory of root's, whole or not at all.
# usage: postgres-cluster.sh CLUSTER up sh -c ... DATABASE DIRECTORY
# pg_dump runs as postgres, who may see nothing of the directories above: it writes through a descriptor of
# ours into one that is its own, which becomes root's and gets its name when it is whole.
set -eu
database=$1 target=$2
if [ -e "$target" ]; then
    echo "the dump of database $database is already in $target"
    exit 0
fi
parent=${target%/*}
if [ ! -d "${parent%/*}/" ]; then
    echo "dump of database $database: ${parent%/*} does not exist; make it, or name another directory" >&2
    exit 1
fi
[ -d "$parent" ] || mkdir -m 0700 -- "$parent"

size=$(printf "select pg_database_size(:'database');\n" |
    runuser -u postgres -- "$CLUSTER_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -v database="$database" -d postgres)
needed=$((size + size / 10))
free=$(df --output=avail -B1 -- "$parent" | tail -n 1)
if [ "$free" -lt "$needed" ]; then
    echo "dump of database $database: $parent has $((free / 1048576)) MiB free and $((needed / 1048576)) MiB may" \
        "be needed (the database's size and a tenth); no migration was run. Free some space: df -h $parent;" \
        "or, with a backup elsewhere, set dump_before_migration to False" >&2
    exit 1
fi

aside=$parent/.${target##*/}.partial
rm -rf -- "$aside"
mkdir -m 0700 -- "$aside"
trap 'rm -rf -- "$aside"' EXIT
chown postgres:postgres -- "$aside"
exec 9<"$aside"
began=$(date +%s)
# Two jobs and the lightest compression: 19 s for 1.6 GB on two cores, where the default takes 109 s.
runuser -u postgres -- "$CLUSTER_BIN/pg_dump" -Fd -j2 -Z1 --lock-wait-timeout=60s -f /proc/self/fd/9/dump -d "$database"
exec 9<&-
chown -R root:root -- "$aside/dump"
chmod 0700 -- "$aside/dump"
sync -f -- "$aside"
mv -T -- "$aside/dump" "$target"
sync -- "$parent"
echo "dumped database $database into $target: $(du -sm -- "$target" | cut -f1) MiB in $(($(date +%s) - began)) s"

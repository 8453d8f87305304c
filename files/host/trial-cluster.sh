# Have a database server run with the configuration that was put back; restart it only where it must be.
# usage: trial-cluster.sh VERSION NAME up|reload
set -eu
version=$1 name=$2 what=$3
if ! pg_ctlcluster "$version" "$name" status >/dev/null 2>&1; then
    pg_ctlcluster "$version" "$name" start
    echo "started PostgreSQL $version/$name"
    exit 0
fi
if [ "$what" = up ]; then exit 0; fi
pg_ctlcluster "$version" "$name" reload
port=$(pg_lsclusters -h "$version" "$name" | awk '{ print $3 }')
# The reload is asked for, not waited for.
sleep 0.3
pending=$(runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -p "$port" -d postgres \
    -c 'select count(*) from pg_settings where pending_restart')
if [ "$pending" -gt 0 ]; then
    pg_ctlcluster "$version" "$name" restart
    echo "restarted PostgreSQL $version/$name"
else
    echo "reloaded PostgreSQL $version/$name"
fi

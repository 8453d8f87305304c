# Have the role that looks at the server where its exporter is, and nowhere else: what an undo ends with.
# usage: monitoring-role.sh UNIT ROLE CLUSTER      UNIT is a path; CLUSTER may be empty for the host's only one
set -eu
unit=$1 role=$2
if [ -n "$3" ]; then export PGCLUSTER="$3"; fi
cd /
sql() { runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -v role="$role" -d postgres; }
there=$(echo "select count(*) from pg_roles where rolname = :'role';" | sql)
if [ -e "$unit" ]; then
    if [ "$there" = 0 ]; then
        echo 'create role :"role" login connection limit 4; grant pg_monitor to :"role";' | sql
    fi
elif [ "$there" = 1 ]; then
    echo 'drop role :"role";' | sql
fi

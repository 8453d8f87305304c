# Find this host's PostgreSQL cluster and run SQL or a program with its whereabouts in the environment.
# usage: postgres-cluster.sh CLUSTER NEED sql DATABASE [SCRIPT [VARIABLE=VALUE...]]
#            runs SCRIPT, or else standard input, through psql; it finds the variables as :'variable'
#        postgres-cluster.sh CLUSTER NEED PROGRAM [ARGUMENT...]
# CLUSTER is VERSION/NAME as pg_lsclusters prints them, or empty for the only one there is.
# NEED: up      it must accept connections, or this fails (it waits while the server is still starting)
#       exists  it must exist, or this fails
#       ask-up, ask-exists  the same, but where it is not so this exits 0 and prints nothing: for facts
# PROGRAM finds CLUSTER, CLUSTER_VERSION, CLUSTER_CONF, CLUSTER_DATA, CLUSTER_BIN, PGHOST and PGPORT.
set -eu
cluster=$1 need=$2
shift 2

not_so() {
    case $need in ask-*) exit 0 ;; esac
    echo "PostgreSQL: $1" >&2
    exit 1
}

# The same files that pg_lsclusters lists, without the 40 ms that it takes.
root=${PG_CLUSTER_CONF_ROOT:-/etc/postgresql}
if [ -z "$cluster" ]; then
    found=
    for conf in "$root"/*/*/postgresql.conf; do
        [ -e "$conf" ] || continue
        conf=${conf%/postgresql.conf}
        found="$found ${conf#"$root"/}"
    done
    case $found in
    '') not_so "there is no cluster on this host; install the package postgresql first" ;;
    ' '*' '*)
        not_so "this host has several clusters:$found; name one, such as ${found##* }: postgresql.cluster in group_data"
        ;;
    esac
    cluster=${found# }
elif [ ! -e "$root/$cluster/postgresql.conf" ]; then
    not_so "there is no cluster $cluster on this host; pg_lsclusters prints those there are"
fi

CLUSTER=$cluster
CLUSTER_VERSION=${cluster%%/*}
CLUSTER_CONF=$root/$cluster
CLUSTER_BIN=/usr/lib/postgresql/$CLUSTER_VERSION/bin
CLUSTER_DATA=$(sed -n "s/^[[:space:]]*data_directory[[:space:]]*=\{0,1\}[[:space:]]*'\([^']*\)'.*/\1/p" \
    "$CLUSTER_CONF/postgresql.conf")
# The last one counts.
CLUSTER_DATA=${CLUSTER_DATA##*"
"}
[ -n "$CLUSTER_DATA" ] || CLUSTER_DATA=/var/lib/postgresql/$cluster
export CLUSTER CLUSTER_VERSION CLUSTER_CONF CLUSTER_BIN CLUSTER_DATA

# Nothing of the login's environment may change where psql connects or what it prints.
unset PGDATABASE PGUSER PGSERVICE PGPASSFILE PGSSLMODE PGHOSTADDR PGTARGETSESSIONATTRS PGTZ PGDATESTYLE
export PGHOST=/var/run/postgresql PGPORT=5432
export PGAPPNAME=hostwright PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=10 LC_ALL=C.UTF-8
# An empty search path, so that no function of an application can stand in for one of the catalog.
PGOPTIONS="-c search_path=pg_catalog -c lc_messages=C -c client_min_messages=warning"
export PGOPTIONS="$PGOPTIONS -c standard_conforming_strings=on -c lock_timeout=30s"
# What is asked of the catalog takes milliseconds; compiling the question first takes seconds.
export PGOPTIONS="$PGOPTIONS -c jit=off"
cd /

# The server keeps in this file: its PID, where it listens (lines 4 and 5) and whether it is ready (line 8).
# Asking it by pg_isready as root would leave a refused connection in its log each time.
# By the shell alone: this is asked for every fact, and a program more is 2 ms of a core more.
pid_file=$CLUSTER_DATA/postmaster.pid
running() {
    [ -e "$pid_file" ] || return 1
    pid= port= place= word=
    # A line that is not there yet is empty.
    { read -r pid && read -r _ && read -r _ && read -r port && read -r place && read -r _ && read -r _ &&
        read -r word; } <"$pid_file" || [ $? -eq 1 ]
    # A power cut leaves the file of a server that is no more.
    [ -e "/proc/$pid" ]
}
accepts() {
    running || return 1
    case $word in ready* | standby*) ;; *) return 1 ;; esac
    PGPORT=$port
    PGHOST=$place
}

case $need in
*up)
    waited=0
    until accepts; do
        # Up to 30 s while it starts; a cluster that is down is not waited for.
        if [ "$need" != up ] || [ "$waited" -ge 150 ] || ! running; then
            not_so "cluster $cluster does not accept connections; pg_lsclusters shows its state and its log"
        fi
        waited=$((waited + 1))
        sleep 0.2
    done
    ;;
esac

if [ "$1" != sql ]; then
    exec "$@"
fi
export PGDATABASE="$2"
script=${3-}
if [ "$#" -gt 3 ]; then shift 3; else set --; fi
run_psql() {
    # Without PAM, which has a session to open and to write of: nobody logs in here.
    setpriv --reuid=postgres --regid=postgres --init-groups "$CLUSTER_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=verbose "$@"
}
for variable; do
    set -- "$@" -v "$variable"
    shift
done
if [ -n "$script" ]; then
    printf '%s\n' "$script" | run_psql "$@"
else
    run_psql
fi

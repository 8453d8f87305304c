# Start a PostgreSQL cluster, now and at every boot, and wait until it accepts connections.
# usage: postgres-cluster.sh CLUSTER ask-exists sh -c ... ask       prints: start.conf's word|unit state|up or down|RAM, kB
#        postgres-cluster.sh CLUSTER exists sh -c ... start SECONDS
#        postgres-cluster.sh CLUSTER exists sh -c ... begin        the same, without waiting for it
set -eu
action=$1
start=auto
if [ -e "$CLUSTER_CONF/start.conf" ]; then
    start=$(sed -n 's/^[[:space:]]*\([a-z]\{1,\}\).*/\1/p; T; q' "$CLUSTER_CONF/start.conf")
fi
own=/systemd/system/postgresql.service
if [ ! -d /run/systemd/system ]; then
    unit=enabled
elif [ -e /etc/systemd/system/multi-user.target.wants/postgresql.service ] && ! [ -L "/etc$own" ] &&
    ! [ -e "/etc$own" ] && ! [ -L "/run$own" ]; then
    # By its links, where they are as its package made them: to ask takes 4 ms.
    unit=enabled
else
    # is-enabled says so by its output and by its exit code; 1 is "disabled" or "masked".
    unit=$(systemctl is-enabled postgresql.service) || [ "$?" -eq 1 ]
fi
pid_file=$CLUSTER_DATA/postmaster.pid
accepts() {
    [ -e "$pid_file" ] || return 1
    pid= word=
    { read -r pid && read -r _ && read -r _ && read -r _ && read -r _ && read -r _ && read -r _ &&
        read -r word; } <"$pid_file" || [ $? -eq 1 ] # a line that is not there yet is empty
    [ -e "/proc/$pid" ] || return 1
    case $word in ready* | standby*) ;; *) return 1 ;; esac
}

if [ "$action" = ask ]; then
    if accepts; then state=up; else state=down; fi
    # The first line of it.
    read -r _ ram _ </proc/meminfo
    echo "$start|$unit|$state|$ram"
    exit 0
fi

if [ "$start" != auto ]; then
    new=$(mktemp "$CLUSTER_CONF/.start.conf.XXXXXX")
    trap 'rm -f -- "$new"' EXIT
    printf '# Started at boot, as declared by hostwright.\nauto\n' >"$new"
    chown postgres:postgres -- "$new"
    chmod 0644 -- "$new"
    sync -- "$new"
    mv -fT -- "$new" "$CLUSTER_CONF/start.conf"
fi
if [ "$unit" != enabled ]; then
    systemctl unmask --no-reload --quiet postgresql.service
    # Its package enables it, masked or not; to say so again takes half a second, for its script of System V.
    systemctl is-enabled --quiet postgresql.service || systemctl enable --no-reload --quiet postgresql.service
fi
if { [ "$start" != auto ] || [ "$unit" != enabled ]; } && [ -d /run/systemd/system ]; then
    # The generator makes one unit for each cluster that starts by itself.
    systemctl daemon-reload
fi
if [ "$action" = begin ] && [ -d /run/systemd/system ]; then
    # By its unit; what starts all clusters was masked when the package would have started it.
    systemctl start --no-block postgresql.service "postgresql@${CLUSTER%/*}-${CLUSTER#*/}.service"
    exit 0
fi
seconds=${2:-60}
accepts || pg_ctlcluster "${CLUSTER%/*}" "${CLUSTER#*/}" start || [ "$?" -eq 2 ]
waited=0
until accepts; do
    if [ "$waited" -ge "$((seconds * 5))" ]; then
        echo "PostgreSQL $CLUSTER does not accept connections after $seconds s; the end of its log:" >&2
        tail -n 20 "/var/log/postgresql/postgresql-${CLUSTER%/*}-${CLUSTER#*/}.log" >&2
        exit 1
    fi
    waited=$((waited + 1))
    sleep 0.2
done

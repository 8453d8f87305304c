# Wait until packages can be installed: first boot over, locks free, nothing left half-installed.
# usage: packages-wait.sh SECONDS
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
seconds=$1
until=$(($(date +%s) + seconds))

if command -v cloud-init >/dev/null; then
    rc=0
    timeout "$seconds" cloud-init status --wait >/dev/null || rc=$?
    case $rc in
    0) ;;
    2) echo "cloud-init ended degraded (exit 2); going on" ;;
    124)
        echo "cloud-init is still at work after $seconds s; look at 'cloud-init status --long' on the host" >&2
        exit 1
        ;;
    *)
        echo "cloud-init failed (exit $rc); look at 'cloud-init status --long' on the host" >&2
        exit 1
        ;;
    esac
fi

locked() {
    for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
        if [ -e "$lock" ] && awk -v inode="$(stat -c %i "$lock")" \
            '{ split($6, file, ":"); if (file[3] == inode && $2 == "POSIX") found = 1 } END { exit !found }' \
            /proc/locks; then
            return 0
        fi
    done
    return 1
}
while locked; do
    if [ "$(date +%s)" -ge "$until" ]; then
        echo "$lock is still locked after $seconds s; see who holds it with 'fuser -v $lock' on the host" >&2
        exit 1
    fi
    sleep 1
done

dpkg --force-confdef --force-confold --configure -a </dev/null
broken() {
    dpkg-query --show --showformat '${db:Status-Abbrev}|${Package}\n' |
        awk -F '|' 'substr($1, 2, 1) ~ /[UFHWt]/ || substr($1, 3, 1) == "R" { print $2 }'
}
if [ -n "$(broken)" ]; then
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold --fix-broken install </dev/null
fi
if [ -n "$(broken)" ]; then
    echo "still half-installed: $(broken | tr '\n' ' '); install or remove them by hand with apt-get" >&2
    exit 1
fi

# What a host is before anything is touched; needs nothing that a minimal Debian or Ubuntu does not have.
# usage: preflight.sh PORTS PLACE...    PORTS: "3000 5432", which somebody may hold already
# Prints lines of a word and its value. Archives are asked only where packages are still to be installed.
set -eu
export LC_ALL=C
ports=$1
shift

while IFS='=' read -r key value; do
    case $key in ID | VERSION_ID) echo "$key $value" ;; esac
done </etc/os-release
while read -r key value _; do
    if [ "$key" = MemTotal: ]; then echo "memory $value"; fi
done </proc/meminfo
echo "cpus $(nproc)"
echo "time $(date +%s)"
# All but loopback and link-local ones.
if command -v hostname >/dev/null; then
    for address in $(hostname -I); do echo "address $address"; done
fi

# The nearest directory that there is, of each place; then its file system's size and room, in KiB.
there=
for place; do
    if [ -e "$place" ]; then echo "place $place yes"; else echo "place $place no"; fi
    while [ ! -d "$place" ]; do place=${place%/*}; [ -n "$place" ] || place=/; done
    there="$there $place"
done
# In the order of the places. shellcheck's word splitting is meant: no place of ours has a space.
df -Pk -- $there | while read -r _ size _ free _ mounted; do
    if [ "$size" != "1024-blocks" ]; then echo "disk $size $free $mounted"; fi
done

# Who listens where we want to: its process, user and unit.
filter=
for port in $ports; do filter="$filter${filter:+ or }sport = :$port"; done
if command -v ss >/dev/null && [ -n "$filter" ]; then
    ss -Hltnp "( $filter )" | while read -r _ _ _ local _ users; do
        pid=${users#*pid=}
        pid=${pid%%,*}
        unit=
        case $pid in
        '' | *[!0-9]*) pid=0 ;;
        *) if [ -r "/proc/$pid/cgroup" ]; then
            while IFS= read -r line; do unit=$line; done <"/proc/$pid/cgroup"
        fi ;;
        esac
        name=${users#*\"}
        echo "port ${local##*:} $pid ${name%%\"*} ${unit##*/}"
    done
fi

if [ ! -e /var/lib/dpkg/info/postgresql-common.list ] && [ -x /usr/lib/apt/apt-helper ]; then
    made=$(mktemp -d)
    # One file of each archive, as apt itself would fetch it: through its proxies, with its certificates.
    apt-get update --print-uris 2>&1 | sed -n "s/^'\([^']*\)'.*/\1/p" | sort -t/ -k3,3 -u | while read -r uri; do
        if said=$(timeout 30 /usr/lib/apt/apt-helper -o Acquire::Retries=1 download-file "$uri" "$made/index" 2>&1); then
            echo "archive ok $uri"
        else
            echo "archive $(printf '%s' "$said" | sed -n 's/^E: //p' | head -n 1 | tr '\n' ' ') $uri"
        fi
        rm -f -- "$made/index"
    done
    rm -rf -- "$made"
fi

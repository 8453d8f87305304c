# Say what stands in the way of installing packages, one "word value" a line; nothing where nothing does.
set -eu
export LC_ALL=C

if command -v cloud-init >/dev/null && [ ! -e /run/cloud-init/result.json ]; then
    # Exit codes 1 and 2 are cloud-init's own verdict on the boot, and no failure of this question.
    status=$(cloud-init status || [ $? -le 2 ])
    case $status in
    *"status: running"*) echo "waits cloud-init" ;;
    esac
fi

# dpkg and apt lock with fcntl, which /proc/locks shows by inode.
set --
for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
    if [ -e "$lock" ]; then set -- "$@" "$lock"; fi
done
if [ "$#" -gt 0 ]; then
    stat -c '%i %n' "$@" | while read -r inode lock; do
        while read -r _ kind _ _ pid file _; do
            if [ "$kind" = POSIX ] && [ "${file##*:}" = "$inode" ]; then
                holder=gone
                if [ -r "/proc/$pid/comm" ]; then read -r holder <"/proc/$pid/comm"; fi
                echo "waits $lock, held by $holder (process $pid)"
                break
            fi
        done </proc/locks
    done
fi

# What dpkg has begun and not ended: U npacked, half-conF igured, H alf-installed, W aiting, t riggers pending.
dpkg-query --show --showformat '${db:Status-Abbrev}|${Package}\n' |
    awk -F '|' 'substr($1, 2, 1) ~ /[UFHWt]/ || substr($1, 3, 1) == "R" { print "interrupted " $2 }'
for file in /var/lib/dpkg/updates/* /var/lib/dpkg/updates/.[!.]*; do
    if [ -e "$file" ]; then
        echo "interrupted dpkg itself"
        break
    fi
done

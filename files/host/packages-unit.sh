# Say whether a unit is masked, known or running, and which files show that somebody uses it.
# usage: packages-unit.sh UNIT PATTERN...
set -eu
export LC_ALL=C
unit=$1
shift
if [ "$(readlink "/etc/systemd/system/$unit" || [ $? -eq 1 ])" = /dev/null ]; then echo "masked yes"; fi
systemctl show --property LoadState,ActiveState "$unit" | sed -n 's/^LoadState=/load /p; s/^ActiveState=/state /p'
# The patterns are to be expanded here.
for pattern in "$@"; do
    for file in $pattern; do
        if [ -e "$file" ]; then echo "used $file"; fi
    done
done

# Say whether a unit is masked or running, and which files show that somebody uses it.
# usage: packages-unit.sh UNIT PATTERN...
set -eu
export LC_ALL=C
unit=$1
shift
if [ "$(readlink "/etc/systemd/system/$unit" || [ $? -eq 1 ])" = /dev/null ]; then echo "masked yes"; fi
# Exit code 3: not running; 4 (from Debian 13): no such unit.
state=$(systemctl is-active "$unit" || [ $? -le 4 ])
echo "state $state"
# The patterns are to be expanded here.
for pattern in "$@"; do
    for file in $pattern; do
        if [ -e "$file" ]; then echo "used $file"; fi
    done
done

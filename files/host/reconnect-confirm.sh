# Make the change stay: cancel the undo that reconnect-arm.sh armed.
# usage: reconnect-confirm.sh TRIAL
set -eu
trial=$1
dir=/var/lib/hostwright/undo/$trial
unit=hostwright-undo-$trial
if [ -e "$dir/armed" ]; then
    exec 9>>"$dir/armed.lock"
    flock 9
fi
if [ ! -e "$dir/armed" ]; then
    echo "$trial: too late, the change was undone already; run again with a longer undo time" >&2
    exit 1
fi
rm -- "$dir/armed"
sync -- "$dir"
# Stopped and without their files systemd forgets both by itself; where it read its units anew while they were
# there, it is to do so once more.
systemctl disable --no-reload --quiet --now "$unit.timer"
rm -f -- "/etc/systemd/system/$unit.timer" "/etc/systemd/system/$unit.service"
if [ -n "$(systemctl list-units --all --plain --no-legend "$unit.*")" ]; then systemctl daemon-reload; fi
rm -rf -- "$dir"

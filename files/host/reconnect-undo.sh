# Put back what reconnect-arm.sh saved; lies on the host as /var/lib/hostwright/undo/TRIAL/undo while armed.
set -eu
dir=${0%/*}
trial=${dir##*/}
unit=hostwright-undo-$trial
exec 9>>"$dir/armed.lock"
flock 9
if [ ! -e "$dir/armed" ]; then
    echo "$trial: nothing to undo"
    exit 0
fi
while read -r file; do
    if [ -e "$dir/files$file" ]; then
        cp -a -- "$dir/files$file" "$file.hostwright-undo"
        sync -- "$file.hostwright-undo"
        mv -fT -- "$file.hostwright-undo" "$file"
    else
        rm -f -- "$file"
    fi
    sync -- "${file%/*}"
done <"$dir/list"
sh "$dir/after"
rm -- "$dir/armed"
sync -- "$dir"
echo "$trial: the change was not confirmed; the state before it is back" >&2
systemctl disable --quiet --now "$unit.timer"
rm -f -- "/etc/systemd/system/$unit.timer" "/etc/systemd/system/$unit.service"
systemctl daemon-reload
rm -rf -- "$dir"

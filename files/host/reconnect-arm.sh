# Save some files and arm a timer of the host's own that puts them back unless the change is confirmed.
# usage: reconnect-arm.sh TRIAL SECONDS AFTER FILE...        the text of reconnect-undo.sh on standard input
# AFTER is a shell program that runs once the files are back.
set -eu
umask 077
trial=$1 seconds=$2 after=$3
shift 3
dir=/var/lib/hostwright/undo/$trial
unit=hostwright-undo-$trial

# An undo that is at work right now ends first; what it puts back is then what gets saved.
if [ -e "$dir/armed" ]; then
    exec 9>>"$dir/armed.lock"
    flock 9
fi
# Armed already: an earlier run was cut off. What it saved is the state that worked; only the clock restarts.
if [ ! -e "$dir/armed" ]; then
    rm -rf -- "$dir"
    [ -d /var/lib/hostwright ] || mkdir -m 0755 /var/lib/hostwright
    mkdir -p "$dir/files"
    for file in "$@"; do
        printf '%s\n' "$file" >>"$dir/list"
        if [ -e "$file" ]; then
            mkdir -p "$dir/files${file%/*}"
            cp -a -- "$file" "$dir/files$file"
        fi
    done
    printf '%s\n' "$after" >"$dir/after"
    cat >"$dir/undo"
    : >"$dir/armed"
    # These alone: a sync of everything waits for every other writer of the host.
    find "$dir" -exec sync -- '{}' +
    sync -- /var/lib/hostwright/undo /var/lib/hostwright
fi

umask 022
cat >"/etc/systemd/system/$unit.service" <<END
[Unit]
Description=Put back what worked before the unconfirmed change of $trial

[Service]
Type=oneshot
ExecStart=/bin/sh $dir/undo
END
# A unit in /etc and enabled, not a transient one: a reboot in between must not make the change stay.
cat >"/etc/systemd/system/$unit.timer" <<END
[Unit]
Description=Undo the change of $trial unless it is confirmed

[Timer]
OnActiveSec=$seconds
AccuracySec=1s

[Install]
WantedBy=timers.target
END
systemctl enable --no-reload --quiet "$unit.timer"
# Units that systemd never heard of it reads by itself, in no time.
if systemctl show --property NeedDaemonReload "$unit.service" "$unit.timer" | grep -q yes; then
    systemctl daemon-reload
fi
systemctl restart "$unit.timer"

# Say how sshd is configured, in effect and on disk, one "word value" a line.
# usage: sshd-state.sh DROP_IN
set -eu
export LC_ALL=C
drop_in=$1
login=${SUDO_USER:-$(id -un)}
echo "login $login"
if [ -e /var/lib/hostwright/undo/sshd/armed ]; then echo "armed yes"; fi
if ! command -v sshd >/dev/null; then exit 0; fi
echo "installed yes"
about=
if [ -f "$drop_in" ] && [ ! -L "$drop_in" ]; then
    digest=$(sha256sum <"$drop_in")
    about=$(stat -c '%Y %U:%G:%a' "$drop_in")
    echo "file ${about#* } ${digest%% *}"
fi

# By the shell alone, here and below: each program more is 1 to 2 ms of a core more.
# The first value sshd meets counts, so the drop-ins must come before anything else in the main file.
while read -r word value || [ -n "$word" ]; do
    case $word in
    '' | '#'*) ;;
    [Ii][Nn][Cc][Ll][Uu][Dd][Ee])
        case $value in */etc/ssh/sshd_config.d/\*.conf*) echo "include yes" && break ;; esac
        ;;
    *) break ;;
    esac
done </etc/ssh/sshd_config

# sshd keeps what it read when it was started or last reloaded, in whole seconds.
if [ -n "$about" ]; then
    since= state=
    while IFS='=' read -r word value; do
        case $word in StateChangeTimestamp) since=${value#@} ;; ActiveState) state=$value ;; esac
    done <<END
$(systemctl show --timestamp=unix --property=StateChangeTimestamp,ActiveState ssh.service)
END
    case $state in
    active | reloading) if [ "${about%% *}" -gt "$since" ]; then echo "stale yes"; fi ;;
    esac
fi

[ -d /run/sshd ] || mkdir -p -m 0755 /run/sshd
effective=$(sshd -T -C "user=$login,host=localhost,addr=127.0.0.1")
files=
while read -r word value; do
    printf '%s\n' "effective $word${value:+ $value}" # dash's echo would take a backslash for its own
    if [ "$word" = authorizedkeysfile ]; then files="$files $value"; fi
done <<END
$effective
END

entry=$(getent passwd "$login")
home=${entry%:*}
home=${home##*:}
keys=0
for file in $files; do
    case $file in *%*) file=$(printf '%s\n' "$file" | sed "s|%h|$home|g; s|%u|$login|g; s|%%|%|g") ;; esac
    case $file in
    /*) ;;
    *) file=$home/$file ;;
    esac
    if [ -r "$file" ]; then
        # grep -c says 1 where it counts none, and prints the 0 all the same.
        found=$(grep -cE '(^|[[:space:]])(ssh-|ecdsa-|sk-)[a-z0-9@.-]+[[:space:]]+AAAA' "$file" || [ $? -eq 1 ])
        keys=$((keys + found))
    fi
done
echo "keys $keys"

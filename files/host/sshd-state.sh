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
if [ -f "$drop_in" ] && [ ! -L "$drop_in" ]; then
    echo "file $(stat -c '%U:%G:%a' "$drop_in") $(sha256sum <"$drop_in" | cut -d ' ' -f 1)"
fi

# The first value sshd meets counts, so the drop-ins must come before anything else in the main file.
awk 'tolower($1) == "include" && $0 ~ /\/etc\/ssh\/sshd_config\.d\/\*\.conf/ { print "include yes"; exit }
     /^[[:space:]]*(#|$)/ || tolower($1) == "include" { next }
     { exit }' /etc/ssh/sshd_config

# sshd keeps what it read when it was started or last reloaded, in whole seconds.
since=$(systemctl show --timestamp=unix --property=StateChangeTimestamp --value ssh.service)
if [ -f "$drop_in" ] && systemctl is-active --quiet ssh.service && [ "$(stat -c %Y "$drop_in")" -gt "${since#@}" ]; then
    echo "stale yes"
fi

mkdir -p -m 0755 /run/sshd
effective=$(sshd -T -C "user=$login,host=localhost,addr=127.0.0.1")
printf '%s\n' "$effective" | sed 's/^/effective /'

home=$(getent passwd "$login" | cut -d : -f 6)
keys=0
for file in $(printf '%s\n' "$effective" | sed -n 's/^authorizedkeysfile //p'); do
    file=$(printf '%s\n' "$file" | sed "s|%h|$home|g; s|%u|$login|g; s|%%|%|g")
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

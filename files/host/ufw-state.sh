# Say how the firewall stands, one "word value" a line.
set -eu
export LC_ALL=C

# The port of the login in use: sudo drops SSH_CONNECTION, so ask the processes above this one for theirs.
pid=$$
port=
case ${SSH_CONNECTION-} in *\ *[0-9]) port=${SSH_CONNECTION##* } ;; esac
while [ "$pid" -gt 1 ] && [ -z "$port" ]; do
    if [ -r "/proc/$pid/environ" ]; then
        port=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=.* \([0-9]*\)$/\1/p')
    fi
    while read -r word value; do
        if [ "$word" = PPid: ]; then pid=$value; fi
    done <"/proc/$pid/status"
done
if [ -n "$port" ]; then
    echo "port $port"
elif command -v sshd >/dev/null; then
    sshd -T | sed -n 's/^port /port /p'
fi

if [ -e /var/lib/hostwright/undo/ufw/armed ]; then echo "armed yes"; fi
if ! command -v ufw >/dev/null; then exit 0; fi
echo "installed yes"
# By the shell alone, here and below: each program more is 1 to 2 ms of a core more.
while IFS='=' read -r word value || [ -n "$word" ]; do
    if [ "$word" = ENABLED ]; then echo "enabled $value"; fi
done </etc/ufw/ufw.conf
ipv6=
while IFS='=' read -r word value || [ -n "$word" ]; do
    case $word in
    DEFAULT_INPUT_POLICY) echo "incoming $value" ;;
    DEFAULT_OUTPUT_POLICY) echo "outgoing $value" ;;
    IPV6)
        echo "ipv6 $value"
        ipv6=$value
        ;;
    esac
done </etc/default/ufw
# By its links, where they are as its package made them, for to ask takes 4 ms. Exit code 1 is "disabled" or
# "masked", which it also says.
unit=/systemd/system/ufw.service
if [ -e /etc/systemd/system/multi-user.target.wants/ufw.service ] && ! [ -L "/etc$unit" ] &&
    ! [ -e "/etc$unit" ] && ! [ -L "/run$unit" ]; then
    echo "boot enabled"
else
    echo "boot $(systemctl is-enabled ufw.service || [ $? -eq 1 ])"
fi
# The chains that `ufw status` looks for, without the 50 ms that it takes; all that there are in one go.
loaded() {
    chains=$("$1" -S) || return 1
    for direction in input output forward; do
        case "
$chains
" in
        *"
-N $2-$direction
"*) ;;
        *) return 1 ;;
        esac
    done
}
status=active
if ! loaded iptables ufw-user; then
    status=inactive
else
    case $ipv6 in [yY][eE][sS] | \"[yY][eE][sS]\") loaded ip6tables ufw6-user || status=inactive ;; esac
fi
echo "status $status"
# It takes 50 ms to say what these files say; ufw-apply.sh kept its words, beside their digest.
# Where it has kept none, ufw is asked.
kept=/var/lib/hostwright/ufw-rules
digest=
if [ -r "$kept" ]; then read -r digest <"$kept" || :; fi
if [ "$digest" = "$(cat /etc/ufw/user.rules /etc/ufw/user6.rules | sha256sum)" ]; then
    while IFS= read -r line; do
        if [ "$line" != "$digest" ]; then printf '%s\n' "$line"; fi
    done <"$kept"
else
    ufw show added | sed -n 's/^ufw /rule /p'
fi

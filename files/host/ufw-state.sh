# Say how the firewall stands, one "word value" a line.
set -eu
export LC_ALL=C

# The port of the login in use: sudo drops SSH_CONNECTION, so ask the processes above this one for theirs.
pid=$$
port=
while [ "$pid" -gt 1 ] && [ -z "$port" ]; do
    if [ -r "/proc/$pid/environ" ]; then
        port=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=.* \([0-9]*\)$/\1/p')
    fi
    pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
done
if [ -n "$port" ]; then
    echo "port $port"
elif command -v sshd >/dev/null; then
    sshd -T | sed -n 's/^port /port /p'
fi

if [ -e /var/lib/hostwright/undo/ufw/armed ]; then echo "armed yes"; fi
if ! command -v ufw >/dev/null; then exit 0; fi
echo "installed yes"
sed -n 's/^ENABLED=/enabled /p' /etc/ufw/ufw.conf
sed -n 's/^DEFAULT_INPUT_POLICY=/incoming /p; s/^DEFAULT_OUTPUT_POLICY=/outgoing /p; s/^IPV6=/ipv6 /p' \
    /etc/default/ufw
# Exit code 1 is "disabled" or "masked", which it also says.
echo "boot $(systemctl is-enabled ufw.service || [ $? -eq 1 ])"
# The chains that `ufw status` looks for, without the 50 ms that it takes.
loaded() {
    for direction in input output forward; do
        iptables -n -L "ufw-user-$direction" >/dev/null 2>&1 || return 1
        if [ "$ipv6" = yes ]; then ip6tables -n -L "ufw6-user-$direction" >/dev/null 2>&1 || return 1; fi
    done
}
ipv6=$(sed -n 's/^IPV6=//p' /etc/default/ufw | tr -d '"' | tr '[:upper:]' '[:lower:]')
if loaded; then echo "status active"; else echo "status inactive"; fi
# It takes 50 ms to say what these files say; ufw-apply.sh kept its words, beside their digest.
# Where it has kept none, sed's word about that is no news, and ufw is asked.
kept=/var/lib/hostwright/ufw-rules
if [ "$(sed -n 1p "$kept" 2>/dev/null)" = "$(cat /etc/ufw/user.rules /etc/ufw/user6.rules | sha256sum)" ]; then
    sed 1d "$kept"
else
    ufw show added | sed -n 's/^ufw /rule /p'
fi

# Bring the firewall to what is declared. While it works, an undo is armed (reconnect-arm.sh).
# usage: ufw-apply.sh INCOMING OUTGOING        lines "add RULE" and "delete RULE" on standard input
set -eu
export LC_ALL=C
incoming=$1 outgoing=$2
trap 'rc=$?; [ "$rc" -eq 0 ] || sh /var/lib/hostwright/undo/ufw/undo' EXIT
trap 'exit 1' HUP INT TERM

if ! command -v ufw >/dev/null; then
    echo "ufw is not installed; install the package ufw first" >&2
    exit 1
fi
if ! grep -q '^IPV6=yes$' /etc/default/ufw; then
    # Before the rules: ufw writes their IPv6 half only while this says yes.
    sed -i 's/^IPV6=.*/IPV6=yes/' /etc/default/ufw
    grep -q '^IPV6=yes$' /etc/default/ufw || echo 'IPV6=yes' >>/etc/default/ufw
fi
while read -r verb rule; do
    # xargs takes the quotes of a comment off, as the shell did for whoever typed the rule.
    case $verb in
    add) printf '%s\n' "$rule" | xargs ufw ;;
    delete) printf '%s\n' "$rule" | xargs ufw --force delete ;;
    *) echo "ufw-apply.sh: unknown verb $verb" >&2 && exit 2 ;;
    esac
done
# ufw rewrites its files for a policy that is the same.
policy() {
    case $1 in
    deny) echo DROP ;;
    *) echo "$1" | tr '[:lower:]' '[:upper:]' | sed 's/^ALLOW$/ACCEPT/' ;;
    esac
}
if ! grep -q "^DEFAULT_INPUT_POLICY=\"$(policy "$incoming")\"" /etc/default/ufw; then ufw default "$incoming" incoming; fi
if ! grep -q "^DEFAULT_OUTPUT_POLICY=\"$(policy "$outgoing")\"" /etc/default/ufw; then ufw default "$outgoing" outgoing; fi
# Its package enables it; to say so again takes as long as all of the rest, for its script of System V.
systemctl is-enabled --quiet ufw.service || systemctl enable --quiet ufw.service
if ufw status | grep -q '^Status: active'; then
    # An earlier run may have been cut off between writing a rule and making it live.
    ufw reload
else
    ufw --force enable
fi
# For ufw-state.sh. Whoever changes the rules by another way changes the digest, too.
kept=/var/lib/hostwright/ufw-rules
{
    cat /etc/ufw/user.rules /etc/ufw/user6.rules | sha256sum
    ufw show added | sed -n 's/^ufw /rule /p'
} >"$kept.new"
mv -f "$kept.new" "$kept"

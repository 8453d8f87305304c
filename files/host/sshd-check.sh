# Check a new drop-in as part of the whole configuration, before it counts.
# usage: sshd-check.sh FILE LOGIN "keyword value"...        each of these must be what sshd then does
set -eu
export LC_ALL=C
file=$1 login=$2
shift 2
whole=$(mktemp)
trap 'rm -f -- "$whole"' EXIT
{
    echo "Include $file"
    cat /etc/ssh/sshd_config
} >"$whole"
mkdir -p -m 0755 /run/sshd
sshd -t -f "$whole"
effective=$(sshd -T -f "$whole" -C "user=$login,host=localhost,addr=127.0.0.1")
for wanted in "$@"; do
    if ! printf '%s\n' "$effective" | grep -qixF -- "$wanted"; then
        echo "sshd would not do '$wanted' for $login: another setting, such as a Match block, overrides it:" >&2
        printf '%s\n' "$effective" | grep -i -- "^${wanted%% *} " >&2
        exit 1
    fi
done

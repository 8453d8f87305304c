# Make sshd read its configuration again; sessions that are open live on.
# usage: sshd-reload.sh LOGIN "keyword value"...
set -eu
export LC_ALL=C
login=$1
shift
sshd -t
# Behind ssh.socket it may not be running; the next connection then starts it with what is on disk.
if systemctl is-active --quiet ssh.service; then
    systemctl reload ssh.service
fi
effective=$(sshd -T -C "user=$login,host=localhost,addr=127.0.0.1")
for wanted in "$@"; do
    if ! printf '%s\n' "$effective" | grep -qixF -- "$wanted"; then
        echo "sshd does not do '$wanted' for $login although it was declared; look for it in /etc/ssh" >&2
        exit 1
    fi
done

# Make the restored configuration of sshd take effect.
set -eu
sshd -t
if systemctl is-active --quiet ssh.service; then
    systemctl reload ssh.service
fi

# Make an empty directory that the login may upload an archive to and that nobody else can enter.
# usage: release-receive.sh APP
set -eu
umask 077
base=/var/lib/hostwright-upload
# The login behind sudo or doas owns it: uploads are made by the login itself, not by root.
owner=${SUDO_USER:-${DOAS_USER:-root}}
install -d -m 0711 -o root -g root "$base"
# What an earlier, interrupted upload left behind.
rm -rf -- "${base:?}/$1"
install -d -m 0700 -o "$owner" -g root "$base/$1"

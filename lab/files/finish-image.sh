#!/bin/sh
# Make an unpacked system ready to become many hosts: no identity of its own, an administrator, its network unit.
# usage: finish-image.sh ROOT   (run by mmdebstrap, once an image)
set -eu
root=$1
here=$(dirname "$0")
# mmdebstrap writes down the options of the build; a real host has none of them.
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/resolv.conf
: >"$root"/etc/machine-id
install -d -m 0700 "$root"/root/.ssh
chroot "$root" useradd --create-home --shell /bin/bash --user-group admin
chroot "$root" install -d -m 0700 -o admin -g admin /home/admin/.ssh
echo 'admin ALL=(ALL) NOPASSWD:ALL' >"$root"/etc/sudoers.d/90-lab-admin
chmod 0440 "$root"/etc/sudoers.d/90-lab-admin
install -m 0644 "$here"/lab-network.service "$root"/etc/systemd/system/lab-network.service
install -d "$root"/etc/systemd/system/sysinit.target.wants
ln -s ../lab-network.service "$root"/etc/systemd/system/sysinit.target.wants/lab-network.service
# The kernel is this machine's: there are no modules of its own to load, and a unit that fails would look like
# a host that is not well.
ln -s /dev/null "$root"/etc/systemd/system/systemd-modules-load.service

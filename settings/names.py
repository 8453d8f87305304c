"""Names that belong to the system: an app or user of that name would take over what others need."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from settings.types import Slug

# ruff: noqa: SIM905 - lists of names read better as text.
# Directories below /etc, units and logrotate files of the base system and of what the layers install.
SYSTEM_APPS = frozenset(
    "alternatives apparmor apt chrony cloud cron dbus default dhcp dpkg fail2ban fonts fwupd getty grub gss "
    "hostwright init initramfs_tools iptables kernel ldap logcheck logrotate lvm lxd mdadm multipath "
    "netplan network networkd networking nftables nginx opt pam perl plymouth polkit postgres postgresql "
    "ppp profile python python3 rc rsyslog security selinux skel snmp ssh sshd ssl sudo sudoers supervisor "
    "supervisord sv sysctl syslog systemd terminfo timezone tmpfiles udev udisks2 ufw update_motd user users "
    "unattended_upgrades vim vmware w3m xattr xdg".split()
)
# Accounts and privileged groups of Debian, Ubuntu and their cloud images.
SYSTEM_USERS = frozenset(
    "adm admin backup bin cdrom crontab daemon dbus debian dip disk docker fax floppy games gnats irc kmem "
    "kvm libvirt list lp lxd mail man messagebus netdev news nobody nogroup operator plugdev polkitd "
    "postgres proxy render root sasl shadow src ssh sshd staff sudo sync sys syslog tape tss tty ubuntu ufw "
    "users utmp uucp uuidd vagrant video voice wheel www-data".split()
)
DATABASE_WORDS = frozenset("all postgres replication samerole sameuser template0 template1".split())
ROLE_WORDS = frozenset("all current_role current_user none postgres public replication session_user".split())
ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


def _app(value: str) -> str:
    if value in SYSTEM_APPS or value.startswith(("systemd_", "dbus_")):
        raise ValueError(
            f"is a name of the system's own files and units; choose another, such as '{value}_app'"
        )
    return value


def _user(value: str) -> str:
    if not USER.fullmatch(value):
        raise ValueError("is not a user name; use a-z, 0-9, _ and -, beginning with a letter")
    if value in SYSTEM_USERS or value.startswith(("systemd-", "_")):
        raise ValueError("is an account or group of the system; give the app a user of its own")
    return value


def _role(value: str) -> str:
    if not ROLE.fullmatch(value):
        raise ValueError("is not a PostgreSQL name; use letters, digits, _ and -, beginning with a letter")
    if value.lower() in ROLE_WORDS or value.lower().startswith("pg_"):
        raise ValueError("is a role or word of PostgreSQL's own; choose another")
    return value


def _database(value: str) -> str:
    if not ROLE.fullmatch(value):
        raise ValueError("is not a PostgreSQL name; use letters, digits, _ and -, beginning with a letter")
    if value.lower() in DATABASE_WORDS:
        raise ValueError("is a database or word of PostgreSQL's own; choose another")
    return value


AppName = Annotated[Slug, AfterValidator(_app)]
UserName = Annotated[str, AfterValidator(_user)]
RoleName = Annotated[str, AfterValidator(_role)]
DatabaseName = Annotated[str, AfterValidator(_database)]

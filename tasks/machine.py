"""The machine itself: packages, SSH, firewall, swap."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from operations import packages, sshd, swap, ufw
from settings import FirewallRule, Settings
from tasks import backups, monitoring, pool, recovery
from tasks.origin import comes_from

# What the other layers are made of. The rest is in group_data.
BASE_PACKAGES = [
    "logrotate",
    "postgresql",
    "postgresql-contrib",
    "python3",
    "python3-pip",
    "python3-venv",
    "supervisor",
    "ufw",
]
# What starts a cluster as soon as its package is installed, with settings that are to be others.
POSTGRESQL = "postgresql.service"


def packages_of(settings: Settings) -> list[str]:
    """Return all packages that a host is to have."""
    pooled = [pool.PACKAGE] if pool.wanted(settings) else []
    own = [*backups.packages(settings), *recovery.packages(settings), *monitoring.packages_of(settings)]
    return [*BASE_PACKAGES, *pooled, *settings.packages, *own]


@deploy("First boot")
def python() -> None:
    """What recording the host needs: a first boot that has ended, and Python."""
    packages.ready(name="Wait for the first boot to end")
    packages.installed(name="Have Python on the host", packages=["python3"], recommends=False)


@comes_from("packages")
@deploy("Packages")
def install(settings: Settings) -> None:
    """Upgrades and packages."""
    packages.masked(
        name="Keep the package's own supervisor off",
        unit="supervisor.service",
        used_by=["/etc/supervisor/conf.d/*.conf"],
    )
    packages.masked(
        name="Keep PostgreSQL off until it has its settings",
        unit=POSTGRESQL,
        used_by=["/etc/postgresql/*/*/postgresql.conf"],
    )
    if pool.wanted(settings):
        packages.masked(name="Keep the package's own pgbouncer off", unit=pool.PACKAGES_UNIT)
    monitoring.keep_off(settings)
    if settings.upgrade:
        packages.upgraded(name="Install pending upgrades")
    packages.installed(
        name="Install the packages",
        packages=packages_of(settings),
        recommends=settings.install_recommends,
    )


@comes_from("ssh")
@deploy("SSH")
def login(settings: Settings, user: str) -> None:
    """
    Who may log in, and how.

    + user: the login that this run uses
    """
    if settings.ssh.authorized_keys:
        # Most runs do without it, and it takes a twentieth of a second.
        from pyinfra.operations import server  # as said

        server.user_authorized_keys(
            name=f"Let {len(settings.ssh.authorized_keys)} keys log in as {user}",
            user=user,
            public_keys=list(settings.ssh.authorized_keys),
        )
    sshd.config(
        name="Let people in by key only" if settings.ssh.key_only else "Let people in by key or password",
        password_authentication=not settings.ssh.key_only,
    )


@comes_from("firewall")
@deploy("Firewall")
def close(settings: Settings) -> None:
    """Everything closed but SSH and what is declared."""
    if not settings.firewall.enabled:
        return
    public = [
        FirewallRule(port=port, comment=f"{service}")
        for port, service in sorted(settings.public_ports().items())
    ]
    ssh_from = [source for source in settings.firewall.ssh_from if source != "any"]
    ufw.firewall(
        name="Close every port that is not declared",
        allow=[
            *(_rule(rule) for rule in [*public, *settings.firewall.allow]),
            *monitoring.ways_in(settings),
        ],
        ssh_from=None if "any" in settings.firewall.ssh_from else ssh_from,
    )


def _rule(rule: FirewallRule) -> ufw.Rule:
    source = None if rule.source == "any" else rule.source
    return ufw.Rule(port=rule.port, proto=rule.protocol, source=source, comment=rule.comment or None)


@comes_from("swap")
@deploy("Swap")
def swap_file(settings: Settings) -> None:
    """The swap file, or none."""
    if settings.swap is None:
        return
    if settings.swap.size is None:
        swap.absent(path=settings.swap.path, name=f"Remove the swap file {settings.swap.path}")
        return
    swap.file(
        path=settings.swap.path,
        name=f"Keep {settings.swap.size} of swap in {settings.swap.path}",
        size=settings.swap.size,
        swappiness=settings.swap.swappiness,
    )

"""In which order the lab's tests run, and which of them one worker keeps together."""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling

# Measured; so that no worker is left alone with a long one at the end. What is not here comes before them.
LONGEST_FIRST = (
    "test_promote",  # two bare hosts
    "test_deploy",
    "test_trial",
    "test_faults",
    "test_packages",  # on a bare host: it need not wait for the disks that others begin with
    "test_portfolio",
    "test_monitoring",
    "test_monitoring_many",  # two hosts
    "test_restore",
    "test_bad_releases",
    "test_acceptance_damage",
    "test_postgres",
    "test_apps",
    "test_backups",
    "test_tuning",
    "test_migrations_sql",
    "test_roles",
    "test_services",
    "test_pitr",
    "test_pitr_bucket",
    "test_pool",
    "test_connector",
    "test_drift",
    "test_config_guard",
    "test_gates",
    "test_diagnose",
    "test_dashboard",  # no host: a browser
    "test_report_page",  # the same
    "test_ufw",
    "test_swap",
    "test_release",
    "test_sshd",
    "test_lab",
    "test_restarts",
    "test_init",
    "test_upload",
    "test_migrations",
    "test_accounts",
    "test_atomic",
    "test_bare",
    "test_preflight",
    "test_user_data",
)
IMAGE = re.compile(r"\[(?:.*-)?(bookworm|trixie)(?:-.*)?\]$")


def scope(nodeid: str) -> str:
    """Name what has to stay together: the tests of one module on one host."""
    module, _, test = nodeid.partition("::")
    image = IMAGE.search(test)
    return f"{module}@{image[1]}" if image else module


def rank(nodeid: str) -> tuple[int, str]:
    """Return where a test belongs in the order; tests of one host keep the order that they have."""
    module = nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py")
    return (LONGEST_FIRST.index(module) if module in LONGEST_FIRST else -1, scope(nodeid))


class HostScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
    """Hand out hosts, where the class that it is made of hands out modules."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)

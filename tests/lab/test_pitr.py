"""Recovery to a moment on real hosts: what is archived, what comes back, and what is left when it is off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from declared import DeclaredHost
from operations.pgbackrest import RECOVERED, TIMERS
from settings.recovery import RecoverySettings
from tests.acceptance import test_recovery as acceptance
from tests.acceptance.remote import _program
from tests.lab import warm
from tests.lab.playbook import LabHost, fingerprint, run, shell, ssh
from tests.lab.project import Deployed, copy

TEMPLATE = "packages"
ONE_LOGIN = True
ON_ONE = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
NOBODY = cast("DeclaredHost", None)
QUEUE = "48M"  # three segments
DEPLOY = """
from pathlib import Path
from operations import packages
from settings import Settings
from tasks import database, recovery
settings = Settings(environment="lab", postgresql={{"recovery": {recovery}}})
if recovery.packages(settings):
    packages.installed(name="package", packages=recovery.packages(settings))
database.server(settings=settings, project=Path("/"))
"""
ON = DEPLOY.format(recovery={"queue": QUEUE, "keep_full": 1})
OFF = DEPLOY.format(recovery={"enabled": False})
VERB = "from operations import pgbackrest\npgbackrest.{}\n"


def sql(host: LabHost, statement: str, *, where: str = "", database: str = "postgres") -> str:
    psql = f"cd / && runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 {where} -d {database}"
    return shell(host, psql, stdin=statement)


def pid(host: LabHost) -> str:
    return shell(host, "head -n 1 /var/lib/postgresql/*/main/postmaster.pid")


def seen(host: LabHost) -> Any:
    """Look at the host as the acceptance suite does."""
    about = {"stanza": "main", "timers": TIMERS, "port": 5432, "repository": "/var/lib/pgbackrest"}
    return json.loads(shell(host, f"python3 -I - '{json.dumps(about)}'", stdin=_program("recovery.py")))


def refused(host: LabHost) -> set[str]:
    """Name the acceptance tests that fail."""
    found, failed = seen(host), set()
    for test in (
        acceptance.test_every_change_is_archived,
        acceptance.test_nothing_is_missing_in_the_archive,
        acceptance.test_recovery_timers_wait,
        acceptance.test_repository_has_room,
    ):
        try:
            test(NOBODY, found)
        except AssertionError:
            failed.add(test.__name__)
    try:
        acceptance.test_recovery_backups_are_recent(NOBODY, RecoverySettings(), found)
    except AssertionError:
        failed.add("test_recovery_backups_are_recent")
    return failed


def wait(until: Callable[[], bool], otherwise: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)


def backed_up(host: LabHost) -> None:
    """Wait for the full backup that is being made."""
    unit = "hostwright-recovery-full.service"
    shell(host, f"while [ $(systemctl is-active {unit}) = activating ]; do sleep 0.3; done", timeout=180)
    assert shell(host, f"systemctl show -P Result {unit}") == "success", shell(host, f"journalctl -u {unit}")


@pytest.fixture(scope="module")
def server(lab_host: LabHost) -> LabHost:
    """Declare it, deploy once, and wait for the first backup."""
    first = run(lab_host, ON).ok()
    assert "a full one has begun" in first.output
    backed_up(lab_host)
    return lab_host


def test_again_changes_nothing(server: LabHost) -> None:
    assert refused(server) == set()
    before = (fingerprint(server, "/etc", "/var/lib/pgbackrest"), pid(server))
    again = run(server, ON).ok()
    assert (again.changed, len(again.unchanged)) == ([], 6)
    assert (fingerprint(server, "/etc", "/var/lib/pgbackrest"), pid(server)) == before


@ON_ONE
def test_bad_configuration_is_refused(server: LabHost) -> None:
    before = fingerprint(server, "/etc")
    call = "configured(queue='99999T')"
    result = run(server, VERB.format(call))
    assert result.rc != 0
    assert "refuses the configuration" in result.output, result.output
    after = fingerprint(server, "/etc")
    assert {k: v for k, v in after.items() if k != "/etc/pgbackrest"} == {
        k: v for k, v in before.items() if k != "/etc/pgbackrest"
    }


@pytest.fixture(scope="module")
def project(server: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A project that declares it, as a user's does."""
    made = Deployed(server, "root", copy(tmp_path_factory.mktemp("clone")))
    declared = made.project / "group_data" / "all.py"
    before = declared.read_text()
    declared.write_text(before.replace('"recovery": None', '"recovery": {}'))
    assert declared.read_text() != before
    return made


def recover(project: Deployed, data: str) -> tuple[int, str]:
    """Run the verb itself."""
    argv = project.command("-y", "--data", data, verb="recover.py")[1:]
    rc, stdout, stderr = warm.run(argv, cwd=project.project, env=project.environ(), timeout=600)
    return rc, stdout + stderr


def test_back_to_a_moment(server: LabHost, project: Deployed) -> None:
    """Rows before it are there, later ones are not, and the running server has all of them still."""
    sql(server, "create database shop")
    sql(server, "create table t (v text); insert into t values ('before')", database="shop")
    time.sleep(1.1)
    to = sql(
        server, "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS') || '+00:00'"
    )
    time.sleep(1.1)
    sql(server, "insert into t values ('after'); create table u ()", database="shop")
    sql(server, "alter system set work_mem = '5MB'")  # comes along, and must not matter
    before = pid(server)

    for outside in ("2020-01-01 00:00:00+00:00", "2090-01-01 00:00:00+00:00"):
        rc, said = recover(project, f"to={outside}")
        assert rc != 0
        assert "cannot be recovered: from 20" in said, said
    assert ssh(server, f"test -e {RECOVERED}").returncode == 1

    rc, said = recover(project, f"to={to}")
    assert rc == 0, said
    assert "shop: 1 tables" in said, said
    there = f"-h {RECOVERED} -p 5433"
    assert sql(server, "select v from t", where=there, database="shop") == "before"
    assert sql(server, "show archive_mode", where=there) == "off"
    assert (sql(server, "select count(*) from t", database="shop"), pid(server)) == ("2", before)
    # What was lost is taken from it into a database beside the running one.
    shell(
        server,
        f"cd / && runuser -u postgres -- sh -ec 'createdb shop_then; pg_dump -Fc {there} shop >/tmp/then;"
        " pg_restore -e -d shop_then /tmp/then'",
    )
    assert sql(server, "select v from t", database="shop_then") == "before"
    rc, said = recover(project, f"to={to}")
    assert rc != 0
    assert "end=1" in said, said
    rc, said = recover(project, "end=1")
    assert rc == 0, said
    assert ssh(server, f"test -e {RECOVERED}").returncode == 1
    assert shell(server, "systemctl list-units --all --no-legend 'hostwright-recovered*'") == ""
    assert pid(server) == before
    sql(server, "alter system reset work_mem")
    assert refused(server) == set()


@ON_ONE
def test_repository_that_takes_nothing_stops_nobody(server: LabHost) -> None:
    """The server goes on, keeps little, the acceptance suite says so, and the next deploy heals it."""
    archive = "/var/lib/pgbackrest/archive/main/*/*"
    shell(server, f"chmod 0500 {archive}")
    try:
        sql(server, "create table if not exists busy (v text)")
        sql(server, "insert into busy values ('x'); select pg_switch_wal()")
        wait(
            lambda: "test_every_change_is_archived" in refused(server), "nobody says that nothing is archived"
        )
        for _ in range(5):
            sql(server, "insert into busy values ('x'); select pg_switch_wal()")
        ready = "select count(*) from pg_ls_dir('pg_wal/archive_status') f where f like '%.ready'"
        wait(lambda: int(sql(server, ready)) <= 3, "more waits than may")
        assert sql(server, "select count(*) from busy") == "6"
    finally:
        shell(server, f"chmod 0750 {archive}")
    sql(server, "insert into busy values ('x'); select pg_switch_wal()")
    lost = {"test_nothing_is_missing_in_the_archive"}
    wait(lambda: refused(server) == lost, "nobody says what was lost, and nothing else")
    healed = run(server, ON).ok()
    assert len(healed.changed) == 1
    backed_up(server)
    assert refused(server) == set()


def test_off_leaves_the_repository_and_no_changes_that_wait(server: LabHost) -> None:
    off = run(server, OFF).ok()
    assert len(off.changed) == 2
    assert sql(server, "show archive_mode") == "off"
    sql(server, "create table if not exists busy (v text)")
    for _ in range(3):
        sql(server, "insert into busy values ('x'); select pg_switch_wal(); checkpoint")
    assert (
        sql(server, "select count(*) from pg_ls_dir('pg_wal/archive_status') f where f like '%.ready'") == "0"
    )
    assert shell(server, "ls /var/lib/pgbackrest") != ""
    assert shell(server, "systemctl list-timers --all --no-legend 'hostwright-recovery*'") == ""
    assert ssh(server, "test -e /etc/pgbackrest/pgbackrest.conf").returncode == 1
    assert run(server, OFF).ok().changed == []
    # On again: what happened meanwhile is in no archive, so a new backup is made.
    assert "missing since the newest backup" in run(server, ON).ok().output
    backed_up(server)
    assert refused(server) == set()

"""Recovery out of a bucket on another machine: what is in it, what is not, and a host that is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from operations.pgbackrest import CONFIG, RECOVERED
from tasks.recovery import SECRETS
from tests.lab.playbook import LabHost, Result, fingerprint, run, shell, ssh
from tests.lab.store import Store, serving
from tests.lab.test_pitr import DEPLOY, backed_up, pid, sql

TEMPLATE = "packages"
ONE_LOGIN = True
# pgBackRest of both images is in test_pitr.py; here it is where the repository lies.
pytestmark = pytest.mark.images("bookworm")
RECOVER = """
from settings import Settings
from tasks import recovery
recovery.{call}(settings=Settings(environment="lab", postgresql={{"recovery": {recovery}}}){more})
"""
WORD = "a-word-that-nobody-may-read-in-the-bucket"


def deploy(host: LabHost, store: Store, *flags: str, **recovery: object) -> Result:
    return run(host, DEPLOY.format(recovery={"s3": store.settings, **recovery}), *flags)


def recover(host: LabHost, store: Store, call: str, more: str = "", **recovery: object) -> Result:
    declared = {"s3": store.settings, **recovery}
    return run(host, RECOVER.format(call=call, recovery=declared, more=more))


def now(host: LabHost) -> str:
    """Return this moment, with what came before it and what comes after it in other seconds."""
    time.sleep(1.1)
    to = sql(
        host, "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS') || '+00:00'"
    )
    time.sleep(1.1)
    return to


@pytest.fixture(scope="module")
def store(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Have a store on this machine, and what opens it in the environment of whoever deploys."""
    directory = tmp_path_factory.mktemp("bucket")
    with pytest.MonkeyPatch.context() as patch, serving(lab_host, directory) as made:
        for name, value in made.environ.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def first(lab_host: LabHost, store: Store) -> Result:
    """Declare it, deploy once at the highest verbosity, and wait for the first backup."""
    made = deploy(lab_host, store, "-vvv").ok()
    backed_up(lab_host)
    return made


def test_the_repository_is_in_the_bucket_and_nobody_reads_it_there(
    lab_host: LabHost, store: Store, first: Result
) -> None:
    assert "a full one has begun" in first.output
    sql(lab_host, f"create table word (v text); insert into word values ('{WORD}')")
    sql(lab_host, "select pg_switch_wal()")
    shell(lab_host, "cd / && runuser -u postgres -- pgbackrest --stanza=main check", timeout=120)
    files = [path for path in store.directory.rglob("*") if path.is_file()]
    assert any("/backup/main/" in str(path) for path in files)
    assert any("/archive/main/" in str(path) for path in files)
    for path in files:
        assert path.read_bytes().startswith(b"Salted__"), path
    assert ssh(lab_host, "test -e /var/lib/pgbackrest/backup").returncode == 1


def test_secrets_are_where_they_belong_and_nowhere_else(
    lab_host: LabHost, store: Store, first: Result
) -> None:
    for value in store.environ.values():
        assert value not in first.output
        found = shell(
            lab_host, f"grep -rlF -e {value} /etc /run /var/lib/hostwright /var/log /var/lib/pgbackrest || :"
        ).splitlines()
        assert len([path for path in found if path.startswith(SECRETS)]) == 1
        assert [path for path in found if not path.startswith(SECRETS)] == [CONFIG]
    assert shell(lab_host, f"stat -c '%U %G %a' {CONFIG}") == "root postgres 640"
    assert shell(lab_host, f"stat -c '%U %G %a' {SECRETS} {SECRETS}/*").split("\n") == [
        "root root 700", *["root root 600"] * 3,
    ]  # fmt: skip


def test_again_changes_nothing(lab_host: LabHost, store: Store, first: Result) -> None:
    before = (fingerprint(lab_host, "/etc"), pid(lab_host))
    again = deploy(lab_host, store).ok()
    assert (again.changed, len(again.unchanged)) == ([], 7)
    assert (fingerprint(lab_host, "/etc"), pid(lab_host)) == before


def test_secret_that_is_not_there_stops_the_run(lab_host: LabHost, store: Store, first: Result) -> None:
    before = fingerprint(lab_host, "/etc")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STORE_PASSPHRASE")
        done = deploy(lab_host, store)
    assert done.rc != 0
    assert "postgresql.recovery.s3.passphrase: environment variable STORE_PASSPHRASE is not set" in (
        done.output
    )
    assert fingerprint(lab_host, "/etc") == before


def test_a_host_that_is_gone_comes_back_out_of_the_bucket(
    lab_host: LabHost, store: Store, first: Result
) -> None:
    """A new cluster that archives under another name recovers the old one, up to what it last archived."""
    sql(lab_host, "create database shop")
    sql(lab_host, "create table t (v text); insert into t values ('before')", database="shop")
    to = now(lab_host)
    sql(lab_host, "insert into t values ('after')", database="shop")
    shell(lab_host, "cd / && runuser -u postgres -- pgbackrest --stanza=main check", timeout=120)
    shell(
        lab_host,
        "version=$(ls /etc/postgresql); pg_dropcluster --stop $version main;"
        " rm -rf /etc/pgbackrest /etc/postgresql/$version/main; pg_createcluster --start $version main",
    )
    refused = deploy(lab_host, store)
    assert refused.rc != 0
    assert "backups of another cluster under this name" in refused.output, refused.output

    deploy(lab_host, store, stanza="later").ok()
    backed_up(lab_host)
    assert sql(lab_host, "select count(*) from pg_database where datname = 'shop'") == "0"
    late = recover(
        lab_host, store, "begin", ", to='2090-01-01 00:00:00+00:00', stanza='main'", stanza="later"
    )
    assert late.rc != 0
    assert "cannot be recovered: from 20" in late.output, late.output
    before = pid(lab_host)
    done = recover(lab_host, store, "begin", f", to={to!r}, stanza='main'", stanza="later").ok()
    assert "shop: 1 tables" in done.output
    there = f"-h {RECOVERED} -p 5433"
    assert sql(lab_host, "select v from t", where=there, database="shop") == "before"
    assert pid(lab_host) == before
    recover(lab_host, store, "end", stanza="later").ok()
    assert ssh(lab_host, f"test -e {RECOVERED}").returncode == 1

"""Indexes and memory settings on real hosts: the catalog, the server's PID and its clients are the judges."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest

from operations.postgres import memory
from tests.lab.playbook import LabHost, Result, run, shell, start
from tests.lab.project import Deployed, copy

TEMPLATE = "packages"
ONE_LOGIN = True
# The slow ones on one image: what is slow is a wait.
ON_ONE = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
DEPLOY = """
from operations import postgres
from operations.postgres import Index
postgres.indexes(name="indexes", database="app", lock_seconds=1, indexes=[
    Index("trades", ["ticker", "created_at DESC"]),
    Index("trades", ["lower( ticker )"], where="status IN ('a', 'b')", include=["id"], name="by_status"),
    Index("other.trades", ["v"], method="gin"),
])
"""
MADE = "trades_ticker_created_at_desc_idx"


def sql(host: LabHost, statements: str, database: str = "app") -> str:
    command = f"PGDATABASE={shlex.quote(database)} runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"
    return shell(host, f"cd / && {command}", stdin=statements)


def catalog(host: LabHost) -> str:
    tables = ("pg_class", "pg_index", "pg_attribute", "pg_depend")
    return sql(host, "".join(
        f"select md5(string_agg(t.xmin::text || t.ctid::text, ' ' order by t.ctid)) from {table} t;"
        for table in tables
    ))  # fmt: skip


def indexes(host: LabHost) -> dict[str, str]:
    rows = sql(host, """select relname || '=' || indisvalid
        from pg_index join pg_class c on c.oid = indexrelid
        where indrelid in ('trades'::regclass, 'other.trades'::regclass)""")  # fmt: skip
    return dict(row.split("=") for row in rows.splitlines())


@pytest.fixture(scope="module")
def server(lab_host: LabHost) -> LabHost:
    sql(lab_host, "create role owner login; create database app owner owner", "postgres")
    sql(lab_host, """set role owner; create schema other; create table other.trades (v int[]);
        create table trades (id int, ticker text, status text, created_at timestamptz default now());
        insert into trades select n, 't' || n % 50, 'a' from generate_series(1, 20000) n""")  # fmt: skip
    return lab_host


def test_indexes_are_made_once(server: LabHost) -> None:
    first = run(server, DEPLOY).ok()
    assert first.changed == ["indexes"]
    assert indexes(server) == {MADE: "true", "by_status": "true", "trades_v_idx": "true"}
    assert "owner" in sql(
        server, "select pg_get_userbyid(relowner) from pg_class where relname = 'by_status'"
    )
    before = catalog(server)
    # `by_status` is spelled otherwise than PostgreSQL does.
    assert run(server, DEPLOY).ok().unchanged == ["indexes"]
    assert catalog(server) == before


def test_another_one_of_the_name_is_an_error(server: LabHost) -> None:
    sql(server, f"drop index {MADE}; create index {MADE} on trades (ticker)")
    before = catalog(server)
    result = run(server, DEPLOY)
    assert result.rc != 0
    for words in ("is there and differs", "USING btree (ticker, created_at DESC)", "DROP INDEX CONCURRENTLY"):
        assert words in result.output, result.output
    assert catalog(server) == before
    sql(server, f"drop index {MADE}")
    run(server, DEPLOY).ok()


@ON_ONE
def test_nobody_waits_for_it_and_a_leftover_is_made_again(server: LabHost, tmp_path: Path) -> None:
    sql(server, f"drop index {MADE}")
    holder = "cd / && runuser -u postgres -- psql -Xqd app"
    begin = "begin; update trades set status = 'a' where id = 1; select pg_sleep(300);"
    shell(server, f"systemd-run -q --unit=holder sh -c {shlex.quote(f'{holder} -c {shlex.quote(begin)}')}")
    # It waits for the holder's transaction; then it is killed, and what it left is INVALID.
    process = start(server, DEPLOY.replace("lock_seconds=1", "lock_seconds=90"), directory=tmp_path)
    end = time.monotonic() + 360
    while indexes(server).get(MADE) != "false":
        assert time.monotonic() < end, "the making never began"
        time.sleep(0.3)
    process.kill()
    process.communicate()
    shell(server, "pkill -f '^python3 -I -c .*Make indexes'")
    sql(server, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'CREATE INDEX%'")
    assert indexes(server)[MADE] == "false"
    # While it is being made again, and does not get its locks, everybody reads and writes.
    refused = run(server, DEPLOY)
    assert refused.rc != 0
    assert "in a transaction for" in refused.output, refused.output
    sql(
        server, "set statement_timeout = '1s'; insert into trades values (0); delete from trades where id = 0"
    )
    gone = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%'"
    sql(server, f"{gone} and pid <> pg_backend_pid()")
    run(server, DEPLOY).ok()
    assert indexes(server)[MADE] == "true"
    assert run(server, DEPLOY).ok().changed == []


def test_values_that_are_there_twice_leave_nothing(server: LabHost) -> None:
    result = run(server, DEPLOY.replace("])\n", "    Index('trades', ['ticker'], unique=True)])\n"))
    assert result.rc != 0
    assert "could not create unique index" in result.output
    assert "trades_ticker_idx" not in indexes(server)


def set_(host: LabHost, given: str) -> Result:
    call = f"from operations import postgres\npostgres.settings(name='s', {given})\n"
    return run(host, call)


def test_memory_is_computed_and_restarts_only_where_it_must(server: LabHost) -> None:
    def pid() -> str:
        return shell(server, "head -n 1 /var/lib/postgresql/*/main/postmaster.pid")

    before = pid()
    # What a new server has anyway: no restart.
    set_(server, "settings={'work_mem': '6MB'}, memory='512M'").ok()
    assert pid() == before
    shown = (
        "select setting || coalesce(unit, '') from pg_settings where name in ('shared_buffers', 'work_mem')"
    )
    assert sql(server, f"{shown} order by name", "postgres").split() == ["163848kB", "6144kB"]
    assert set_(server, "settings={'work_mem': '6MB'}, memory='512M'").ok().changed == []
    kilobytes = int(shell(server, "awk '/^MemTotal/ { print $2 }' /proc/meminfo"))
    expected = memory.settings(memory.nominal(kilobytes))
    # A test host has the RAM of the whole machine: not its memory, only its configuration, is looked at.
    set_(server, "settings={'shared_buffers': '128MB'}, memory='auto'").ok()
    assert pid() == before
    cache = sql(
        server, "select setting::int8 * 8 / 1024 from pg_settings where name = 'effective_cache_size'"
    )
    assert f"{cache}MB" == expected["effective_cache_size"]
    set_(server, "settings={}, memory='1G'").ok()
    assert pid() != before
    assert sql(server, "show shared_buffers", "postgres") == "256MB"


@ON_ONE
def test_queries_shows_what_is_slow_and_no_value(server: LabHost, tmp_path: Path) -> None:
    """The verb itself, as a user runs it."""
    set_(server, "settings={'shared_preload_libraries': 'pg_stat_statements'}").ok()
    sql(server, "create role rec_io_user login; create database rec_io_db owner rec_io_user", "postgres")
    sql(server, "create extension pg_stat_statements", "rec_io_db")
    sql(server, """set session authorization rec_io_user; select set_config('app.key', 's3cret-1', false);
        create table big as select n, 's3cret-2' || n as v from generate_series(1, 250000) n;
        select count(*) from big where v = 's3cret-3' or n = 987654; set app.key = 's3cret-4';
        create index one on big (n); create index other on big (n); /* s3cret-5 */ select 'done s3cret-6'
    """, "rec_io_db")  # fmt: skip
    kept = "select count(*) > 0 from pg_stat_statements where query like '%s3cret-%'"
    assert sql(server, kept, "rec_io_db") == "t", "the server kept no value: this test would find none"
    verb = Deployed(server, "root", copy(tmp_path)).start("-y", verb="queries.py")
    said = "".join(verb.communicate(timeout=600))
    assert verb.returncode == 0, said
    for words in (
        "where v = $1 or n = $2",
        "public.big",
        "public.other on public.big is public.one again",
        "unused index public.one",
    ):
        assert words in said, said
    assert "s3cret" not in said
    assert "987654" not in said

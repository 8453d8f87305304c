"""What facts ask of PostgreSQL, on real hosts: several in one session are answered as each would be alone."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from facts.script import text
from tests.lab.playbook import LabHost, run, shell, ssh
from tests.lab.test_postgres import NASTY, QUOTED, operation, sql

TEMPLATE = "packages"
ONE_LOGIN = True
NOTHING: dict[str, Any] = {"queries": "", "database": None, "inside": "", "given": "", "variables": {}}
WHERE = "select :'name' || '|' || current_database() || '|' || current_setting('search_path');"
ECHO = "import os, sys; print(sys.argv[1], sys.stdin.read().strip(), os.environ['CLUSTER_VERSION'] > '12')"


@pytest.fixture(scope="module")
def server(lab_host: LabHost) -> LabHost:
    """Give it three databases, of which one lets nobody in, and a role with a password."""
    run(lab_host, operation('postgres.running(name="running")')).ok()
    for statement in (
        f"create database {QUOTED}",
        "create database closed allow_connections false",
        "create role app login password 'a secret'",
    ):
        sql(lab_host, f"{statement};")
    return lab_host


def member(*program: str, **wanted: Any) -> list[str]:
    given = {**NOTHING, **wanted}
    if given["database"] is not None:
        given["variables"] = {"database": given["database"], **given["variables"]}
    return [text("postgres-cluster.sh"), "", json.dumps(given), *program]


def ask(host: LabHost, *words: str) -> tuple[int, str, str]:
    command = ["python3", "-I", "-c", text("postgres-ask.py"), *words]
    done = ssh(host, shlex.join(command))
    return done.returncode, done.stdout, done.stderr


def together(host: LabHost, *members: list[str]) -> list[list[Any]]:
    code, out, err = ask(host, "together", json.dumps(members))
    assert (code, err) == (0, ""), err
    return [json.loads(line) for line in out.splitlines()]


def sessions(host: LabHost) -> int:
    """Count the sessions that there have been, from the server's own log."""
    return int(shell(host, "grep -c 'connection authorized' /var/log/postgresql/*.log || [ $? -eq 1 ]"))


def test_several_are_answered_as_each_alone(server: LabHost) -> None:
    name = {"name": NASTY + "\n'; drop role app; --"}
    members = [
        member(queries=WHERE, variables=name),
        member(database=NASTY, inside=WHERE, variables=name),
        member(queries=WHERE, database="postgres", inside=WHERE, variables={"name": "b"}),
        member(queries=WHERE, database="no such", inside=WHERE, variables={"name": "c"}),
        member(queries=WHERE, database="closed", inside=WHERE, variables={"name": "d"}),
        member(ECHO, "said", given="select rolname from pg_authid where rolname = 'app';"),
        member(queries="\\set name e\n" + WHERE),
        member(),
    ]
    said = together(server, *members)
    alone = [ask(server, "alone", *one) for one in members]
    assert [(code, out, err) for out, err, code in said] == alone
    first = f"{name['name']}|postgres|pg_catalog\n"
    assert [out for out, _, _ in said] == [
        first,
        f"{name['name']}|{NASTY}|pg_catalog\n",
        "b|postgres|pg_catalog\n" * 2,
        "c|postgres|pg_catalog\n",
        "d|postgres|pg_catalog\n",
        "said app True\n",
        "e|postgres|pg_catalog\n",
        "",
    ]
    assert [code for _, _, code in said] == [0] * len(members)


def test_what_one_of_them_sets_is_nothing_to_the_next(server: LabHost) -> None:
    spoil = "set search_path = public; set statement_timeout = 9000; create temporary table mine ();"
    look = "select current_user, current_setting('search_path'), current_setting('statement_timeout'),"
    look += " to_regclass('pg_temp.mine') is null;"
    wrong = "reset role; create temporary table mine ();"  # would fail where there is one
    spoiled, seen, again = together(
        server,
        member(queries=spoil),
        member(queries=look),
        member(queries=wrong),
    )
    assert (spoiled[2], seen, again[2]) == (0, ["postgres|pg_catalog|0|t\n", "", 0], 0)
    _, seen = together(server, member(queries="set role app;"), member(queries=look))
    assert seen[0] == "postgres|pg_catalog|0|t\n"


def test_an_error_is_of_whoever_made_it(server: LabHost) -> None:
    good = member(queries="select 1;")
    bad = member(ECHO, "never", queries="select 2; select no_such_column;", given="select 3;")
    first, failed, last = together(server, good, bad, good)
    assert first == last == ["1\n", "", 0]
    assert failed[0] == "2\n"
    assert 'column "no_such_column" does not exist' in failed[1]
    assert failed[2] == 3
    assert ask(server, "alone", *bad) == (3, failed[0], failed[1])


def test_there_is_one_session_for_each_database(server: LabHost) -> None:
    sql(server, "alter system set log_connections = on; select pg_reload_conf();")
    try:
        members = [
            member(queries="select 1;", database=database, inside="select 2;")
            for database in (NASTY, "postgres", NASTY)
        ]
        shell(server, "sleep 1")  # until the server has read that
        before = sessions(server)
        said = together(server, *members)
        assert [out for out, _, _ in said] == ["1\n2\n"] * 3
        # The one that it begins with, and one for each that something is asked in.
        assert sessions(server) - before == 3
    finally:
        sql(server, "alter system reset log_connections; select pg_reload_conf();")


def test_what_a_program_is_given_is_not_printed(server: LabHost) -> None:
    verifiers = text("postgres-verifiers.sql")
    count = "import json, sys; print(sorted((k, v[:14]) for k, v in json.load(sys.stdin).items()))"
    (out, err, code), other = together(
        server,
        member(count, given=verifiers, variables={"roles": '["app", "none"]'}),
        member(queries="select 1;"),
    )
    assert (out, err, code, other) == ("[('app', 'SCRAM-SHA-256$')]\n", "", 0, ["1\n", "", 0])


def test_nothing_is_asked_of_a_server_that_is_down(server: LabHost) -> None:
    shell(server, "systemctl stop 'postgresql@*'")
    try:
        assert together(server, member(queries="select 1;"), member(ECHO, "never")) == [["", "", 0]] * 2
    finally:
        shell(server, "systemctl start postgresql.service; pg_lsclusters")

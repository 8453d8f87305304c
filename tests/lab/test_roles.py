"""`postgres.app` on real hosts: made, made again, and taken over from the app's role while the app works."""

from __future__ import annotations

import shlex
import time

import pytest

from tests.lab.playbook import LabHost, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
DEPLOY = """
from operations import postgres

postgres.app(
    "shop", name="app", owner="shop_owner", role="shop", reader="shop_reader", also=["TRUNCATE"],
    owner_password_file="/root/owner", password_file="/root/app", reader_password_file="/root/reader")
postgres.hba(name="hba", rows=[
    row for role in ("shop", "shop_owner", "shop_reader") for row in postgres.loopback("shop", role)])
"""
# One of every kind that a role may own and give away, as an app would have made them before.
OLD = r"""
create role other; create role shop login password 'app-1'; create database shop owner shop;
revoke all on database shop from public;
\connect shop
create extension pg_trgm; create table others (n int); alter table others owner to other;
set role shop;
create table items (id serial primary key, code bigint generated always as identity, n int not null);
create view seen as select * from items; create materialized view kept as select * from items;
create schema trades; create table trades.deals (id int primary key) partition by range (id);
create table trades.deals_1 partition of trades.deals for values from (0) to (100);
create sequence numbers;
create function add(a int) returns bigint language sql security definer
    set search_path = public as 'insert into items (n) values (a) returning id';
create procedure nothing() language sql as 'select 1';
create aggregate total (int) (sfunc = int4pl, stype = int);
create type mood as enum ('a'); create type pair as (a int); create domain small as int check (value < 9);
create type span as range (subtype = int4); create statistics two on id, n from items;
create collation plain from "C"; create operator ## (leftarg = int, rightarg = int, procedure = int4pl);
create text search configuration words (copy = pg_catalog.simple); select lo_create(4711);
"""
OWNERS = """
select coalesce(string_agg(pg_get_userbyid(refobjid) || ' ' || i.type || ' ' || i.identity, E'\n'
    order by i.type, i.identity), '')
from pg_shdepend d join pg_database db on db.datname = current_database() and d.dbid = db.oid
cross join lateral pg_identify_object(classid, objid, 0) i
where deptype = 'o' and i.type <> 'default acl'
"""
# Uses everything, all the time; each of its lines is a statement that failed.
WRITER = """
export PGPASSWORD=app-1
while [ ! -e /run/enough ]; do
    psql -h 127.0.0.1 -XqAt -U shop -d shop -v ON_ERROR_STOP=1 >/dev/null <<'SQL' || echo failed
select add(1); insert into items (n) values (2); update items set n = 3 where id = 1;
select count(*) from seen; delete from items where id % 7 = 0;
insert into trades.deals select 5 on conflict do nothing;
select nextval('numbers'); select total(n) from kept; call nothing();
select n ## 1, n::small from items limit 1;
SQL
    echo done
done
"""
CATALOG = """
select string_agg(c::text, E'\n') from (
    select xmin, rolname::text as name from pg_authid union all select xmin, datname from pg_database
    union all select xmin, relname from pg_class where relkind in ('r', 'v', 'S')
    union all select xmin, proname from pg_proc union all select xmin, nspname from pg_namespace
    union all select xmin, 'default' from pg_default_acl union all select xmin, 'member' from pg_auth_members
    order by 2) c
"""
PASSWORDS = {"shop": "app-1", "shop_owner": "owner-1", "shop_reader": "reader-1"}


def sql(host: LabHost, statements: str, database: str = "postgres") -> str:
    """Run SQL as the administrator, by a way that is not the project's own."""
    command = f"PGDATABASE={shlex.quote(database)} runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"
    return shell(host, f"cd / && {command}", stdin=statements)


def said(host: LabHost, role: str, statement: str) -> str:
    """Run a statement as a role, with its password over TCP, and return what psql says."""
    command = f"PGPASSWORD={PASSWORDS[role]} psql -h 127.0.0.1 -XqAt -U {role} -d shop"
    done = ssh(host, f"{command} 2>&1", stdin=statement)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def server(lab_host: LabHost) -> LabHost:
    """A host with the passwords, and the database as it was when the app's role owned everything."""
    shell(
        lab_host, "umask 077; echo owner-1 >/root/owner; echo app-1 >/root/app; echo reader-1 >/root/reader"
    )
    sql(lab_host, OLD)
    # Only the way in: the roles are made by the test.
    hba = DEPLOY.replace('postgres.app(\n    "shop"', 'dict(\n    shop="shop"')
    run(lab_host, hba).ok()
    return lab_host


def test_taken_over_while_the_app_works(server: LabHost) -> None:
    """Cut off in the middle, the app works; run again it ends; no statement of the app ever fails."""
    before = sql(server, OWNERS, "shop")
    assert before.count("shop ") > 20, before
    writer = "rm -f /run/enough; systemd-run -q --unit=writer -p StandardOutput=file:/run/written sh -c {}"
    shell(server, writer.format(shlex.quote(WRITER)))
    # Somebody reads `items` in a transaction that does not end: the run waits for its lock, and is cut off
    # there. What it had done is done.
    reading = "begin; select count(*) from items; select pg_sleep(600)"
    as_postgres = "systemd-run -q --unit=reading env -C / runuser -u postgres -- psql -d shop -c "
    shell(server, as_postgres + shlex.quote(reading))
    ours = "postgres-[p]atient"  # in brackets, or it would find itself
    shell(
        server,
        f"systemd-run -q --unit=cut sh -c 'until pgrep -f {ours}; do sleep 0.1; done; sleep 1;"
        f" pkill -KILL -f {ours}; pkill -KILL -x psql -u postgres'",
    )
    cut = run(server, DEPLOY)
    assert cut.rc != 0, cut.output
    half = sql(server, OWNERS, "shop")
    assert "shop_owner " in half, half
    assert "shop table public.items" in half, half
    assert said(server, "shop", "select add(5) > 0; select count(*) > 0 from seen") == "t\nt"

    sql(server, "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(600)%'"
        " and pid <> pg_backend_pid()")  # fmt: skip
    run(server, DEPLOY).ok()
    time.sleep(1)
    shell(server, "touch /run/enough; while systemctl -q is-active writer; do sleep 0.1; done")
    written = shell(server, "cat /run/written").split()
    assert written.count("done") > 5
    assert set(written) == {"done"}, shell(server, "journalctl -u writer | tail -20")

    after = sql(server, OWNERS, "shop")
    assert not [line for line in after.splitlines() if line.startswith("shop ")], after
    assert "other table public.others" in after
    lost = {line.split(" ", 1)[1] for line in before.splitlines()} - {
        line.split(" ", 1)[1] for line in after.splitlines()
    }
    assert {one for one in lost if "multirange" not in one} == set()
    assert sql(server, "select count(*) from pg_auth_members where member > 16383") == "0"
    assert (
        sql(server, "select pg_get_userbyid(datdba) from pg_database where datname = 'shop'") == "shop_owner"
    )
    trgm = "select distinct pg_get_userbyid(proowner) from pg_proc where proname like '%trgm%'"
    assert sql(server, trgm, "shop") == "postgres"


def test_later_tables_are_covered_and_a_second_run_changes_nothing(server: LabHost) -> None:
    """What the owner makes is the app's to use at once, and a run finds nothing to do after it."""
    made = (
        "create table later (id serial primary key, n int); create schema more; create table more.x (n int);"
    )
    made += (
        "create function f() returns int language sql as 'select 1'; create view v as select * from later;"
    )
    made += "create type reach as range (subtype = int8); create sequence s"
    assert said(server, "shop_owner", made) == ""
    before = sql(server, CATALOG, "shop")
    again = run(server, DEPLOY).ok()
    assert again.changed == []
    assert sql(server, CATALOG, "shop") == before


def test_each_role_may_do_what_it_needs_and_no_more(server: LabHost) -> None:
    """Asked with each one's own password, over TCP."""
    can = {
        "shop": ["insert into later (n) values (1) returning n", "insert into more.x values (1) returning n",
                 "select f()", "select count(*) from v", "select nextval('s')", "truncate more.x; select 1"],
        "shop_reader": ["select count(*) > 0 from later", "select count(*) >= 0 from more.x",
                        "select count(*) > 0 from seen", "select count(*) >= 0 from trades.deals"],
    }  # fmt: skip
    denied = [
        "create table z ()", "create temporary table z ()", "create schema z", "drop table later",
        "alter table later add z int", "create function z() returns int language sql as 'select 1'",
    ]  # fmt: skip
    cannot = {
        "shop": [*denied, "set role shop_owner", "drop view seen"],
        "shop_reader": [*denied, "insert into later values (1)", "delete from items", "select add(1)",
                        "update later set n = 2", "truncate later", "select nextval('s')"],
    }  # fmt: skip
    for role, statements in can.items():
        for statement in statements:
            assert "ERROR" not in (found := said(server, role, statement)), (role, statement, found)
            assert found, (role, statement)
    for role, statements in cannot.items():
        for statement in statements:
            found = said(server, role, statement)
            assert "permission denied" in found or "must be owner" in found, (role, statement, found)


def test_drift_goes_back(server: LabHost) -> None:
    """Grants, defaults, memberships and attributes that nobody declared go; those that are missing come."""
    sql(
        server,
        """
        alter role shop_owner superuser; alter role shop_reader createdb; grant shop_owner to shop_reader;
        grant shop_owner to shop;
        alter database shop owner to other; grant connect on database shop to public;
        """,
    )
    sql(
        server,
        """
        grant insert on later to shop_reader with grant option; revoke delete on later from shop;
        grant create on schema public to shop; grant create on schema public to public;
        alter default privileges for role shop_owner revoke select on tables from shop_reader;
        alter default privileges for role shop_owner in schema public grant update on tables to shop_reader;
        grant execute on function f() to public; alter table more.x owner to shop;
        """,
        "shop",
    )
    assert run(server, DEPLOY).ok().changed == ["app"]
    assert run(server, DEPLOY).ok().changed == []
    test_each_role_may_do_what_it_needs_and_no_more(server)
    assert said(server, "shop_owner", "create table last (n int); drop table last") == ""
    sql(server, "drop database shop; drop role shop, shop_owner, shop_reader, other")


def test_made_from_nothing(server: LabHost) -> None:
    """On a server without the database everything is made in one run, and the next one changes nothing."""
    assert run(server, DEPLOY).ok().changed == ["app"]
    assert said(server, "shop_owner", "create table items (id serial, n int)") == ""
    assert said(server, "shop", "insert into items (n) values (1) returning id") == "1"
    assert said(server, "shop_reader", "select n from items") == "1"
    assert "permission denied" in said(server, "shop", "create table z ()")
    before = sql(server, CATALOG, "shop")
    assert run(server, DEPLOY).ok().changed == []
    assert sql(server, CATALOG, "shop") == before

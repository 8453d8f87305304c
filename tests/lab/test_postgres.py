"""`operations/postgres/` on real hosts: the catalog, the files and the server's PID are the judges."""

from __future__ import annotations

import shlex

import pytest

from tests.lab.playbook import LabHost, Result, fingerprint, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
# Names that break every quoting that is not done right, in psql, in shells and in connection strings.
NASTY = "Üb\"er 'app\\ %:x$"
PASSWORD = "lab-Päss-wörd-ﬁ-1"
QUOTED = '"' + NASTY.replace('"', '""') + '"'
FILE = "/root/database-password"

DEPLOY = f"""
from operations import postgres

NASTY = {NASTY!r}
postgres.running(name="running")
postgres.settings(
    {{"work_mem": "8192kB", "log_statement": "all", "random_page_cost": 1.1, "checkpoint_timeout": "300s",
     "shared_preload_libraries": "pg_stat_statements", "log_checkpoints": True}}, name="settings")
postgres.role("owner", name="owner", login=False)
postgres.role("reader", name="reader", password_file={FILE!r})
postgres.role("app", name="app", password_file={FILE!r}, connection_limit=20, valid_until="2090-01-01",
    settings={{}})
postgres.role(NASTY, name="nasty role", password_file={FILE!r}, member_of=["reader"], settings={{
    "search_path": ["$user", "My Schema"], "statement_timeout": "300s", "TimeZone": "utc"}})
postgres.database("app_db", name="database", owner="owner", locale="C.UTF-8",
    settings={{"lock_timeout": "5s"}})
postgres.database(NASTY, name="nasty database", owner=NASTY)
postgres.schema(NASTY, name="nasty schema", database=NASTY, owner="owner")
postgres.extension("pg_stat_statements", name="extension", database="app_db")
postgres.extension("hstore", name="nasty extension", database=NASTY, schema=NASTY)
postgres.privileges("app", name="app privileges", database="app_db", on_database=["CONNECT"],
    on_schema=["USAGE"], tables=["SELECT", "INSERT"], sequences=["USAGE"], functions=["EXECUTE"],
    creators=["owner"])
postgres.privileges("reader", name="reader privileges", database="app_db", on_database=["CONNECT"],
    on_schema=["USAGE"], tables=["SELECT"], sequences=[], functions=[], creators=["owner"])
postgres.privileges("PUBLIC", name="everybody's privileges", database="app_db", on_database=[], functions=[],
    creators=["owner"])
postgres.hba([*postgres.loopback("app_db", "app"), *postgres.loopback("app_db", "reader"),
    *postgres.loopback(NASTY, NASTY)], name="hba")
"""
EVERYTHING = 15  # operations in DEPLOY
VERIFIER = "SCRAM-SHA-256$4096:"  # how one begins, and no program's text

# Prints every command line on the host that has the password or a verifier in it.
WATCHER = f"""
import glob, time
while True:
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            text = open(path, "rb").read().decode(errors="replace")
        except OSError:
            continue
        if {PASSWORD!r} in text or {VERIFIER!r} in text:
            print(text, flush=True)
    time.sleep(0.005)
"""


def sql(host: LabHost, statements: str, database: str = "postgres") -> str:
    """Run SQL as the administrator, by a way that is not the project's own."""
    command = f"PGDATABASE={shlex.quote(database)} runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"
    return shell(host, f"cd / && {command}", stdin=statements)


def log_in(
    host: LabHost, role: str, database: str, statement: str, password: str = PASSWORD
) -> tuple[int, str]:
    """Run a statement as a role with its password, from the host itself over TCP."""
    program = f"export PGPASSWORD={shlex.quote(password)} PGCLIENTENCODING=UTF8 PGUSER={shlex.quote(role)}"
    program += f" PGDATABASE={shlex.quote(database)} PGHOST=127.0.0.1; psql -XAtc {shlex.quote(statement)}"
    done = ssh(host, "sh", stdin=program)
    return done.returncode, done.stdout.strip() + done.stderr


def operation(call: str) -> str:
    return f"from operations import postgres\n{call}\n"


def refused(host: LabHost, call: str, *words: str) -> Result:
    """Run one operation that has to fail, and look for these words in what it says."""
    result = run(host, operation(call))
    assert result.rc != 0, result.output
    for word in words:
        assert word in result.output, result.output
    return result


def state(host: LabHost) -> dict[str, str]:
    """Record the whole catalog, with row versions, the files of the configuration, and the server's PID."""
    catalogs = (
        "pg_authid", "pg_database", "pg_auth_members", "pg_db_role_setting", "pg_namespace", "pg_class",
        "pg_proc", "pg_default_acl", "pg_extension",
    )  # fmt: skip
    rows = " union all ".join(
        f"select '{catalog}', md5(string_agg(t.xmin::text || t.ctid::text, ' ' order by t.ctid))"
        f" from {catalog} t"
        for catalog in catalogs
    )
    as_postgres = "cd / && runuser -u postgres --"
    dump = f"{as_postgres} pg_dumpall | grep -v -e '^--' -e restrict"
    return {
        "dump": shell(host, dump),
        "server": shell(host, "head -n 1 /var/lib/postgresql/*/main/postmaster.pid"),
        **{f"rows of {name}": sql(host, rows, name) for name in ("postgres", "app_db", NASTY)},
        **fingerprint(host, "/etc/postgresql"),
    }


@pytest.fixture(scope="module")
def server(lab_host: LabHost) -> LabHost:
    """Give it a password, and deploy everything once, at the highest verbosity."""
    shell(lab_host, f"umask 077 && cat >{FILE}", stdin=PASSWORD + "\n")
    shell(lab_host, "cat >/run/watcher.py", stdin=WATCHER)
    shell(
        lab_host, "systemd-run -q --unit=watcher -p StandardOutput=file:/run/watched python3 /run/watcher.py"
    )
    # The watcher is worth something only if it sees what it should.
    shell(lab_host, f"sleep 0.5; sh -c 'sleep 0.5; :' {shlex.quote(PASSWORD)}")
    assert PASSWORD in shell(lab_host, "cat /run/watched; : >/run/watched")
    first = run(lab_host, DEPLOY, "-vvv")
    shell(lab_host, "systemctl stop watcher.service")
    first.ok()
    assert "running" in first.unchanged  # as after the installation
    assert len(first.changed) == EVERYTHING - 1, first
    assert shell(lab_host, "cat /run/watched") == ""
    assert PASSWORD not in first.output
    assert VERIFIER not in first.output
    log = shell(lab_host, "cat /var/log/postgresql/*.log")
    assert "ALTER ROLE" in log, "the log has no statements: this test would find nothing"
    assert VERIFIER not in log
    kept = "select count(*) > 20, count(*) filter (where query like '%SCRAM-SHA-256$%')"
    kept += " from public.pg_stat_statements"
    assert sql(lab_host, kept, "app_db") == "t|0"
    assert PASSWORD not in log
    return lab_host


def test_again_changes_nothing(server: LabHost) -> None:
    sql(
        server,
        "set role owner; create table t (id serial, v text);"
        "create function f() returns int language sql as 'select 1'",
        "app_db",
    )
    before = state(server)
    assert PASSWORD not in str(before)
    assert VERIFIER in before["dump"], "the dump has no verifiers: this test would miss a new one"
    again = run(server, DEPLOY).ok()
    assert (again.changed, len(again.unchanged)) == ([], EVERYTHING)
    assert state(server) == before


def test_every_privilege_as_each_role(server: LabHost) -> None:
    sql(server, "set role owner; create table if not exists t (id serial, v text)", "app_db")
    sql(server, "create role nobody login password 'nobody-1'")
    can = [
        ("app", "insert into t (v) values ('x') returning v"), ("app", "select count(*) > 0 from t"),
        ("reader", "select count(*) > 0 from t"),
    ]  # fmt: skip
    cannot = [
        ("app", "update t set v = ''"), ("app", "create table u ()"), ("app", "create temporary table u ()"),
        ("app", "truncate t"), ("app", "create schema u"), ("reader", "insert into t (v) values ('x')"),
        ("reader", "select nextval('t_id_seq')"), ("reader", "create table u ()"),
        ("reader", "create temporary table u ()"),
    ]  # fmt: skip
    for role, statement in can:
        assert log_in(server, role, "app_db", statement)[0] == 0, (role, statement)
    for role, statement in cannot:
        rc, said = log_in(server, role, "app_db", statement)
        assert (rc, "permission denied" in said) == (1, True), (role, statement, said)
    assert log_in(server, NASTY, NASTY, "create table public.mine ()")[0] == 0
    assert log_in(server, NASTY, NASTY, "show search_path") == (0, '"$user", "My Schema"')
    # The rules keep out who has no row, and the database who has no privilege.
    assert "reject" in log_in(server, "nobody", "app_db", "select 1", "nobody-1")[1]
    assert "reject" in log_in(server, "app", "postgres", "select 1")[1]
    sql(server, "drop role nobody")


def test_drift_goes_back_both_ways(server: LabHost) -> None:
    dump = "cd / && runuser -u postgres -- pg_dumpall | grep -v -e '^--' -e restrict"
    sql(server, "set role owner; create table if not exists t (id serial, v text)", "app_db")
    before = shell(server, dump)
    sql(
        server,
        f"""
        alter role app superuser createdb createrole replication bypassrls noinherit nologin
            connection limit 3 valid until '2020-01-01';
        alter role app set work_mem = '1MB';
        alter role reader superuser;
        create role extra; grant extra to {QUOTED};
        revoke reader from {QUOTED};
        alter role {QUOTED} reset search_path;
        alter role {QUOTED} set work_mem = '1MB';
        alter database app_db owner to postgres; alter database app_db connection limit 7;
        alter database app_db set work_mem = '1MB'; grant connect, temporary on database app_db to public;
        grant create on database app_db to reader;
    """,
    )
    sql(server, """
        alter schema public owner to postgres; grant create on schema public to public;
        grant update, delete on t to reader; revoke select on t from app;
        grant insert on t to app with grant option;
        alter default privileges for role owner in schema public grant update on tables to reader;
        alter default privileges for role owner in schema public revoke select on tables from app;
        grant execute on function pg_catalog.pg_sleep(float8) to reader;
    """, "app_db")  # fmt: skip
    assert shell(server, dump) != before
    back = run(server, DEPLOY).ok()
    assert set(back.changed) >= {
        "app", "reader", "nasty role", "database", "app privileges", "reader privileges",
    }  # fmt: skip
    sql(server, "drop role extra")
    after = shell(server, dump)
    # Not in the declared schema, so not ours; and 15 and later say nothing of a schema's usual owner.
    undeclared = ("pg_sleep", "ALTER SCHEMA public OWNER")
    for one, other in ((before, after), (after, before)):
        lines = set(other.splitlines())
        assert [
            line for line in one.splitlines() if line not in lines and not any(w in line for w in undeclared)
        ] == []
    sql(server, "revoke execute on function pg_catalog.pg_sleep(float8) from reader", "app_db")
    assert run(server, DEPLOY).ok().changed == []


def test_settings_reload_or_restart(server: LabHost) -> None:
    def server_pid() -> str:
        return shell(server, "head -n 1 /var/lib/postgresql/*/main/postmaster.pid")

    def set_(values: str) -> Result:
        return run(server, operation(f"postgres.settings({values}, file_label='test', name='s')"))

    pid = server_pid()
    set_("{'maintenance_work_mem': '128MB'}").ok()
    assert (server_pid(), sql(server, "show maintenance_work_mem")) == (pid, "128MB")
    # The same amount in another unit is another text, so the file changes, but the server does not.
    set_("{'maintenance_work_mem': '131072kB', 'max_connections': 60}").ok()
    assert server_pid() != pid
    assert sql(server, "show max_connections") == "60"
    pid, before = server_pid(), fingerprint(server, "/etc/postgresql")
    assert set_("{'max_connections': 60, 'maintenance_work_mem': '131072kB'}").ok().changed == []
    assert fingerprint(server, "/etc/postgresql") == before

    def file_and_value() -> tuple[str, str]:
        file = "/etc/postgresql/*/main/conf.d/90-hostwright.conf /etc/postgresql/*/main/conf.d/90-test.conf"
        return shell(server, f"cat {file}; stat -c '%y %a %U' {file}"), sql(
            server, "show maintenance_work_mem"
        )

    good = file_and_value()
    # The last is only found when the server starts: it is back with the former file.
    result = run(server, operation("\n".join(
        f"postgres.settings({values}, file_label='test', _ignore_errors=True)" for values in (
            "{'maintenance_work_mem': '9QB'}",
            "{'maintenance_work_men': '9MB'}",
            "{'max_connections': 60, 'superuser_reserved_connections': 60}",
        )
    )))  # fmt: skip
    for words in (
        'invalid value for parameter "maintenance_work_mem": "9QB"',
        'unrecognized configuration parameter "maintenance_work_men"',
        "superuser_reserved_connections",
        "must be less than",
        "the former settings are back",
    ):
        assert words in result.output, result.output
    assert result.changed == []
    assert file_and_value() == good
    assert sql(server, "select count(*) from pg_settings where pending_restart") == "0"

    # Cut off between writing and reloading, and between reloading and restarting.
    shell(server, "touch /etc/postgresql/*/main/conf.d/90-test.conf")
    assert set_("{'max_connections': 60, 'maintenance_work_mem': '131072kB'}").ok().changed == ["s"]
    shell(server, "sed -i 's/60/70/' /etc/postgresql/*/main/conf.d/90-test.conf")
    sql(server, "select pg_reload_conf()")
    assert set_("{'max_connections': 70, 'maintenance_work_mem': '131072kB'}").ok().changed == ["s"]
    assert sql(server, "show max_connections") == "70"

    shell(server, "sed -i 's/^include_dir/#include_dir/' /etc/postgresql/*/main/postgresql.conf")
    assert set_("{'maintenance_work_mem': '96MB'}").ok().changed == ["s"]
    assert sql(server, "show maintenance_work_mem") == "96MB"
    sql(server, "alter system set maintenance_work_mem = '32MB'")
    result = set_("{'maintenance_work_mem': '96MB'}")
    assert result.rc != 0
    assert "ALTER SYSTEM RESET maintenance_work_mem" in result.output
    sql(server, "alter system reset maintenance_work_mem")
    shell(server, "rm /etc/postgresql/*/main/conf.d/90-test.conf")
    run(server, DEPLOY).ok()
    assert run(server, DEPLOY).ok().changed == []


def test_hba_is_checked_before_it_counts(server: LabHost) -> None:
    before = fingerprint(server, "/etc/postgresql")
    bad = "postgres.hba([postgres.Row('app_db', 'app', '127.0.0.1/32', options=('clientcert=nonsense',))])"
    refused(server, bad, "line 4", "the former rules are back")
    after = fingerprint(server, "/etc/postgresql")
    folders = [path for path in before if path.endswith("/main")]
    assert {k: v for k, v in after.items() if k not in folders} == {
        k: v for k, v in before.items() if k not in folders
    }
    assert log_in(server, "app", "app_db", "select 1") == (0, "1")
    refused(
        server,
        "postgres.hba([postgres.Row('all', 'all', '0.0.0.0/0', method='trust')])",
        "'trust' is refused",
    )
    # Somebody's own line is gone again, and one that the server cannot read too; also when not loaded yet.
    for line in ("host all all 0.0.0.0/0 trust", "host all all nonsense"):
        shell(server, f"echo {line!r} >>/etc/postgresql/*/main/pg_hba.conf")
        assert run(server, DEPLOY).ok().changed == ["hba"]
    assert run(server, DEPLOY).ok().changed == []
    assert shell(server, "stat -c '%U:%G %a' /etc/postgresql/*/main/pg_hba.conf") == "postgres:postgres 640"
    assert sql(server, "select count(*) from pg_hba_file_rules where auth_method = 'trust'") == "0"


def test_password_changes_and_bad_files(server: LabHost) -> None:
    role = f"postgres.role('app', password_file={FILE!r}, connection_limit=20, valid_until='2090-01-01', "
    role += "settings={}, name='r')"
    shell(server, f"cat >{FILE}", stdin="another 'pass\\word\n")
    assert run(server, operation(role)).ok().changed == ["r"]
    assert log_in(server, "app", "app_db", "select 1", "another 'pass\\word") == (0, "1")
    assert "password authentication failed" in log_in(server, "app", "app_db", "select 1")[1]
    rows = sql(server, "select xmin, rolpassword from pg_authid where rolname = 'app'")
    bad = {
        "missing": ("true", "does not exist"),
        "empty": (": >{}", "is empty"),
        "open": ("echo x >{0}; chmod 0644 {0}", "chmod 0600 /root/pw.open"),
        "lines": ("printf 'a\\nb\\n' >{}", "more than one line"),
        "bytes": ("printf '\\377\\n' >{}", "is not UTF-8"),
        "private": ("printf 'a\\356\\200\\200\\n' >{}", "has a character"),
    }
    shell(server, "umask 077; " + "; ".join(how.format(f"/root/pw.{kind}") for kind, (how, _) in bad.items()))
    result = run(server, operation("\n".join(
        role.replace(FILE, f"/root/pw.{kind}").replace("name=", "_ignore_errors=True, name=") for kind in bad
    )))  # fmt: skip
    for kind, (_, words) in bad.items():
        said = [line for line in result.output.splitlines() if f"role app: /root/pw.{kind}" in line]
        assert len(said) == 1, result.output
        assert words in said[0]
    assert sql(server, "select xmin, rolpassword from pg_authid where rolname = 'app'") == rows
    # What PostgreSQL itself makes of the same text is taken for the same password.
    sql(server, "alter role app password 'another ''pass\\word'")
    assert run(server, operation(role)).ok().changed == []
    # An old md5 password is replaced by SCRAM.
    sql(server, "set password_encryption = 'md5'; alter role app password 'another ''pass\\word'")
    assert run(server, operation(role)).ok().changed == ["r"]
    assert sql(server, "select rolpassword ~ '^SCRAM-SHA-256' from pg_authid where rolname = 'app'") == "t"
    shell(server, f"cat >{FILE}", stdin=PASSWORD + "\n")
    assert run(server, DEPLOY).ok().changed == ["app"]
    assert log_in(server, "app", "app_db", "select 1") == (0, "1")


def test_what_cannot_be_changed_is_refused(server: LabHost) -> None:
    before = state(server)
    call = "postgres.database('app_db', owner='owner', "
    refused(
        server, call + "encoding='LATIN1')", "has encoding UTF8 and not LATIN1", "cannot be changed in place"
    )
    wrong = {
        "postgres.database('new', owner='missing', {})": '42704: role "missing" does not exist',
        "postgres.role('owner', present=False, {})": "2BP01",
        "postgres.role('app', member_of=['missing'], {})": '42704: role "missing" does not exist',
        "postgres.role('app', settings={{'work_men': '1'}}, {})": "unrecognized configuration parameter",
    }
    result = run(server, operation("\n".join(call.format("_ignore_errors=True") for call in wrong)))
    assert result.changed == []
    for words in wrong.values():
        assert words in result.output, result.output
    refused(server, "postgres.extension('vector', database='app_db')", "-pgvector")
    assert state(server) == before


def test_remove(server: LabHost) -> None:
    both = operation(
        f"postgres.extension('hstore', database={NASTY!r}, present=False, name='e')\n"
        f"postgres.schema({NASTY!r}, database={NASTY!r}, owner='owner', present=False, name='s')\n"
    )
    assert run(server, both).ok().changed == ["e", "s"]
    assert sql(server, "select count(*) from pg_extension where extname = 'hstore'", NASTY) == "0"
    assert (
        sql(server, "select count(*) from pg_namespace where nspname !~ '^pg_|^public|^info'", NASTY) == "0"
    )
    assert run(server, both).ok().changed == []
    both = operation(
        f"postgres.database({NASTY!r}, owner='owner', present=False, really_drop=True, name='d')\n"
        f"postgres.role({NASTY!r}, present=False, name='r')"
    )
    assert run(server, both).ok().changed == ["d", "r"]
    assert sql(server, "select count(*) from pg_database where datname ~ 'app.*x'") == "0"
    assert run(server, both).ok().changed == []
    # And all of it again, from half of it.
    run(server, DEPLOY).ok()
    assert run(server, DEPLOY).ok().changed == []


def test_down_and_disabled(server: LabHost) -> None:
    cluster = shell(server, "pg_lsclusters -h | awk '{print $1, $2}'")
    shell(server, f"pg_ctlcluster {cluster} stop; sed -i s/^auto/manual/ /etc/postgresql/*/main/start.conf")
    shell(server, "systemctl -q disable postgresql.service")
    refused(server, "postgres.role('new')", "does not accept connections; pg_lsclusters shows")
    running = operation("postgres.running(name='r', timeout=30)")
    assert run(server, running).ok().changed == ["r"]
    assert sql(server, "select 1") == "1"
    assert shell(server, "systemctl is-enabled postgresql.service") == "enabled"
    assert shell(server, "grep -c ^auto /etc/postgresql/*/main/start.conf") == "1"
    unit = f"postgresql@{cluster.replace(' ', '-')}.service"
    assert shell(server, f"systemctl is-active {unit}") == "active"
    assert run(server, running).ok().changed == []


def test_several_clusters(server: LabHost) -> None:
    version = shell(server, "pg_lsclusters -h | awk '{print $1}'")
    shell(server, f"pg_createcluster {version} second --start-conf manual", timeout=60)
    refused(server, "postgres.role('new')", f"{version}/main {version}/second", "postgresql.cluster")
    one = operation(f"postgres.role('new', cluster='{version}/main', name='r')")
    assert run(server, one).ok().changed == ["r"]
    assert sql(server, "select count(*) from pg_roles where rolname = 'new'") == "1"
    refused(server, "postgres.running(cluster='9/main')", "there is no cluster 9/main")
    shell(server, f"pg_dropcluster --stop {version} second")

"""
hostwright's own migrations on real hosts: the catalog, the ledger and the journal are the judges.

Of the slow tests, those that kill something are on Debian 12 alone, those of locks that others hold on 13.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from facts.script import text
from operations import migration_files, migrations
from tests.lab import playbook
from tests.lab.playbook import LabHost, Result, fingerprint, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
ON_12 = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
ON_13 = pytest.mark.parametrize("lab_host", ["trixie"], indirect=True, scope="module")
UNIT = "hostwright-migrate-shop.service"
RUNNING = "for try in $(seq 300); do {}; sleep 0.1; done; exit 1"
KILL = (
    f"for try in $(seq 600); do systemctl is-active -q {UNIT} && break; sleep 0.02; done; sleep {{}}; "
    f"systemctl kill -s KILL {UNIT} || ! systemctl is-active -q {UNIT}"
)
PASSWORD = "lab-Passwörd 'x\\ $HOME"
FILE = "/etc/shop/secrets/db_password"
SERVER = f"""
from operations import postgres
postgres.running(name="running")
postgres.role("shop", name="role", password_file={FILE!r})
postgres.database("shop_db", name="database", owner="shop")
postgres.hba(postgres.loopback("shop_db", "shop"), name="hba")
"""
DEPLOY = """
from operations import migrations
migrations.applied(
    name="migrate", app_dir="/opt/shop", release={release!r}, user="nobody", directory="migrations",
    files={files!r}, lock_seconds=1, dump_to={dump!r},
    database="shop_db", role="shop", password_file="/etc/shop/secrets/db_password",
)
"""
FIRST = {
    "001_customers.sql": "CREATE TABLE customers (id int PRIMARY KEY, words text);\n"
    "INSERT INTO customers SELECT g, repeat('word', 20) FROM generate_series(1, 5000) g;\n"
    "SET search_path = pg_catalog; SET lock_timeout = 0;\n",
    "002_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers);\n",
}


class Shop:
    """One host, and releases of an app on it that differ in their migrations."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.count = 0

    def release(self, files: dict[str, str], *, own: bool = True) -> tuple[str, list[migration_files.File]]:
        """Put a release with these migrations onto the host, and read them as a deploy does."""
        self.count += 1
        name = f"r{self.count}"
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory) / "migrations"
            place.mkdir()
            for file, content in files.items():
                (place / file).write_text(content, encoding="utf-8")
            read = migration_files.read(Path(directory), "migrations", own=own)
            packed = subprocess.run(
                ["tar", "c", "-C", directory, "."], capture_output=True, check=True
            ).stdout
        root = f"/opt/shop/releases/{name}"
        shell(
            self.host,
            f"mkdir -p {root} && base64 -d | tar xo -C {root} && chmod 0755 {root}",
            stdin=base64.b64encode(packed).decode(),
        )
        return name, read

    def deploy(self, files: dict[str, str], *, dump: str | None = None) -> str:
        release, read = self.release(files)
        return DEPLOY.format(release=release, files=read, dump=dump)

    def run(self, files: dict[str, str], *flags: str, dump: str | None = None) -> Result:
        return run(self.host, self.deploy(files, dump=dump), *flags)

    def sql(self, statements: str) -> str:
        command = "cd / && runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 -d shop_db"
        return shell(self.host, command, stdin=statements)

    def ledger(self) -> list[str]:
        return self.sql("SELECT name FROM schema_migrations ORDER BY applied_at").split()

    def tables(self) -> set[str]:
        return set(self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").split())


@pytest.fixture(scope="module")
def shop(lab_host: LabHost) -> Shop:
    shell(
        lab_host,
        "mkdir -p /opt/shop/releases /var/lib/hostwright/snapshots/one; "
        "install -d -m 0750 /etc/shop; install -d -m 0700 /etc/shop/secrets; "
        "chmod 0700 /var/lib/hostwright /var/lib/hostwright/snapshots; "
        f"umask 077; cat >{FILE}",
        stdin=PASSWORD + "\n",
    )
    run(lab_host, SERVER).ok()
    return Shop(lab_host)


def test_applies_in_order_as_the_owner_and_shows_it(shop: Shop) -> None:
    result = shop.run(FIRST, "-vvv", dump="/var/lib/hostwright/snapshots/one/dumps/shop").ok()
    assert result.changed == ["migrate"]
    assert "applied: 001_customers (" in result.output
    assert shop.ledger() == ["001_customers", "002_orders"]
    rows = json.loads(shop.sql("SELECT json_object_agg(name, sha256) FROM schema_migrations"))
    assert rows == {file[:-4]: hashlib.sha256(sql.encode()).hexdigest() for file, sql in FIRST.items()}
    assert shop.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == "shop"
    assert shop.sql("SELECT count(*) FROM customers") == "5000"
    # There was no data yet, so there is nothing to dump.
    shell(shop.host, "test ! -e /var/lib/hostwright/snapshots/one/dumps")
    shell(shop.host, "test -z \"$(find /run -maxdepth 1 -name 'hostwright-migrate-*')\"")


def test_nothing_pending_changes_nothing(shop: Shop) -> None:
    deploy = shop.deploy(FIRST)
    before = fingerprint(shop.host), shop.sql("SELECT xmin, * FROM schema_migrations")
    said = shell(shop.host, "journalctl -q -o cat -t hostwright-migrate-shop | wc -l")
    result = run(shop.host, deploy).ok()
    assert result.unchanged == ["migrate"]
    assert (fingerprint(shop.host), shop.sql("SELECT xmin, * FROM schema_migrations")) == before
    assert shell(shop.host, "journalctl -q -o cat -t hostwright-migrate-shop | wc -l") == said


def test_dumps_before_a_pending_one(shop: Shop) -> None:
    files = FIRST | {"003_notes.sql": "CREATE TABLE notes (id int);\nDELETE FROM customers WHERE id > 10;\n"}
    target = "/var/lib/hostwright/snapshots/one/dumps/shop"
    result = shop.run(files, "-vvv", dump=target).ok()
    assert f"dumped database shop_db into {target}" in result.output
    assert shell(shop.host, f"stat -c '%U %a' {target}") == "root 700"
    assert shell(shop.host, f"find {target} ! -user root; ls -A {target}/..") == "shop"
    # Restored as docs/migrations.md says, it is the database as it was before: as many rows, no new table.
    shell(
        shop.host,
        f"exec 9<{target}; chown -R postgres: /proc/self/fd/9/. && cd / && "
        "runuser -u postgres -- createdb -O shop restored && "
        "runuser -u postgres -- pg_restore --exit-on-error -j2 -d restored /proc/self/fd/9",
    )
    counted = shell(
        shop.host,
        "cd / && runuser -u postgres -- psql -XAt -d restored -c "
        "\"SELECT (SELECT count(*) FROM customers), to_regclass('notes') IS NULL, count(*) "
        'FROM schema_migrations"',
    )
    assert counted == "5000|t|2"
    assert shop.sql("SELECT count(*) FROM customers") == "10"


def test_no_room_for_the_dump_runs_nothing(shop: Shop) -> None:
    shell(
        shop.host,
        "mkdir -p /var/lib/hostwright/snapshots/small && mount -t tmpfs -o size=2m tmpfs "
        "/var/lib/hostwright/snapshots/small",
    )
    try:
        before = shop.ledger()
        files = FIRST | {"003_notes.sql": notes(), "004_more.sql": "CREATE TABLE more (id int);"}
        result = shop.run(files, dump="/var/lib/hostwright/snapshots/small/dumps/shop")
        assert result.rc != 0
        assert "has 2 MiB free" in result.output or "has 1 MiB free" in result.output
        assert "no migration was run" in result.output
        assert shop.ledger() == before
        assert "more" not in shop.tables()
        assert shell(shop.host, "find /var/lib/hostwright/snapshots/small -mindepth 2") == ""
    finally:
        shell(shop.host, "umount /var/lib/hostwright/snapshots/small")


def notes() -> str:
    return "CREATE TABLE notes (id int);\nDELETE FROM customers WHERE id > 10;\n"


def test_a_failing_file_is_rolled_back_and_those_before_it_stay(shop: Shop) -> None:
    files = FIRST | {
        "003_notes.sql": notes(),
        "004_good.sql": "CREATE TABLE good (id int);",
        "005_bad.sql": "CREATE TABLE half (id int);\nINSERT INTO nowhere VALUES (1);\n",
    }
    result = shop.run(files)
    assert result.rc != 0
    assert "005_bad.sql:2: ERROR:" in result.output
    assert 'relation "nowhere" does not exist' in result.output
    assert "005_bad failed and was rolled back; applied before it and kept: 004_good" in result.output
    assert shop.ledger()[-1] == "004_good"
    assert "half" not in shop.tables()


def upto_four() -> dict[str, str]:
    return FIRST | {"003_notes.sql": notes(), "004_good.sql": "CREATE TABLE good (id int);"}


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("002_orders.sql", "CREATE TABLE orders (id int);", "002_orders: changed since it was applied"),
        ("002_b.sql", "CREATE TABLE late (id int);", "002_b: numbered before 004_good"),
    ],
)
def test_changed_and_late_files_are_refused(shop: Shop, file: str, content: str, said: str) -> None:
    files = {**upto_four(), file: content, "006_new.sql": "CREATE TABLE new (id int);"}
    if file == "002_b.sql":
        del files["002_orders.sql"]
    before = shop.ledger()
    result = shop.run(files)
    assert result.rc != 0
    assert said in result.output
    assert shop.ledger() == before
    assert "new" not in shop.tables()


def test_the_host_itself_refuses_what_was_not_checked(shop: Shop) -> None:
    deploy = shop.deploy({**upto_four(), "005_five.sql": "CREATE TABLE five (id int);"})
    shell(shop.host, f"echo '-- more' >>/opt/shop/releases/r{shop.count}/migrations/005_five.sql")
    result = run(shop.host, deploy)
    assert result.rc != 0
    assert "005_five.sql is not the file that was checked; deploy again" in result.output
    assert "five" not in shop.tables()


def test_a_file_without_transaction_and_the_index_that_a_cut_left(shop: Shop) -> None:
    index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS customers_words ON customers (words)"
    # What a cut leaves behind: an index that is there, and not valid.
    shop.sql(
        f"{index};\nUPDATE pg_index SET indisvalid = false WHERE indexrelid = 'customers_words'::regclass;"
    )
    shop.sql("ALTER INDEX customers_words OWNER TO shop")
    files = {**upto_four(), "005_index.sql": f"-- hostwright: no transaction\n{index};\n"}
    result = shop.run(files, "-vvv").ok()
    assert "dropping the invalid index public.customers_words" in result.output
    assert shop.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'customers_words'::regclass") == "t"
    assert shop.ledger()[-1] == "005_index"


def upto_five() -> dict[str, str]:
    index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS customers_words ON customers (words)"
    return {**upto_four(), "005_index.sql": f"-- hostwright: no transaction\n{index};\n"}


def hold(shop: Shop, *statements: str) -> None:
    """Have another session of the app hold something, until `let_go`."""
    words = " ".join(f"-c {shlex.quote(statement)}" for statement in statements)
    command = (
        "cd /; export PGHOST=127.0.0.1 PGUSER=shop PGDATABASE=shop_db PGAPPNAME=report_job; "
        f"PGPASSWORD=$(cat {FILE}); export PGPASSWORD; "
        f"nohup psql -XAtq {words} -c 'SELECT pg_sleep(300)' </dev/null >/dev/null 2>&1 &"
    )
    shell(shop.host, command)
    asked = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'report_job' AND query ~ 'pg_sleep'"
    wait_for(shop, asked)


def let_go(shop: Shop) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'report_job'"
    shop.sql(ended)


def wait_for(shop: Shop, asked: str) -> None:
    command = f'test -n "$(cd /; runuser -u postgres -- psql -XAt -c "{asked}")" && exit 0'
    shell(shop.host, RUNNING.format(command))


@ON_13
def test_a_blocked_file_fails_with_who_blocks_it(shop: Shop) -> None:
    files = {**upto_five(), "006_column.sql": "CREATE TABLE six (id int); ALTER TABLE customers ADD age int;"}
    hold(shop, "BEGIN", "LOCK TABLE customers")
    try:
        began = time.monotonic()
        result = shop.run(files)
        seconds = time.monotonic() - began
    finally:
        let_go(shop)
    assert result.rc != 0
    assert "006_column did not get its locks within 1 s (try 1 of 6); trying again in 1 s" in result.output
    assert "006_column did not get its locks within 1 s, 6 times over, and was rolled back" in result.output
    assert "(shop, report_job) active, its transaction open since 20" in result.output
    assert seconds < 240
    assert "six" not in shop.tables()
    shop.run(files).ok()
    assert shop.ledger()[-1] == "006_column"


def upto_six() -> dict[str, str]:
    return {
        **upto_five(), "006_column.sql": "CREATE TABLE six (id int); ALTER TABLE customers ADD age int;"
    }  # fmt: skip


@ON_13
def test_waits_for_another_session_that_holds_the_lock(shop: Shop, tmp_path: Path) -> None:
    files = {**upto_six(), "007_seven.sql": "CREATE TABLE seven (id int);"}
    hold(shop, f"SELECT pg_advisory_lock({0x686F737477726967})")
    process = playbook.start(shop.host, shop.deploy(files), directory=tmp_path)
    try:
        time.sleep(6)
        assert process.poll() is None
        assert shop.ledger()[-1] == "006_column"
        let_go(shop)
        said = "\n".join(process.communicate(timeout=600))
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert shop.ledger()[-1] == "007_seven"


SLOW = "CREATE TABLE {0} (id int);\nINSERT INTO customers VALUES ({1}, 'slow');\nSELECT pg_sleep({2});\n"


def upto_seven() -> dict[str, str]:
    return {**upto_six(), "007_seven.sql": "CREATE TABLE seven (id int);"}


def sleeping(shop: Shop) -> None:
    wait_for(
        shop,
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'hostwright-migrate' AND query ~ 'pg_sleep'",
    )


@ON_12
def test_a_killed_controller_leaves_it_running_and_the_next_run_waits(shop: Shop, tmp_path: Path) -> None:
    files = {**upto_seven(), "008_slow.sql": SLOW.format("eight", 8008, 6)}
    process = playbook.start(shop.host, shop.deploy(files), directory=tmp_path)
    try:
        sleeping(shop)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert shell(shop.host, f"systemctl is-active {UNIT}") == "active"
    run(shop.host, shop.deploy(files)).ok()
    assert shop.ledger()[-1] == "008_slow"
    assert shop.sql("SELECT count(*) FROM customers WHERE id = 8008") == "1"


@ON_12
def test_a_killed_unit_leaves_nothing_of_the_file_and_the_next_run_completes(
    shop: Shop, tmp_path: Path
) -> None:
    files = {**upto_seven(), "008_slow.sql": SLOW.format("eight", 8008, 6)}
    cut = {
        **files,
        "009_first.sql": "CREATE TABLE nine (id int);",
        "010_cut.sql": SLOW.format("ten", 9009, 60),
    }
    process = playbook.start(shop.host, shop.deploy(cut), directory=tmp_path)
    try:
        sleeping(shop)
        # The password is in psql's environment, and in no argument of any process.
        found = ssh(
            shop.host, "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c '[l]ab-Pass' || test $? -eq 1"
        )
        assert found.stdout.strip() == "0"
        users = shell(shop.host, "ps -o user= -C psql | sort -u")
        assert users == "nobody"
        shell(shop.host, f"systemctl kill -s KILL {UNIT}")
        output, said = process.communicate(timeout=600)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0, output
    assert "the migration failed" in said + output
    assert "ten" not in shop.tables()
    assert shop.sql("SELECT count(*) FROM customers WHERE id = 9009") == "0"
    assert shop.ledger()[-1] == "009_first"
    # The server notices within 2 s that nobody is there any more, and gives the lock back.
    began = time.monotonic()
    mended = {**cut, "010_cut.sql": SLOW.format("ten", 9009, 0)}
    run(shop.host, shop.deploy(mended)).ok()
    assert time.monotonic() - began < 60
    assert shop.ledger()[-1] == "010_cut"
    assert shop.sql("SELECT count(*) FROM customers WHERE id = 9009") == "1"


@ON_12
def test_killed_at_any_moment_each_file_is_there_as_a_whole_or_not_at_all(shop: Shop, tmp_path: Path) -> None:
    numbers = range(20, 28)
    files = {
        f"0{n}_step.sql": f"INSERT INTO customers VALUES ({n}000, 'a');\nSELECT pg_sleep(0.1);\n"
        f"CREATE TABLE step_{n} AS SELECT 1 AS one;\nINSERT INTO customers VALUES ({n}001, 'b');\n"
        for n in numbers
    }
    deploy = shop.deploy(files)
    whole: set[int] = set()
    for turn in range(4):
        (directory := tmp_path / str(turn)).mkdir()
        process = playbook.start(shop.host, deploy, directory=directory)
        try:
            shell(shop.host, KILL.format(0.05 + 0.15 * turn))
            process.communicate(timeout=600)
        finally:
            process.kill()
            process.wait()
        found = {n for n in numbers if f"0{n}_step" in shop.ledger()}
        assert {n for n in numbers if f"step_{n}" in shop.tables()} == found
        rows = set(map(int, shop.sql("SELECT id FROM customers WHERE id >= 20000").split()))
        assert rows == {1000 * n + k for n in found for k in (0, 1)}
        assert found >= whole
        whole = found
    run(shop.host, deploy).ok()
    assert {f"0{n}_step" for n in numbers} <= set(shop.ledger())


def test_no_secret_anywhere(shop: Shop) -> None:
    files = {**upto_seven(), "008_slow.sql": SLOW.format("eight", 8008, 6)}
    files |= {"009_first.sql": "CREATE TABLE nine (id int);", "010_cut.sql": SLOW.format("ten", 9009, 0)}
    result = shop.run({**files, "031_last.sql": "CREATE TABLE last (id int);"}, "-vvv").ok()
    assert "lab-Pass" not in result.output
    shell(shop.host, "journalctl --sync; ! journalctl -q -o verbose | grep -F lab-Pass")
    shell(shop.host, "! grep -rFs lab-Pass /run/hostwright* /opt/shop /var/log/postgresql /tmp")
    shell(shop.host, "test -z \"$(find /run -maxdepth 1 -name 'hostwright-migrate-*')\"")


def test_dry_shows_what_would_run_and_changes_nothing(shop: Shop) -> None:
    release, read = shop.release({**FIRST, "039_more.sql": "CREATE TABLE more (id int);"})
    place = f"/opt/shop/releases/{release}/migrations"
    spec = migrations.specification(place, read, "shop_db", "shop", 1)
    shell(
        shop.host,
        f"umask 077; mkdir /root/dry; cp {FILE} /root/dry/password; cat >/root/dry/spec.json",
        stdin=spec,
    )
    before = shop.ledger()
    said = shell(
        shop.host,
        "CREDENTIALS_DIRECTORY=/root/dry python3 -I - /root/dry/spec.json "
        "/usr/lib/postgresql/*/bin/psql 5432 --dry; rm -r /root/dry",
        stdin=text("migrations-apply.py"),
    )
    assert said == "pending: 039_more"
    assert shop.ledger() == before
    assert "more" not in shop.tables()


def test_a_wrong_password_says_so(shop: Shop) -> None:
    deploy = shop.deploy({**FIRST, "032_twelve.sql": "CREATE TABLE twelve (id int);"})
    shell(shop.host, f"cp -p {FILE} {FILE}.kept; umask 077; echo wrong >{FILE}")
    try:
        result = run(shop.host, deploy)
    finally:
        shell(shop.host, f"mv {FILE}.kept {FILE}")
    assert result.rc != 0
    assert 'password authentication failed for user "shop"' in result.output
    assert "no migration was run" in result.output


def test_the_apps_own_command_is_asked_only_for_what_is_pending(shop: Shop) -> None:
    files = {"001_customers.sql": FIRST["001_customers.sql"], "032_twelve.sql": "BEGIN; COMMIT;"}
    release, read = shop.release(files, own=False)
    deploy = (
        'from operations import migrations\nmigrations.applied(name="migrate", app_dir="/opt/shop", '
        f'release={release!r}, user="nobody", env_file="/etc/shop/env", directory="migrations", '
        'command=["/bin/touch", "/tmp/asked"], files={files!r}, '
        'database="shop_db")\n'
    )
    shell(shop.host, "touch /etc/shop/env")
    known = run(shop.host, deploy.format(files=read[:1])).ok()
    assert known.unchanged == ["migrate"]
    shell(shop.host, "test ! -e /tmp/asked")
    assert run(shop.host, deploy.format(files=read)).ok().changed == ["migrate"]
    shell(shop.host, "test -e /tmp/asked")

"""`operations/pgbouncer.py` on real hosts: logins through it, and its process, are the judges."""

from __future__ import annotations

import shlex

import pytest

from tests.lab.playbook import LabHost, Result, fingerprint, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
FILE = "/root/database-password"
UNIT = "pgbouncer-shop.service"
DEPLOY = """
from operations import packages, pgbouncer, postgres
packages.masked(name="mask", unit="pgbouncer.service")
packages.installed(name="package", packages=["pgbouncer"])
postgres.role("shop_role", name="role", password_file="/root/database-password")
postgres.database("shop_db", name="database", owner="shop_role")
postgres.hba(postgres.loopback("shop_db", "shop_role"), name="hba")
pgbouncer.pool(name="pool", app="shop", database="shop_db", role="shop_role", group="shop",
    size=2, clients=20)
"""


def deploy(host: LabHost, old: str = "", new: str = "") -> Result:
    return run(host, DEPLOY.replace(old, new) if old else DEPLOY)


def log_in(
    host: LabHost, password: str, statement: str, *, port: int = 6432, database: str = "shop_db"
) -> str:
    """Run a statement through the pool and return what came of it."""
    program = (
        f"export PGPASSWORD={shlex.quote(password)} PGUSER=shop_role PGDATABASE={database} PGPORT={port}"
    )
    done = ssh(host, "sh", stdin=f"{program}; PGHOST=127.0.0.1 psql -XAtc {shlex.quote(statement)}")
    return (done.stdout + done.stderr).strip()


def pid(host: LabHost) -> str:
    return shell(host, f"systemctl show -p MainPID --value {UNIT}")


@pytest.fixture(scope="module")
def server(lab_host: LabHost) -> LabHost:
    shell(lab_host, f"umask 077 && cat >{FILE}", stdin="first-1\n")
    shell(lab_host, "useradd --system shop && install -d -g shop -m 0750 /etc/shop")
    deploy(lab_host).ok()
    return lab_host


def test_the_password_leads_through_it_and_is_nowhere(server: LabHost) -> None:
    assert log_in(server, "first-1", "select current_user || inet_server_port()") == "shop_role5432"
    assert "authentication failed" in log_in(server, "wrong", "select 1")
    assert "no such database" in log_in(server, "first-1", "select 1", database="postgres")
    assert shell(server, "grep -rl first-1 /etc /run /var/log /var/lib/postgresql || [ $? -eq 1 ]") == ""
    assert shell(server, "ss -tlnH 'sport = 6432' | awk '{ print $4 }'") == "127.0.0.1:6432"
    assert shell(server, f"ps -o user= -p {pid(server)}").strip() not in ("root", "postgres", "shop")
    assert shell(server, "systemctl is-active pgbouncer || [ $? -le 4 ]") == "inactive"


def test_again_changes_nothing(server: LabHost) -> None:
    before, process = fingerprint(server, "/etc", "/run/pgbouncer-shop.started"), pid(server)
    assert deploy(server).ok().changed == []
    assert (fingerprint(server, "/etc", "/run/pgbouncer-shop.started"), pid(server)) == (before, process)


def test_a_changed_limit_and_password_end_no_connection(server: LabHost) -> None:
    process = pid(server)
    ask = "echo 'select pg_backend_pid();'"
    wait = "while [ ! -e /root/go ]; do sleep 0.1; done"
    client = "PGPASSWORD=first-1 psql -XAth 127.0.0.1 -p 6432 -U shop_role shop_db >/root/held"
    whole = shlex.quote(f"({ask}; {wait}; {ask}) | {client}")
    shell(server, f"systemd-run -q --unit=held sh -c {whole}; until [ -s /root/held ]; do sleep 0.1; done")
    assert deploy(server, "size=2", "size=3").ok().changed == ["pool"]
    shell(server, f"umask 077 && cat >{FILE}", stdin="second-2\n")
    assert deploy(server, "size=2", "size=3").ok().changed == ["role", "pool"]
    assert "authentication failed" in log_in(server, "first-1", "select 1")
    assert log_in(server, "second-2", "select 42") == "42"
    assert pid(server) == process
    # A connection to the server that is made anew uses the new verifier, too.
    end = "select pg_terminate_backend(pid) from pg_stat_activity"
    end += f" where usename = 'shop_role' and pid <> {shell(server, 'head -n 1 /root/held')}"
    shell(server, "cd / && runuser -u postgres -- psql -XAt", stdin=end)
    assert log_in(server, "second-2", "select 43") == "43"
    shell(server, "touch /root/go; sleep 1")
    lines = shell(server, "grep -v '^$' /root/held").splitlines()
    assert len(lines) == 2, lines
    assert lines[0] == lines[1]


def test_another_port_restarts_it_and_a_power_cut_does_not_matter(server: LabHost) -> None:
    process = pid(server)
    assert deploy(server, "size=2", "port=6433, size=2").ok().changed == ["pool"]
    assert pid(server) != process
    assert log_in(server, "second-2", "select 1", port=6433) == "1"
    # Killed, it is there again by itself; stopped and changed by hand, the next run makes it good.
    shell(server, f"kill -KILL {pid(server)}; sleep 3")
    assert log_in(server, "second-2", "select 1", port=6433) == "1"
    shell(server, f"systemctl disable --now {UNIT}; echo ';' >>/etc/shop/pgbouncer.ini")
    assert deploy(server).ok().changed == ["pool"]
    assert log_in(server, "second-2", "select 1") == "1"
    assert deploy(server).ok().changed == []


def test_a_taken_port_is_named(server: LabHost) -> None:
    stranger = "python3 -m http.server -d /var/empty -b 127.0.0.1 6500"
    shell(server, f"systemd-run -q --unit=stranger {stranger}; sleep 1")
    result = deploy(server, "size=2", "port=6500, size=2")
    shell(server, "systemctl stop stranger")
    assert result.rc != 0
    assert "6500" in result.output
    deploy(server).ok()
    assert log_in(server, "second-2", "select 1") == "1"

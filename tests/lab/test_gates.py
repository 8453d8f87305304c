"""
Gates on real hosts: real supervisor, systemd, journal and PostgreSQL; each kind is green, then broken.

All kinds pass on both images. Each is broken on Debian 12 alone: what a gate makes of an answer is the
program's own, and does not depend on the image.
"""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

import pytest

from facts.script import text
from tests.lab.playbook import LabHost, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
ON_ONE = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
SHARED = "/opt/shop/shared"
LOG = f"{SHARED}/web.log"
PASSWORD = "tell-nobody-4711"
# Seconds until a gate that fails is given up: enough for an answer, also on a busy machine.
SOON = 4
# Seconds that a service has to stay as it is.
STAYS = 2
# Answers what the file `status` says, writes data and a line now and then, and ends where `crash` exists.
WEB = f"""
import http.server, os, pathlib, sys, threading, time
shared = pathlib.Path({SHARED!r})
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int((shared / "status").read_text()))
        self.end_headers()
        self.wfile.write(b'{{"status": "healthy"}}')
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
began = time.monotonic()
while True:
    (shared / "data" / ".new").write_text("{{}}")
    (shared / "data" / ".new").rename(shared / "data" / f"{{time.time_ns()}}.json")
    time.sleep(0.25)
    if (shared / "crash").exists() and time.monotonic() > began + 2:
        sys.exit("web: going down with " + os.environ["SHOP_DB_PASS"])
"""
DEPLOY = f"""
from operations import atomic, gates, supervisor
program = supervisor.Program(
    service="web", command=["/usr/bin/python3", "/opt/shop/web.py"], directory="/opt/shop", start_seconds=1,
    stdout_log={LOG!r}, stderr_log={LOG!r},
)
atomic.file(name="web", path="/opt/shop/web.py", content={WEB!r})
atomic.file(name="env", path="/etc/shop/env", content="SHOP_DB_PASS={PASSWORD}\\n", mode="0600")
atomic.file(name="program", path="/etc/shop/programs/web.conf", content=supervisor.program_text(program))
supervisor.instance(name="instance", app="shop", user="shop", log_dir={SHARED!r}, writable=[{SHARED!r}],
                    env_file="/etc/shop/env", include="/etc/shop/programs/*.conf")
supervisor.updated(name="update", app="shop", timeout=30)
"""
SPEC: dict[str, Any] = {
    "app": "shop",
    "user": "shop",
    "env_file": "/etc/shop/env",
    "secrets": ["/etc/shop/secrets"],
    "logs": {"web": {"files": [LOG]}, "work": {"unit": "shop-work.service"}},
    "database": {
        "host": "127.0.0.1", "port": 5432, "database": "shop_db", "role": "shop_role",
        "password_file": "/etc/shop/secrets/db_password",
    },
}  # fmt: skip
RUNNING = {"kind": "running", "socket": "/run/shop/supervisor.sock", "programs": ["web"], "stays": STAYS}
UNIT = {"kind": "running", "units": {"work": "shop-work.service"}, "stays": 2}
HEALTH = {
    "kind": "http",
    "service": "web",
    "url": "http://127.0.0.1:3000/health",
    "json": {"status": "healthy"},
}
SQL = {"kind": "sql", "query": "SELECT current_user || ' ' || 1", "returns": "shop_role 1"}
AGE = {"kind": "sql", "query": "SELECT max(at) FROM ticks", "max_age": 3600}
DATA = {"kind": "file_age", "path": f"{SHARED}/data", "max_age": 60, "json": True, "new": True}
COUNT = {"kind": "count", "path": f"{SHARED}/data", "by": 2}
LOGS = {"kind": "log", "service": "web", "pattern": "ERROR|Traceback", "files": [LOG], "stays": 2}
JOURNAL = {"kind": "log", "service": "work", "pattern": "ERROR", "units": ["shop-work.service"], "stays": 2}
WHO = {
    "kind": "command",
    "command": ["sh", "-c", 'echo "$(id -un) $(id -Gn) $SHOP_DB_PASS"'],
    "contains": "shop shop t",
}
PORT = {"kind": "tcp", "host": "127.0.0.1", "port": 3000}
ALL: list[dict[str, Any]] = [RUNNING, UNIT, HEALTH, SQL, AGE, DATA, COUNT, LOGS, JOURNAL, WHO, PORT]


@pytest.fixture(scope="module")
def shop(lab_host: LabHost) -> LabHost:
    """One supervised service, one systemd unit, and a database of theirs."""
    shell(
        lab_host,
        "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin shop; "
        f"install -d -o shop -g shop {SHARED} {SHARED}/data; install -d -m 0700 /etc/shop/secrets; "
        "install -d /etc/shop/programs; "
        f"umask 077; echo {PASSWORD} >/etc/shop/secrets/db_password; umask 022; "
        f"echo 200 >{SHARED}/status; printf '%s\\n' 'echo work begins' 'sleep 999' >/opt/shop/work.sh; "
        "systemd-run --quiet --unit=shop-work -p Restart=always -p RestartSec=0.1 -p User=shop "
        "sh /opt/shop/work.sh",
    )
    shell(
        lab_host,
        "cd /; runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1",
        stdin=f"CREATE ROLE shop_role LOGIN PASSWORD '{PASSWORD}';\n"
        "CREATE DATABASE shop_db OWNER shop_role;\n"
        "\\c shop_db\nCREATE TABLE ticks AS SELECT now() AS at;\nALTER TABLE ticks OWNER TO shop_role;\n",
    )
    run(lab_host, DEPLOY).ok()
    shell(lab_host, "cat >/root/gates.py", stdin=text("gates.py"))
    return lab_host


def check(host: LabHost, *gates: dict[str, Any], **top: Any) -> tuple[int, str, float]:
    """Run gates on the host as its undo program does; return exit code, output, and seconds on the host."""
    spec = json.dumps({**SPEC, "gates": gates, **top})
    done = ssh(host, "date +%s.%N; python3 -I /root/gates.py -; code=$?; date +%s.%N; exit $code", stdin=spec)
    begin, *lines, end = done.stdout.splitlines()
    said = "\n".join([*lines, done.stderr])
    assert PASSWORD not in said
    return done.returncode, said, float(end) - float(begin)


def red(host: LabHost, said: str, *gates: dict[str, Any], **top: Any) -> str:
    code, output, _ = check(host, *gates, **top)
    assert code == 1
    assert said in output
    return output


def test_all_pass_at_once(shop: LabHost) -> None:
    code, said, took = check(shop, *ALL)
    assert code == 0, said
    assert said.startswith("shop: 11 gates passed in ")
    assert took < 8  # one after the other they would take that long


def test_as_an_operation(shop: LabHost) -> None:
    shell(shop, "cat >/opt/shop/gates.json", stdin=json.dumps({**SPEC, "gates": ALL}))
    call = "gates.passed(name='gates', app='shop', spec_file='/opt/shop/gates.json')"
    deploy = f"from operations import gates\n{call}"
    assert "11 gates passed" in run(shop, deploy, "-vvv").ok().output
    shell(
        shop,
        "cat >/opt/shop/gates.json",
        stdin=json.dumps({**SPEC, "gates": [{**HEALTH, "status": 503, "seconds": SOON}]}),
    )
    result = run(shop, deploy)
    assert result.rc != 0
    assert "expected status 503" in result.output
    spec = json.dumps({**SPEC, "gates": [PORT]})
    assert (
        "1 gate passed"
        in run(shop, f"from operations import gates\ngates.passed(app='shop', spec={spec!r})", "-vvv")
        .ok()
        .output
    )


@ON_ONE
def test_page_that_answers_500(shop: LabHost) -> None:
    shell(shop, f"echo 500 >{SHARED}/status; echo the last line >>{LOG}")
    output = red(shop, "saw status 500: {", {**HEALTH, "seconds": 2}, RUNNING)
    assert f"last lines of {LOG}:" in output
    assert "      the last line" in output
    shell(shop, f"echo 200 >{SHARED}/status")


@ON_ONE
def test_service_that_crashes_after_a_while(shop: LabHost) -> None:
    assert check(shop, RUNNING)[0] == 0
    shell(shop, f"touch {SHARED}/crash; rm -f {LOG}.old")
    try:
        output = red(shop, "web: expected RUNNING, and the same process for 2 s, saw RUNNING, pid ", RUNNING)
        assert "web: going down with ***" in output
    finally:
        shell(shop, f"rm {SHARED}/crash")
    # It comes up again by itself, and is waited for.
    assert check(shop, RUNNING, PORT)[0] == 0


@ON_ONE
def test_service_that_stays_down(shop: LabHost) -> None:
    shell(shop, "supervisorctl -c /etc/shop/supervisord.conf stop web")
    soon = [{**gate, "seconds": SOON} for gate in (PORT, HEALTH, DATA, COUNT)]
    # All at one time: soon after the first that has failed the others are no longer waited for.
    output = red(shop, "shop: 5 of 5 gates failed", {**RUNNING, "seconds": SOON + STAYS}, *soon)
    assert "saw STOPPED" in output
    assert "port 3000, saw [Errno 111] Connection refused" in output
    assert "saw no answer: [Errno 111] Connection refused" in output
    assert "saw none since; the newest one" in output
    assert "expected 2 more files" in output
    shell(shop, "supervisorctl -c /etc/shop/supervisord.conf start web")
    shell(shop, "systemctl stop shop")
    red(
        shop,
        "expected the app's supervisor to answer, saw none on /run/shop/supervisor.sock",
        {**RUNNING, "seconds": 3},
    )
    shell(shop, "systemctl start shop")
    assert check(shop, RUNNING, HEALTH, COUNT)[0] == 0


@ON_ONE
def test_unit_that_crashes_and_starts_again(shop: LabHost) -> None:
    crash = "sleep 2.5; systemctl kill -s KILL shop-work"
    shell(shop, f"systemd-run --quiet sh -c {shlex.quote(crash)}")
    output = red(
        shop, "work: expected RUNNING, and the same process for 9 s, saw RUNNING, pid ", {**UNIT, "stays": 9}
    )
    assert "1 restarts by itself" in output or "activating" in output
    assert "last lines of: journalctl -u shop-work.service:" in output
    assert "work begins" in output
    time.sleep(0.5)
    code, said, _ = check(shop, UNIT)
    assert code == 0, said


@ON_ONE
def test_sql_with_wrong_credentials_and_answers(shop: LabHost) -> None:
    red(shop, "expected 'x' from", {**SQL, "returns": "x", "seconds": SOON})
    red(
        shop,
        "cannot execute INSERT in a read-only transaction",
        {**SQL, "query": "INSERT INTO ticks VALUES (now())", "seconds": SOON},
    )
    shell(
        shop,
        "cd /; runuser -u postgres -- psql -qX shop_db",
        stdin="UPDATE ticks SET at = now() - interval '2 hours';",
    )
    red(
        shop,
        "expected a time at most 3600 s old from 'SELECT max(at) FROM ticks', saw 720",
        {**AGE, "seconds": SOON},
    )
    red(shop, "saw no time", {**AGE, "query": "SELECT at FROM ticks WHERE false", "seconds": SOON})
    hung = {**SQL, "query": "SELECT pg_sleep(60)", "seconds": 2}
    code, said, took = check(shop, hung)
    assert code == 1
    assert "canceling statement due to statement timeout" in said or "no answer in" in said
    assert took < 30
    shell(shop, "echo wrong >/etc/shop/secrets/db_password")
    output = red(shop, 'password authentication failed for user "shop_role"', {**SQL, "seconds": SOON})
    assert "wrong" not in output
    shell(shop, f"echo {PASSWORD} >/etc/shop/secrets/db_password")
    shell(shop, "systemctl stop postgresql")
    red(shop, "Connection refused", {**SQL, "seconds": SOON})
    shell(shop, "systemctl start postgresql")
    assert check(shop, SQL)[0] == 0


@ON_ONE
def test_lines_in_the_logs(shop: LabHost) -> None:
    shell(shop, f"echo ERROR of before >>{LOG}")
    assert check(shop, LOGS, JOURNAL)[0] == 0
    shell(shop, f"systemd-run --quiet sh -c 'sleep 2.5; echo ERROR it broke with {PASSWORD} >>{LOG}'")
    output = red(shop, f"saw in {LOG}: ERROR it broke with ***", {**LOGS, "stays": 9})
    assert "ERROR of before" in output
    shell(shop, "systemctl stop shop-work")
    words = ["sh", "-c", "echo work begins; sleep 2.5; echo ERROR in the journal; sleep 999"]
    shell(
        shop,
        "systemctl reset-failed shop-work.service; "
        "systemd-run --quiet --unit=shop-work -p User=shop " + shlex.join(words),
    )
    red(shop, "saw in the journal of shop-work.service: ERROR in the journal", {**JOURNAL, "stays": 9})


@ON_ONE
def test_json_that_is_not_whole(shop: LabHost) -> None:
    shell(shop, f"echo '{{' >{SHARED}/data/bad.json")
    red(shop, f"{SHARED}/data/bad.json is not JSON", {**DATA, "seconds": 2})
    shell(shop, f"rm {SHARED}/data/bad.json")


@ON_ONE
def test_command_as_the_service_user(shop: LabHost) -> None:
    assert check(shop, WHO)[0] == 0
    red(
        shop,
        "exit code 1: cat: /etc/shop/secrets/db_password: Permission denied",
        {"kind": "command", "command": ["cat", "/etc/shop/secrets/db_password"], "seconds": SOON},
    )
    hung = {"kind": "command", "command": ["sh", "-c", "sleep 4711 & exec sleep 4712"], "seconds": 2}
    code, _, took = check(shop, hung)
    assert code == 1
    assert took < 30
    assert ssh(shop, "pgrep -f 'sleep 471[12]'").stdout == ""


@ON_ONE
def test_program_that_is_killed_leaves_nothing_and_has_not_passed(shop: LabHost) -> None:
    spec = shlex.quote(json.dumps({**SPEC, "gates": [{"kind": "command", "command": ["sleep", "4713"]}]}))
    begin = f"echo {spec} >/run/spec; python3 -I /root/gates.py /run/spec & sleep 1; "
    assert shell(shop, f"{begin} kill -KILL $!; wait $!; echo $?").endswith("137")
    time.sleep(0.3)
    assert ssh(shop, "pgrep -f 'sleep 4713'").stdout == ""

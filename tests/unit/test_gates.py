"""Each kind of gate, green and red; what hangs ends; what breaks has not passed; no secret is shown."""

from __future__ import annotations

import getpass
import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from facts.script import HOST_PROGRAMS, text
from settings import Settings, SettingsError, load
from tasks.gates import spec as spec_of

# A gate that is cut off in time, where it would have taken 20 s and more; on a busy machine, too.
LONG = 8
SECRET = "s3cret 'of\\ the/ house"
Gate = dict[str, Any]


@dataclass
class Outcome:
    code: int
    out: str
    err: str
    took: float


def run(place: Path, *gates: Gate, options: tuple[str, ...] = (), **top: Any) -> Outcome:
    """Run gates as on a host, with programs of `place`/bin before all others."""
    (place / "secret").write_text(SECRET + "\n")
    spec = {
        "app": "shop",
        "user": getpass.getuser(),
        "secrets": [str(place / "secret")],
        "gates": gates,
        **top,
    }
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-c", text("gates.py"), *options, "-"],
        input=json.dumps(spec),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}"},
        check=False,
    )
    assert "this program broke" not in done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def passes(place: Path, *gates: Gate, **top: Any) -> Outcome:
    outcome = run(place, *gates, **top)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome


def fails(place: Path, said: str, *gates: Gate, **top: Any) -> Outcome:
    outcome = run(place, *gates, **top)
    assert (outcome.code, outcome.out) == (1, "")
    assert said in outcome.err
    return outcome


def program(place: Path, name: str, body: str) -> None:
    (place / "bin").mkdir(exist_ok=True)
    (place / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    (place / "bin" / name).chmod(0o755)


# --- Pages and ports ---------------------------------------------------------------------------------------


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        status, body = server.pages[min(server.asked, len(server.pages) - 1)]
        server.asked += 1
        if status == 0:
            time.sleep(20)
            return
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True
    pages: list[tuple[int, str]] = [(200, "")]
    asked = 0


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(("127.0.0.1", 0), Page)
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def page(site: Site, **more: Any) -> Gate:
    url = f"http://127.0.0.1:{site.server_port}/health?a=1"
    return {"kind": "http", "service": "web", "url": url, "seconds": 1, **more}


def test_page(tmp_path: Path, site: Site) -> None:
    site.pages = [(200, '{"status": "healthy", "open": {"rows": [1, 2]}}')]
    expected = {"status": "healthy", "open.rows.1": 2}
    assert passes(tmp_path, page(site, contains="healthy", json=expected)).out.startswith(
        "shop: 1 gate passed in 0."
    )
    fails(tmp_path, "expected status 503, saw status 200: {", page(site, status=503))
    fails(tmp_path, "a page that contains 'REC.IO', saw a page without it: {", page(site, contains="REC.IO"))
    fails(tmp_path, "open.rows.1 = 3, saw open.rows.1 = 2: {", page(site, json={"open.rows.1": 3}))
    fails(tmp_path, 'status = true, saw status = "healthy"', page(site, json={"status": True}))
    fails(tmp_path, "none = 1, saw none = null", page(site, json={"none": 1}))


def test_page_that_is_broken(tmp_path: Path, site: Site) -> None:
    site.pages = [(500, f"it broke:\n{SECRET}\n")]
    outcome = fails(tmp_path, "expected status 200, saw status 500: it broke: | ***\n", page(site))
    assert outcome.took < LONG
    assert site.asked > 2
    site.pages = [(302, "")]
    fails(tmp_path, "saw status 302", page(site))


def test_service_that_takes_its_time_is_not_failed(tmp_path: Path, site: Site) -> None:
    site.pages = [(503, "starting")] * 5 + [(200, "")]
    passes(tmp_path, page(site, seconds=5))
    assert site.asked == 6


def test_server_that_hangs(tmp_path: Path, site: Site) -> None:
    site.pages = [(0, "")]
    outcome = fails(tmp_path, "expected status 200, saw no answer in 1.0 s", page(site))
    assert outcome.took < LONG


def test_server_that_drips(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            client, _ = listener.accept()
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                time.sleep(0.1)
                try:
                    client.sendall(b"X: y\r\n")
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        outcome = fails(
            tmp_path, "expected an end within 1 s, saw it hangs", {"kind": "http", "url": url, "seconds": 1}
        )
    assert outcome.took < LONG


def test_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = {"kind": "tcp", "host": "127.0.0.1", "port": listener.getsockname()[1], "seconds": 1}
        passes(tmp_path, gate)
    fails(
        tmp_path, f"a connection to 127.0.0.1 port {gate['port']}, saw [Errno 111] Connection refused", gate
    )


# --- The database ------------------------------------------------------------------------------------------

DATABASE = {"host": "127.0.0.1", "port": 5432, "database": "shop_db", "role": "shop_role"}


def sql(place: Path, body: str, **more: Any) -> tuple[Gate, Gate]:
    program(place, "psql", body)
    base = {**DATABASE, "password_file": str(place / "secret")}
    return {"kind": "sql", "query": "SELECT 1;", "seconds": 1, **more}, base


def test_sql(tmp_path: Path) -> None:
    gate, base = sql(tmp_path, "echo 1", returns="1")
    passes(tmp_path, gate, database=base)
    gate, base = sql(tmp_path, "echo 2", returns="1")
    fails(tmp_path, "expected '1' from 'SELECT 1', saw '2'", gate, database=base)
    gate, base = sql(tmp_path, "true")
    fails(tmp_path, "expected a row from 'SELECT 1', saw no row", gate, database=base)
    gate, base = sql(tmp_path, "echo")
    passes(tmp_path, gate, database=base)
    gate, base = sql(tmp_path, "sleep 20")
    assert fails(tmp_path, "saw no answer in", gate, database=base).took < LONG


def test_age_of_a_row(tmp_path: Path) -> None:
    body = 'for query; do :; done; case $query in "SELECT extract(epoch FROM clock_timestamp() - (SELECT 1)'
    gate, base = sql(tmp_path, f'{body}::timestamptz)") echo 12.5 ;; esac', max_age=13)
    passes(tmp_path, gate, database=base)
    fails(tmp_path, "at most 12 s old from 'SELECT 1', saw 12.5 s", {**gate, "max_age": 12}, database=base)
    gate, base = sql(tmp_path, "echo", max_age=13)
    fails(tmp_path, "saw no time: NULL, or no row", gate, database=base)


def test_password_is_in_the_environment_alone_and_never_shown(tmp_path: Path) -> None:
    body = (
        f'printf "%s\\n" "$PGPASSWORD" >{tmp_path}/got; tr "\\0" " " </proc/$$/cmdline >{tmp_path}/argv.new; '
        f"mv {tmp_path}/argv.new {tmp_path}/argv\n"
        'echo "FATAL: $PGUSER may not come in with $PGPASSWORD, $PGOPTIONS" >&2; exit 2'
    )
    gate, base = sql(tmp_path, body)
    outcome = fails(
        tmp_path,
        "saw FATAL: shop_role may not come in with ***, -c default_transaction_read_only=on",
        gate,
        database=base,
    )
    assert (tmp_path / "got").read_text() == SECRET + "\n"
    assert "SELECT 1" in (tmp_path / "argv").read_text()
    assert SECRET not in (tmp_path / "argv").read_text()
    assert SECRET not in outcome.err


def test_gate_that_breaks_has_not_passed(tmp_path: Path) -> None:
    gate, base = sql(tmp_path, "echo 1")
    said = "saw the gate itself broke: FileNotFoundError: [Errno 2] No such file"
    fails(tmp_path, said, gate, database={**base, "password_file": str(tmp_path / "none")})
    fails(tmp_path, "the gate itself broke: KeyError", command("true"), user="nobody-of-that-name")
    program(tmp_path, "psql", "echo soon")
    fails(tmp_path, "the gate itself broke: ValueError", {**gate, "max_age": 1}, database=base)


# --- Files -------------------------------------------------------------------------------------------------


def age(path: Path, seconds: float) -> None:
    path.touch()
    os.utime(path, (time.time() - seconds,) * 2)


def test_age_of_files(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    gate = {"kind": "file_age", "path": str(place), "max_age": 60, "json": True, "seconds": 1}
    fails(
        tmp_path,
        f"expected a file in {place} at most 60 s old, and every .json of it whole, saw no file",
        gate,
    )
    age(place / "old", 100)
    (place / ".half.json").write_text("{")
    fails(tmp_path, f"saw the newest one, {place}/old, is 10", gate)
    (place / "in").mkdir()
    (place / "in" / "new.json").write_text("{}")
    passes(tmp_path, gate)
    passes(tmp_path, {**gate, "path": f"{place}/*/*.json"})
    (place / "in" / "bad.json").write_text('{"price": 1')
    outcome = fails(tmp_path, f"{place}/in/bad.json is not JSON: Expecting ',' delimiter", gate)
    assert "price" not in outcome.err
    passes(tmp_path, {**gate, "json": False})


def test_file_that_is_new(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    age(place / "before", 5)
    gate = {"kind": "file_age", "path": str(place), "max_age": 60, "new": True, "seconds": 2}
    fails(tmp_path, f"saw none since; the newest one, {place}/before, is ", gate)
    passes(tmp_path, gate, options=("--since", str(time.time() - 10)))
    threading.Timer(1.5, (place / "after").touch).start()
    passes(tmp_path, {**gate, "seconds": 9})


def test_growth(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    (place / "a").write_text("1\n2\n")
    files: Gate = {"kind": "count", "path": str(place), "seconds": 2}
    lines: Gate = {**files, "what": "lines", "by": 2}
    fails(tmp_path, f"expected 1 more files in {place} within 2 s, saw 0 more (1 at first)", files)
    fails(tmp_path, f"expected 2 more lines in {place} within 2 s, saw 0 more", lines)
    threading.Timer(1.5, (place / "b").touch).start()
    passes(tmp_path, {**files, "seconds": 9})

    def write() -> None:
        with (place / "a").open("a") as file:
            file.write("3\n4\n")

    threading.Timer(1.5, write).start()
    passes(tmp_path, {**lines, "seconds": 9})


# --- Logs --------------------------------------------------------------------------------------------------


def log(*files: Path, **more: Any) -> Gate:
    return {
        "kind": "log",
        "service": "web",
        "pattern": "ERROR|Traceback",
        "files": [*map(str, files)],
        "stays": 1,
        **more,
    }


def later(file: Path, *lines: str, seconds: float = 1.5, end: str = "\n") -> None:
    def write() -> None:
        with file.open("a") as opened:
            opened.write("\n".join(lines) + end)

    threading.Timer(seconds, write).start()


def test_log(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.write_text("ERROR of yesterday\n")
    logs = {"web": {"files": [str(file)]}}
    later(file, "INFO all is well")
    assert passes(tmp_path, log(file, stays=4)).took > 1
    later(file, "INFO", f"ERROR {SECRET} failed")
    outcome = fails(
        tmp_path,
        f"expected no new line that matches 'ERROR|Traceback', saw in {file}: ERROR *** failed\n",
        log(file, stays=4),
        logs=logs,
    )
    assert (
        f"    last lines of {file}:\n      ERROR of yesterday\n      INFO all is well\n      INFO\n"
        "      ERROR *** failed\n" in outcome.err
    )
    later(file, "Traceback", end="")
    fails(tmp_path, f"saw in {file}: Traceback", log(tmp_path / "*.log", stays=4))


def test_log_that_is_turned_over_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.write_text("x\n" * 9)

    def turn() -> None:
        with file.open("a") as old:
            file.rename(tmp_path / "web.log-1")
            old.write("ERROR in the old one\n")
        file.write_text("INFO\n")

    threading.Timer(1.5, turn).start()
    fails(tmp_path, f"saw in {file}: ERROR in the old one", log(tmp_path / "*.log", stays=4))
    file.write_text("INFO\n" * 9)
    threading.Timer(1.5, lambda: file.write_text("ERROR\n")).start()
    fails(tmp_path, f"saw in {file}: ERROR", log(tmp_path / "*.log", stays=4))


def test_lines_since_the_switch(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.write_text(
        "2026-01-02T10:00:00.000Z ERROR old\n  at old\n"
        "2026-01-02T10:00:05Z INFO\n2026-01-02T12:00:06+0200 ERROR\n"
    )
    second = 1767348000  # 2026-01-02T10:00:00Z
    fails(
        tmp_path,
        f"saw in {file}: 2026-01-02T12:00:06+0200 ERROR\n",
        log(file),
        options=("--since", str(second + 1)),
    )
    fails(tmp_path, "ERROR old and 1 more\n", log(file), options=("--since", str(second)))
    passes(tmp_path, log(file), options=("--since", str(second + 7)))


def test_since_the_time_of_a_link(tmp_path: Path) -> None:
    file, link, now = tmp_path / "web.log", tmp_path / "current", time.time()
    stamp = datetime.fromtimestamp(now - 60, tz=timezone.utc).isoformat()
    file.write_text(f"{stamp} ERROR\n")
    link.symlink_to("/nowhere")
    since = ("--since", str(link))
    os.utime(link, (now - 50,) * 2, follow_symlinks=False)
    passes(tmp_path, log(file), options=since)
    os.utime(link, (now - 70,) * 2, follow_symlinks=False)
    fails(tmp_path, f"saw in {file}: {stamp} ERROR", log(file), options=since)
    # Not of this run: what came since then is no fault of this change.
    os.utime(link, (now - 1000,) * 2, follow_symlinks=False)
    passes(tmp_path, log(file), options=since)


def test_journal(tmp_path: Path) -> None:
    now = time.time()
    # What is from before the gates began is not new, though the journal's --since is to the second.
    program(
        tmp_path,
        "journalctl",
        f'case "$*" in *short-unix*) echo "{now - 0.5:.6f} host shop[1]: ERROR old"; '
        f'echo "{now + 60:.6f} host shop[1]: INFO: fine" ;; *) echo line;; esac',
    )
    gate: Gate = {"kind": "log", "service": "web", "pattern": "ERROR", "units": ["shop.service"], "stays": 1}
    passes(tmp_path, gate)
    program(
        tmp_path,
        "journalctl",
        f'case "$*" in *short-unix*) echo "{now + 60:.6f} host shop[1]: ERROR: new"; '
        'echo " more" ;; *) echo "the last"; esac',
    )
    said = (
        "saw in the journal of shop.service: ERROR: new\n"
        "    last lines of: journalctl -u shop.service:\n      the last\n"
    )
    fails(tmp_path, said, gate, logs={"web": {"unit": "shop.service"}})
    program(tmp_path, "journalctl", "echo no journal >&2; exit 1")
    fails(tmp_path, "saw journalctl -u shop.service: exit code 1 no journal", gate)


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("hashes\n")
    (tmp_path / "web.log").symlink_to(tmp_path / "shadow")
    gate = {**command("false"), "service": "web"}
    outcome = fails(
        tmp_path,
        "Too many levels of symbolic links",
        gate,
        logs={"web": {"files": [str(tmp_path / "web.log")]}},
    )
    assert "hashes" not in outcome.err


def test_expression_that_never_ends_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.touch()
    later(file, "a" * 60 + "b")
    outcome = run(tmp_path, log(file, pattern="(a+)+$", stays=3, seconds=4))
    assert outcome.code == 1
    assert "Timeout" in outcome.err
    assert outcome.took < 8


# --- Commands ----------------------------------------------------------------------------------------------


def command(*words: str, **more: Any) -> Gate:
    return {"kind": "command", "command": list(words), "seconds": 1, **more}


def test_command(tmp_path: Path) -> None:
    passes(tmp_path, command("true"))
    passes(tmp_path, command("sh", "-c", "exit 3", exit_code=3))
    passes(tmp_path, command("echo", "all is well", contains="is well"))
    fails(
        tmp_path,
        "expected exit code 0 from 'sh -c echo why >&2; exit 3', saw exit code 3: why",
        command("sh", "-c", "echo why >&2; exit 3"),
    )
    fails(
        tmp_path,
        "expected exit code 0 and 'well' from 'echo bad', saw exit code 0, but: bad",
        command("echo", "bad", contains="well"),
    )
    fails(tmp_path, "exit code 127", command("/no/such/program"))
    fails(tmp_path, "saw exit code 1: ***", command("sh", "-c", f"cat {tmp_path}/secret; exit 1"))


def test_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    body = f"sleep 30 & echo $! >{tmp_path}/child; echo busy; wait"
    outcome = fails(tmp_path, "it was not done after 1.0 s and was killed: busy", command("sh", "-c", body))
    assert outcome.took < LONG
    # Not our child, so it is gone as soon as it is dead; or a zombie, where nobody collects those.
    status = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_command_that_leaves_something_behind_is_not_waited_for(tmp_path: Path) -> None:
    assert passes(tmp_path, command("sh", "-c", "sleep 30 & exit 0", seconds=20)).took < LONG


def test_command_that_never_stops_talking(tmp_path: Path) -> None:
    assert fails(tmp_path, "was killed: ...", command("yes")).took < LONG


VALUE = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs", "Cc"]), max_size=20)


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,5}", fullmatch=True), VALUE, max_size=4))
def test_the_environment_is_read_as_it_was_written(values: dict[str, str]) -> None:
    names: dict[str, Any] = {}
    source = (HOST_PROGRAMS / "secrets-env.py").read_text().rsplit("\nmain()", 1)[0]
    exec(compile(source, "secrets-env.py", "exec"), names)
    gates: dict[str, Any] = {"__name__": "parts"}
    exec(compile(text("gates.py"), "gates.py", "exec"), gates)
    written = names["content"]("/", [[key, "text", value] for key, value in values.items()])
    file = Path(f"/tmp/hostwright-env-{os.getpid()}")
    file.write_text(written, newline="")
    try:
        assert gates["env_of"](file) == values
    finally:
        file.unlink()


def test_command_has_the_environment(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# made\nSHOP_A='b c'\nSHOP_B=\"it's \\$5\"\n")
    gate = command("sh", "-c", 'echo "$SHOP_A, $SHOP_B in $PWD"', contains=f"b c, it's $5 in {tmp_path}\n")
    passes(tmp_path, gate, env_file=str(tmp_path / "env"), directory=str(tmp_path))


# --- Services that run -------------------------------------------------------------------------------------


class Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ("/RPC2",)
    disable_nagle_algorithm = False

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class Supervisor(socketserver.ThreadingUnixStreamServer, SimpleXMLRPCDispatcher):
    """Answers as supervisor does: one state after the other, a moment each."""

    daemon_threads = True
    logRequests = False  # noqa: N815

    def __init__(self, path: Path, states: list[dict[str, tuple[str, int]]]) -> None:
        SimpleXMLRPCDispatcher.__init__(self)
        socketserver.ThreadingUnixStreamServer.__init__(self, str(path), Handler)
        self.states, self.began, self.asked = states, time.monotonic(), 0
        self.register_function(self.infos, "supervisor.getAllProcessInfo")
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def infos(self) -> list[dict[str, Any]]:
        self.began = self.began if self.asked else time.monotonic()
        self.asked += 1
        now = self.states[min(int((time.monotonic() - self.began) / 0.5), len(self.states) - 1)]
        return [
            {
                "name": name,
                "group": name,
                "statename": state,
                "pid": pid,
                "start": pid,
                "spawnerr": "Exited too quickly" if state != "RUNNING" else "",
            }
            for name, (state, pid) in now.items()
        ]


def supervised(place: Path, *states: dict[str, tuple[str, int]], gate: Gate | None = None) -> Outcome:
    path = place / "sock"
    path.unlink(missing_ok=True)
    server = Supervisor(path, list(states))
    about = {"kind": "running", "socket": str(path), "programs": ["web", "work"], "stays": 1, "seconds": 3}
    try:
        (place / "work.log").write_text("going down\n")
        return run(place, {**about, **(gate or {})}, logs={"work": {"files": [str(place / "work.log")]}})
    finally:
        server.shutdown()
        server.server_close()


GOOD = {"web": ("RUNNING", 10), "work": ("RUNNING", 11)}


def test_services_run(tmp_path: Path) -> None:
    outcome = supervised(tmp_path, GOOD)
    assert outcome.code == 0
    assert outcome.took > 1
    assert supervised(tmp_path, {**GOOD, "work": ("STARTING", 11)}, GOOD).code == 0


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([GOOD, {**GOOD, "work": ("BACKOFF", 0)}], "saw RUNNING, pid 11, then BACKOFF: Exited too quick"),
        ([GOOD, {**GOOD, "work": ("RUNNING", 12)}], "saw RUNNING, pid 11, then RUNNING, pid 12 after "),
        ([{**GOOD, "work": ("FATAL", 0)}], "saw FATAL: Exited too quickly\n"),
        ([{**GOOD, "work": ("STARTING", 11)}], "saw STARTING, pid 11: Exited too quickly\n"),
        ([{"web": ("RUNNING", 10)}], "saw the supervisor does not know it\n"),
    ],
)  # fmt: skip
def test_services_that_do_not(tmp_path: Path, states: list[Any], said: str) -> None:
    outcome = supervised(tmp_path, *states)
    assert outcome.code == 1
    assert f"shop: running\n    work: expected RUNNING, and the same process for 1 s, {said}" in outcome.err
    assert f"last lines of {tmp_path}/work.log:\n      going down\n" in outcome.err
    assert "web" not in outcome.err


def test_service_that_crashes_while_another_gate_is_still_at_it(tmp_path: Path, site: Site) -> None:
    site.pages = [(503, "")] * 12 + [(200, "")]
    path = tmp_path / "sock"
    server = Supervisor(path, [GOOD, GOOD, GOOD, {**GOOD, "web": ("RUNNING", 99)}])
    watch = {"kind": "running", "socket": str(path), "programs": ["web", "work"], "stays": 1, "seconds": 8}
    try:
        fails(tmp_path, "web: expected RUNNING", watch, page(site, seconds=9))
    finally:
        server.shutdown()
        server.server_close()


def test_supervisor_that_is_away_or_hangs(tmp_path: Path) -> None:
    gate = {
        "kind": "running",
        "socket": str(tmp_path / "none"),
        "programs": ["web"],
        "stays": 1,
        "seconds": 2,
    }
    fails(tmp_path, f"expected the app's supervisor to answer, saw none on {tmp_path}/none: [Errno 2]", gate)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "hangs"))
        listener.listen()
        outcome = fails(tmp_path, "saw none on", {**gate, "socket": str(tmp_path / "hangs")})
    assert outcome.took < LONG


def systemd(place: Path, first: str, then: str) -> Outcome:
    program(
        place, "systemctl",
        f"cat <<END\n$(test -e {place}/asked && echo '{then}' || echo '{first}')\n\n"
        "Id=shop-web.service\nActiveState=active\nSubState=running\nMainPID=7\nNRestarts=0\nResult=success\n"
        f"ExecMainStartTimestampMonotonic=5\nEND\ntouch {place}/asked",
    )  # fmt: skip
    program(place, "journalctl", "echo the last line")
    (place / "asked").unlink(missing_ok=True)
    units = {"shop": "shop.service", "web": "shop-web.service"}
    logs = {label: {"unit": unit} for label, unit in units.items()}
    return run(place, {"kind": "running", "units": units, "stays": 1, "seconds": 2}, logs=logs)


def unit(**changes: str) -> str:
    base = {"Id": "shop.service", "ActiveState": "active", "SubState": "running", "MainPID": "6"}
    base |= {"NRestarts": "0", "Result": "success", "ExecMainStartTimestampMonotonic": "4", **changes}
    return "\n".join(f"{key}={value}" for key, value in base.items())


def test_units(tmp_path: Path) -> None:
    assert systemd(tmp_path, unit(), unit()).code == 0
    assert systemd(tmp_path, unit(NRestarts="4"), unit(NRestarts="4")).code == 0


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ({"NRestarts": "1"}, "RUNNING, pid 6, then RUNNING, pid 6, 1 restarts by itself after "),
        ({"MainPID": "8"}, "RUNNING, pid 6, then RUNNING, pid 8 after "),
        ({"ExecMainStartTimestampMonotonic": "9"}, "RUNNING, pid 6, then RUNNING, pid 6 after "),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}, "then failed (failed, "),
    ],
)  # fmt: skip
def test_units_that_do_not_stay(tmp_path: Path, then: dict[str, str], said: str) -> None:
    outcome = systemd(tmp_path, unit(), unit(**then))
    assert outcome.code == 1
    assert said in outcome.err
    assert "    last lines of: journalctl -u shop.service:\n      the last line\n" in outcome.err
    assert "shop-web" not in outcome.err


# --- All together ------------------------------------------------------------------------------------------


def test_all_run_at_once_and_are_counted(tmp_path: Path) -> None:
    outcome = passes(tmp_path, *[command("sleep", "0.5", seconds=9)] * 8)
    assert outcome.out.startswith("shop: 8 gates passed in ")
    assert outcome.took < LONG


def test_what_follows_a_failure_is_not_kept_waiting(tmp_path: Path, site: Site) -> None:
    site.pages = [(503, "not yet")]
    outcome = fails(
        tmp_path,
        "shop: 1 of 3 gates failed after ",
        command("false", seconds=1),
        page(site, seconds=30),
        command("true"),
    )
    assert outcome.took < 3.5
    assert (
        f"web: http http://127.0.0.1:{site.server_port}/health?a=1 was not waited for: "
        "so far status 503: not yet" in outcome.err
    )


def test_as_json(tmp_path: Path) -> None:
    outcome = run(
        tmp_path, command("true"), command("cat", str(tmp_path / "secret"), contains="x"), options=("--json",)
    )
    found = json.loads(outcome.out)
    assert (outcome.code, outcome.err, found["passed"]) == (1, "", False)
    assert [one["status"] for one in found["gates"]] == ["passed", "failed"]
    assert found["gates"][1]["findings"][0]["saw"] == "exit code 0, but: ***"


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"kind": "htpp"}, "gates.0: kind is 'htpp'; write one of running, http"),
        ({"kind": "http"}, "gates.0 (http): 'url' is missing"),
        ({"kind": "http", "url": "https://x/"}, "url is 'https://x/'; write an address like http://127.0.0.1"),
        ({"kind": "http", "url": "http://x/", "statsu": 1}, "there is no 'statsu'; known here: contains"),
        ({"kind": "tcp", "host": "x", "port": "22"}, "port is '22'; write a whole number"),
        ({"kind": "tcp", "host": "x", "port": True}, "port is True; write a whole number"),
        ({"kind": "sql", "query": "SELECT 1"}, "gates.0 (sql) needs 'database' in the spec"),
        ({"kind": "running"}, "needs 'socket' and 'programs', or 'units'"),
        ({"kind": "log", "pattern": "(", "files": ["/x"]}, "pattern is '('; write a regular expression"),
        ({"kind": "log", "pattern": "x"}, "needs 'files' or 'units'"),
        ({"kind": "count", "path": "/x", "what": "bytes"}, "what is 'bytes'; write 'files' or 'lines'"),
        ([], "gates.0: kind is None"),
    ],
)  # fmt: skip
def test_bad_gates(tmp_path: Path, gate: Any, said: str) -> None:
    outcome = run(tmp_path, gate)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_bad_specs(tmp_path: Path) -> None:
    assert run(tmp_path).code == 2  # no gate at all proves nothing
    assert "there is no 'gate'" in run(tmp_path, command("true"), gate=[]).err
    assert run(tmp_path, command("true"), options=("--since", "soon")).code == 2
    for words in ([], ["/no/such/file"], ["-", "x"], [str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-I", "-c", text("gates.py"), *words],
            input="{",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("gates: ")
        assert "Traceback" not in done.stderr


# --- Settings ----------------------------------------------------------------------------------------------

WEB: Gate = {"command": "python -m shop.web", "port": 3000, "health": "/health", "page_contains": "Shop"}
APP: Gate = {
    "source": "shop",
    "services": {"web": WEB, "work": {"command": "python -m shop.work"}},
    "shared": ["logs", "data"],
    "secrets": {"db_password": {"source": "generated"}},
    "database": {"database": "shop_db", "role": "shop_role"},
    "produces": {"data": 60},
}


def loaded(**changes: Any) -> Settings:
    return load({"environment": "lab", "apps": {"shop": {**APP, **changes}}}, "inventories/lab.py")


def made(**changes: Any) -> dict[str, Any]:
    return spec_of(loaded(**changes).all_apps()[0], database_port=5433)


def test_what_follows_from_what_is_declared() -> None:
    spec = made()
    base = {"kind": "http", "service": "web", "seconds": 30}
    assert spec["gates"] == [
        {
            "kind": "running", "socket": "/run/shop/supervisor.sock", "programs": ["web", "work"],
            "stays": 3, "seconds": 30,
        },
        {**base, "url": "http://127.0.0.1:3000/health"},
        {**base, "url": "http://127.0.0.1:3000/", "contains": "Shop"},
        {"kind": "sql", "query": "SELECT 1", "returns": "1", "seconds": 30},
        {"kind": "file_age", "path": "/opt/shop/shared/data", "max_age": 60, "json": True, "seconds": 60},
    ]  # fmt: skip
    assert spec["database"] == {**DATABASE, "port": 5433, "password_file": "/etc/shop/secrets/db_password"}
    assert spec["logs"]["work"] == {
        "files": ["/opt/shop/shared/logs/work.err.log", "/opt/shop/shared/logs/work.log"]
    }


EACH: list[Gate] = [
    {"kind": "http", "path": "/signal", "status": 503, "json_has": {"status": "down"}},
    {"kind": "tcp"},
    {"kind": "sql", "query": "SELECT max(at) FROM ticks", "max_age": 60, "seconds": 9},
    {"kind": "file_age", "path": "data/*.json", "max_age": 60, "json_whole": True, "new": True},
    {"kind": "count", "path": "data", "what": "lines", "by": 3},
    {"kind": "log", "pattern": "ERROR"},
    {"kind": "command", "command": "python -m shop.check", "contains": "ok"},
    {"kind": "running", "stays": 5},
]


def test_each_kind_makes_a_spec_that_is_accepted(tmp_path: Path) -> None:
    spec = made(services={"web": {**WEB, "gates": EACH}, "work": {"command": "x"}})
    own = [
        {key: value for key, value in gate.items() if key != "service"}
        for gate in spec["gates"]
        if gate.get("service") == "web"
    ][2:]
    assert own == [
        {
            "kind": "http", "url": "http://127.0.0.1:3000/signal", "status": 503, "json": {"status": "down"},
            "seconds": 30,
        },
        {"kind": "tcp", "host": "127.0.0.1", "port": 3000, "seconds": 30},
        {"kind": "sql", "query": "SELECT max(at) FROM ticks", "max_age": 60, "seconds": 9},
        {
            "kind": "file_age", "path": "/opt/shop/shared/data/*.json", "max_age": 60, "json": True,
            "new": True, "seconds": 30,
        },
        {"kind": "count", "path": "/opt/shop/shared/data", "what": "lines", "by": 3, "seconds": 30},
        {"kind": "log", "pattern": "ERROR", "stays": 3, "files": spec["logs"]["web"]["files"], "seconds": 30},
        {
            "kind": "command", "command": ["/opt/shop/current/venv/bin/python", "-m", "shop.check"],
            "exit_code": 0, "contains": "ok", "seconds": 30,
        },
    ]  # fmt: skip
    assert [(one["programs"], one["stays"]) for one in spec["gates"] if one["kind"] == "running"] == [
        (["web"], 5),
        (["work"], 3),
    ]
    gates: dict[str, Any] = {"__name__": "parts"}
    exec(compile(text("gates.py"), "gates.py", "exec"), gates)
    gates["check_spec"](json.loads(json.dumps(spec)))


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"kind": "htpp"}, "kind 'htpp' is not a kind of gate; did you mean 'http'?"),
        ({}, "kind None is not a kind of gate; write one of running, http"),
        ({"kind": "http"}, "gates.0 (http): needs 'port', the port that it is asked on"),
        ({"kind": "http", "port": 1, "statsu": 1}, "there is no such setting; did you mean 'status'?"),
        ({"kind": "log", "pattern": "("}, "'(': is not a regular expression (missing ), "),
        ({"kind": "running", "stays": 3}, "belongs to a service; for all of them write 'gate_stays'"),
        ({"kind": "log", "pattern": "x", "stays": 30}, "stays 30 is not less than its 30 seconds"),
        ({"kind": "sql", "query": "x", "returns": "1", "max_age": 3}, "one query has one answer"),
        ({"kind": "count", "path": "/etc"}, "'/etc': is absolute; write it relative"),
        ({"kind": "command", "command": "bin/x"}, "write a program of the virtual environment, or"),
    ],
)  # fmt: skip
def test_gates_that_are_refused(gate: Gate, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(gates=[gate])
    assert said in str(caught.value)


def test_a_query_needs_a_database() -> None:
    with pytest.raises(SettingsError, match="the app has no 'database' to ask"):
        loaded(database=None, gates=[{"kind": "sql", "query": "SELECT 1"}])

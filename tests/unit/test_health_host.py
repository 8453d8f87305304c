"""Health on a host: what the round keeps, counts, measures and restarts; real files and programs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facts.script import text
from operations import health
from tests.unit.test_gates_services import Supervisor

PLACES = (
    "/var/lib/hostwright",
    "/var/log/hostwright",
    "/run/hostwright",
    "/etc/hostwright",
    "/usr/local/lib",
)


class Host:
    """A host in a directory: its supervisor answers, its programs are the real ones."""

    supervisor: Supervisor

    def __init__(self, place: Path) -> None:
        self.place = place
        for one in (
            *PLACES,
            "/opt/shop/current",
            "/opt/shop/shared/logs",
            "/bin",
            "/usr/local/lib/hostwright/health",
        ):
            (place / one[1:]).mkdir(parents=True, exist_ok=True)
        self.log = place / "opt/shop/shared/logs/web.log"
        self.log.write_text("")
        self.program("lean.py", "usr/local/lib/hostwright/health/lean.py")
        self.program("health.py", "usr/local/lib/hostwright/health/health.py")
        self.program("gates.py", "usr/local/lib/hostwright/health/gates.py")
        # What a restart would do is written down; that supervisorctl does it is for the lab.
        control = place / "bin/supervisorctl"
        control.write_text(f'#!/bin/sh\necho "$@" >>{place}/restarts\n')
        control.chmod(0o755)
        self.declare()
        self.gates({"kind": "log", "pattern": "ERROR"})

    def program(self, name: str, to: str) -> None:
        body = text(name)
        for one in PLACES:
            body = body.replace(f'"{one}', f'"{self.place}{one}')
        (self.place / to).write_text(body)

    def declare(self, **given: Any) -> None:
        about = health.App(
            "shop", f"{self.place}/opt/shop", supervisor_config="/etc/shop/supervisord.conf",
            flag=f"{self.place}/opt/shop/shared/maintenance", log_root=f"{self.place}/opt/shop/shared/logs",
            recovery="Recovery successful: loaded [0-9]+ positions in (?P<ms>[0-9]+)ms",
        )  # fmt: skip
        given = {"every": 60, "restart_after": None, "restarts_per_hour": 3, **given}
        metrics = f"{self.place}/hostwright.prom"
        (self.place / "config.json").write_text(health.config_text([about], metrics=metrics, **given))

    def gates(self, *more: dict[str, Any]) -> None:
        running = {
            "kind": "running",
            "socket": f"{self.place}/socket",
            "programs": ["web", "work"],
            "stays": 3,
        }
        logs = {"web": {"files": [str(self.log)]}}
        spec = {"app": "shop", "user": "root", "logs": logs, "gates": [running, *more]}
        (self.place / "opt/shop/current/gates.json").write_text(json.dumps(spec))

    @property
    def command(self) -> list[str]:
        programs = f"{self.place}/usr/local/lib/hostwright/health"
        return [
            sys.executable,
            "-I",
            f"{programs}/lean.py",
            f"{programs}/health.py",
            f"{self.place}/config.json",
        ]

    def round(self) -> dict[str, Any]:
        done = subprocess.run(
            self.command,
            capture_output=True, text=True, timeout=90, check=False,
            env={**os.environ, "PATH": f"{self.place}/bin:{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.said = done.stdout
        found: dict[str, Any] = json.loads((self.place / "var/lib/hostwright/health/shop.json").read_text())
        return found

    def metrics(self) -> dict[str, float]:
        lines = (self.place / "hostwright.prom").read_text().splitlines()
        return {
            name.removeprefix("hostwright_"): float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }

    @property
    def restarts(self) -> list[str]:
        file = self.place / "restarts"
        return file.read_text().splitlines() if file.exists() else []


GOOD = {"web": ("RUNNING", 10), "work": ("RUNNING", 11)}
ILL = {"web": ("FATAL", 0), "work": ("RUNNING", 11)}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    server = Supervisor(tmp_path / "socket", [GOOD])
    made.supervisor = server
    yield made
    server.shutdown()
    server.server_close()


def lock(host: Host, *words: str) -> None:
    """Take or give back the lock of a run, by the program that runs do it with."""
    body = text("run-lock.sh")
    for one in PLACES:
        body = body.replace(f"={one}", f"={host.place}{one}")
    subprocess.run(["sh", "-c", body, "run-lock.sh", *words], check=True, input="", text=True)


def test_a_round_in_which_all_is_well(host: Host) -> None:
    found = host.round()
    assert (found["passed"], found["failed"], host.said) == (True, [], "")
    seen = host.metrics()
    assert seen['gates_passed{app="shop"}'] == 1
    assert seen['service_running{app="shop",service="web"}'] == 1
    assert abs(seen["health_run_timestamp_seconds"] - time.time()) < 30
    assert seen["health_every_seconds"] == 60
    assert seen["run_at_work"] == 0
    # Who measures is another user; what gates saw is root's.
    assert (host.place / "hostwright.prom").stat().st_mode & 0o777 == 0o644
    assert (host.place / "var/lib/hostwright/health/shop.json").stat().st_mode & 0o777 == 0o600


def test_only_so_many_rounds_are_kept(host: Host) -> None:
    host.round()
    file = host.place / "var/lib/hostwright/health/shop.json"
    known = json.loads(file.read_text())
    known["history"] *= 500
    file.write_text(json.dumps(known))
    assert len(host.round()["history"]) == 120


def test_what_failed_is_kept_with_what_was_seen(host: Host) -> None:
    host.supervisor.states = [ILL]
    found = host.round()
    assert not found["passed"]
    assert found["failed"][0]["service"] == "web"
    assert found["failed"][0]["saw"] == "FATAL: Exited too quickly"
    assert found["history"][-1]["failed"] == ["shop: running"]
    seen = host.metrics()
    assert seen['service_running{app="shop",service="web"}'] == 0
    assert seen['gate_failed{app="shop",gate="shop: running"}'] == 1
    assert host.restarts == []  # nobody asked for it


def test_each_start_is_counted_once(host: Host) -> None:
    counts = []
    between, anew = {**GOOD, "web": ("BACKOFF", 0)}, {**GOOD, "web": ("RUNNING", 20)}
    for states in (GOOD, GOOD, between, anew, anew, GOOD):
        host.supervisor.states = [states]
        host.round()
        counts.append(host.metrics()['service_restarts_total{app="shop",service="web"}'])
    assert counts == [0, 0, 0, 1, 1, 2]
    assert host.metrics()['service_restarts_total{app="shop",service="work"}'] == 0


def test_each_log_line_is_read_once_through_rotation(host: Host) -> None:
    host.log.write_text("2026 ERROR of before\n")
    host.round()
    before = host.metrics()
    with host.log.open("a") as file:
        file.write("fine\nERROR one\nERROR tw")
    host.round()
    one = host.metrics()
    with host.log.open("a") as file:
        file.write("o\nERROR three\n")
    host.log.rename(host.log.with_suffix(".log-20260101"))
    host.log.write_text("ERROR four\nRecovery successful: loaded 3 positions in 87ms\n")
    host.round()
    two = host.metrics()
    errors, written = 'error_lines_total{app="shop",service="web"}', 'log_written_bytes_total{app="shop"}'
    assert (one[errors] - before[errors], two[errors] - one[errors]) == (1, 3)
    everything = host.log.stat().st_size + host.log.with_suffix(".log-20260101").stat().st_size
    assert two[written] == everything - len("2026 ERROR of before\n")
    assert two['recovery_seconds{app="shop",service="web"}'] == 0.087
    host.round()
    assert host.metrics()[errors] == two[errors]


def test_a_log_that_is_a_link_is_not_read(host: Host) -> None:
    secret = host.place / "secret"
    secret.write_text("ERROR\n")
    host.log.unlink()
    host.log.symlink_to(secret)
    host.round()
    assert host.metrics()['error_lines_total{app="shop",service="web"}'] == 0


def test_the_service_that_stays_failed_is_restarted_and_no_other(host: Host) -> None:
    host.declare(restart_after=2, restarts_per_hour=2)
    host.supervisor.states = [ILL]
    made = []
    for _ in range(8):
        host.round()
        made.append(len(host.restarts))
    # After two rounds, after two more, and then no more in this hour.
    assert made == [0, 1, 1, 2, 2, 2, 2, 2]
    assert set(host.restarts) == {"-c /etc/shop/supervisord.conf restart web"}
    assert "NOT restarted: 2 restarts in this hour were all" in host.said
    noted = [
        json.loads(line) for line in (host.place / "var/log/hostwright/health.jsonl").read_text().splitlines()
    ]
    assert [(one["service"], one["ok"]) for one in noted] == [("web", True)] * 2
    assert "web failed 2 times: expected RUNNING" in noted[0]["why"]
    assert "saw FATAL: Exited too quickly" in noted[0]["why"]
    assert host.metrics()['health_restarts_total{app="shop",service="web"}'] == 2
    # An hour later it may be tried again.
    file = host.place / "var/lib/hostwright/health/shop.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "actions": [at - 3601 for at in known["actions"]]}))
    host.round()
    assert len(host.restarts) == 3


def test_a_service_that_recovers_by_itself_is_left_alone(host: Host) -> None:
    host.declare(restart_after=2)
    for states in (ILL, GOOD, ILL, GOOD):
        host.supervisor.states = [states]
        host.round()
    assert host.restarts == []


@pytest.mark.parametrize("what", ["lock", "trial", "maintenance", "guard"])
def test_nothing_is_done_beside_a_run_or_in_maintenance(host: Host, what: str) -> None:
    host.declare(restart_after=2)
    host.supervisor.states = [ILL]
    host.round()
    guard = None
    if what == "lock":
        lock(host, "take", "r1", "300", "ann@laptop", "deploy.py", "any")
    elif what == "trial":
        (host.place / "var/lib/hostwright/trial").mkdir()
    elif what == "maintenance":
        (host.place / "opt/shop/shared/maintenance").write_text("")
    else:  # a run is taking its lock just now
        guard = subprocess.Popen(
            ["flock", f"{host.place}/run/hostwright/.guard", "sleep", "60"], start_new_session=True
        )
        time.sleep(0.3)
    try:
        for _ in range(3):
            host.round()
        assert host.restarts == []
        held = host.metrics()['held{app="shop"}']
        assert held == (0 if what == "guard" else 1)
    finally:
        if guard is not None:
            os.killpg(guard.pid, 9)
            guard.wait()
    # Afterwards it counts anew, but for a lock that was only being taken.
    if what == "lock":
        lock(host, "release", "r1")
    elif what == "trial":
        (host.place / "var/lib/hostwright/trial").rmdir()
    elif what == "maintenance":
        (host.place / "opt/shop/shared/maintenance").unlink()
    host.round()
    assert len(host.restarts) == (1 if what == "guard" else 0)
    host.round()
    assert len(host.restarts) == 1


def test_a_lock_that_nobody_holds_any_more_holds_nothing_up(host: Host) -> None:
    host.declare(restart_after=2)
    host.supervisor.states = [ILL]
    lock(host, "take", "r1", "300", "ann@laptop", "deploy.py", "any")
    file = host.place / "run/hostwright/lock"
    ended = subprocess.Popen(["true"])
    ended.wait()
    file.write_text(re.sub("session=.*", f"session={ended.pid} 12345", file.read_text()))
    for _ in range(2):
        host.round()
    assert len(host.restarts) == 1


def test_a_run_that_begins_waits_for_the_restart_and_believes_nothing_older(host: Host) -> None:
    host.declare(restart_after=2)
    control = host.place / "bin/supervisorctl"
    control.write_text(f"#!/bin/sh\ntouch {host.place}/begun\nsleep 2\ntouch {host.place}/restarted\n")
    host.supervisor.states = [ILL]
    host.round()
    os.utime(host.place / "run/hostwright", (1, 1))
    busy = subprocess.Popen(
        host.command,
        env={**os.environ, "PATH": f"{host.place}/bin:{os.environ['PATH']}"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not (host.place / "begun").exists():
        time.sleep(0.02)
    lock(host, "take", "r1", "300", "ann@laptop", "deploy.py", "any")
    assert (host.place / "restarted").exists()
    busy.wait()
    assert time.time() - (host.place / "run/hostwright").stat().st_mtime < 30


@pytest.mark.parametrize("body", ["raise SystemExit('gates: out of order')", "print('no JSON')", "no Python"])
def test_gates_that_break_have_not_passed(host: Host, body: str) -> None:
    (host.place / "usr/local/lib/hostwright/health/gates.py").write_text(body)
    found = host.round()
    assert not found["passed"]
    assert found["failed"][0]["gate"] == "gates.py itself"
    assert host.metrics()['gates_passed{app="shop"}'] == 0


def test_an_app_without_a_release_is_passed_over(host: Host) -> None:
    host.round()
    (host.place / "opt/shop/current/gates.json").unlink()
    host.round()
    assert "gates_passed" not in (host.place / "hostwright.prom").read_text()
    assert host.metrics()["health_every_seconds"] == 60


def test_backups_and_runs_are_measured(host: Host) -> None:
    declared, state = host.place / "etc/hostwright/backup", host.place / "backups"
    declared.mkdir()
    state.mkdir()
    (declared / "shop.json").write_text(json.dumps({"root": str(state), "prove": "Sun 04:30"}))
    host.round()
    # Nothing yet: from when it was declared on one is due.
    due = round((declared / "shop.json").stat().st_mtime)
    assert host.metrics()['backup_last_success_timestamp_seconds{app="shop"}'] == due
    found = {"newest": {"made": 100, "bytes": 7}, "proven": {"at": 50}, "proof": {"ok": False, "at": 60}}
    (state / "state.json").write_text(json.dumps({**found, "last_attempt": {"ok": True}}))
    (host.place / "var/log/hostwright/ledger.jsonl").write_text(
        '{"outcome": "confirmed", "ended": 5}\n'
        '{"outcome": "undone", "ended": 9, "purpose": "deploy.py \\"x\\""}\n'
    )
    host.round()
    seen = host.metrics()
    assert seen['backup_last_success_timestamp_seconds{app="shop"}'] == 100
    assert seen['backup_last_proof_timestamp_seconds{app="shop"}'] == 50
    assert (seen['backup_last_attempt_ok{app="shop"}'], seen['backup_last_proof_ok{app="shop"}']) == (1, 0)
    assert (seen["run_last_ok"], seen["run_last_timestamp_seconds"]) == (0, 9)
    assert (
        'hostwright_run_last_info{outcome="undone",purpose="deploy.py \\"x\\""} 1'
        in (host.place / "hostwright.prom").read_text()
    )


@pytest.mark.parametrize(
    ("outcome", "ok"),
    [("confirmed", 1), ("rolled back", 1), ("unchanged", 1), ("failed", 0), ("undone in part", 0)],
)
def test_how_the_last_run_ended(host: Host, outcome: str, ok: int) -> None:
    (host.place / "var/log/hostwright/ledger.jsonl").write_text(json.dumps({"outcome": outcome}) + "\n")
    host.round()
    assert host.metrics()["run_last_ok"] == ok


def record(host: Host, **found: Any) -> str:
    """Keep what drift.py found, as it has it kept; return why not, or nothing."""
    host.program("drift-record.py", "drift-record.py")
    command = [sys.executable, "-I", f"{host.place}/drift-record.py"]
    done = subprocess.run(command, input=json.dumps(found), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def ended(host: Host, run: str, outcome: str) -> None:
    with (host.place / "var/log/hostwright/ledger.jsonl").open("a") as file:
        file.write(json.dumps({"id": run, "outcome": outcome, "ended": 5}) + "\n")


def test_what_drift_found_is_a_metric_until_a_run_is_confirmed_after_it(host: Host) -> None:
    host.round()
    assert not [name for name in host.metrics() if name.startswith("drift")]
    ended(host, "r1", "confirmed")
    before = time.time()
    assert record(host, commit="1a2b", after="r1", differences=2, operations=["Swap | Keep it"]) == ""
    host.round()
    assert host.metrics()["drift_differences"] == 2
    assert before - 1 <= host.metrics()["drift_timestamp_seconds"] <= time.time() + 1
    # One that was undone left the host as it was found.
    ended(host, "r2", "undone")
    host.round()
    assert host.metrics()["drift_differences"] == 2
    # The clock of whoever deploys is another one: this run ended "before" it.
    ended(host, "r3", "confirmed")
    host.round()
    assert "drift_differences" not in host.metrics()
    assert host.metrics()["drift_timestamp_seconds"] > before - 1
    assert record(host, commit="1a2b", after="r3", differences=0, operations=[]) == ""
    host.round()
    assert host.metrics()["drift_differences"] == 0


@pytest.mark.parametrize("outcome", ["confirmed", "unchanged", "rolled back"])
def test_runs_that_a_ledger_no_longer_has_are_before_those_that_it_has(host: Host, outcome: str) -> None:
    record(host, commit="1a2b", after="r1", differences=1, operations=["x"])
    host.round()
    assert host.metrics()["drift_differences"] == 1, "the ledger was turned over"
    ended(host, "r2", outcome)
    host.round()
    assert "drift_differences" not in host.metrics()


def test_a_record_is_one_whole_file_that_anybody_may_read(host: Host) -> None:
    file = host.place / "var/lib/hostwright/drift.json"
    # Left behind by one that was cut off.
    file.with_name(".drift.json.new").write_text('{"commit": "1a2b", "after": "a longer text than what comes')
    record(host, commit="1a2b", after=None, differences=1, operations=["Swap | Keep it"])
    found = json.loads(file.read_text())
    assert abs(found.pop("at") - time.time()) < 5
    assert found == {"commit": "1a2b", "after": None, "differences": 1, "operations": ["Swap | Keep it"]}
    assert (file.stat().st_mode & 0o7777, file.is_symlink()) == (0o644, False)
    assert [one.name for one in file.parent.glob("*drift*")] == ["drift.json"]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("lock", "a run is at work here, or not confirmed"),
        ("trial", "a run is at work here, or not confirmed"),
        ("guard", "a run begins or ends here"),
        ("bare", "nothing was ever deployed here"),
    ],
)
def test_nothing_is_recorded_beside_a_run(host: Host, what: str, why: str) -> None:
    holding = None
    if what == "lock":
        lock(host, "take", "r1", "300", "ann@laptop", "deploy.py", "any")
    elif what == "trial":
        (host.place / "var/lib/hostwright/trial").mkdir()
    elif what == "bare":
        (host.place / "var/lib/hostwright").rmdir()
    else:
        guard = f"{host.place}/run/hostwright/.guard"
        holding = subprocess.Popen(
            ["flock", guard, "sh", "-c", "echo held; exec sleep 60"], stdout=subprocess.PIPE
        )
        assert holding.stdout is not None
        assert holding.stdout.readline() == b"held\n"
    try:
        assert record(host, commit="1a2b", after=None, differences=1, operations=["x"]) == why
    finally:
        if holding is not None:
            subprocess.run(["pkill", "-P", str(holding.pid)], check=False)
            holding.wait()
    assert not (host.place / "var/lib/hostwright/drift.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 1}'])
def test_a_record_that_is_none_is_no_metric(host: Host, text: str) -> None:
    (host.place / "var/lib/hostwright/drift.json").write_text(text)
    host.round()
    assert "drift_differences" not in host.metrics()


@pytest.mark.parametrize("program", ["health.py", "monitor-performance.py", "drift-record.py"])
def test_no_two_parts_of_a_program_have_the_same_name_for_two_things(program: str) -> None:
    # Put into one file, the second would be taken by all.
    names: list[str] = []
    for one in ast.parse(text(program)).body:
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            names.append(one.name)
        elif isinstance(one, ast.Assign):
            names += [target.id for target in one.targets if isinstance(target, ast.Name)]
    assert sorted(names) == sorted(set(names))

"""Gates on services that run, under supervisor and under systemd."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from pathlib import Path
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest

from tests.unit.gates import (
    LONG,
    Gate,
    Outcome,
    Site,
    fails,
    page,
    program,
    run,
)

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

"""Maintenance: the program that runs on the host, run here, and what settings are refused."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from settings import load
from settings.app import App
from settings.errors import SettingsError
from tasks import gates

PROGRAM = Path(__file__).resolve().parents[2] / "files" / "host" / "maintenance.py"
PASSES, FAILS = "import sys; sys.stdin.read(); print('all passed')", "import sys; sys.exit(1)"


class Service(HTTPServer):
    """A service that notes what it is asked, and answers as it is told."""

    status = 200
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Service)
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service(("127.0.0.1", 0), Handler)
    made.asked = []
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "maintenance"


def enter(flag: Path, port: int, *, gates: str = PASSES, drain: bool = True) -> tuple[int, str]:
    given = {"app": "shop", "gates": gates, "spec": {"app": "shop"}, "drain": drain}
    return run("enter", str(flag), str(port), "POST:/on", "POST:/off", stdin=json.dumps(given))


def run(*words: str, stdin: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), *words],
        input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_in_and_out(service: Service, flag: Path) -> None:
    port = service.server_address[1]
    assert enter(flag, port) == (0, "all passed\n")
    assert "hostwright" in flag.read_text()
    assert flag.stat().st_mode & 0o777 == 0o644
    assert run("leave", str(flag), str(port), "POST:/off", "-") == (0, "")
    assert not flag.exists()
    assert service.asked == ["/on", "/off"]


def test_one_that_does_not_drain_goes_on_as_before(service: Service, flag: Path) -> None:
    code, said = enter(flag, service.server_address[1], gates=FAILS)
    assert code == 1
    assert "did not drain in time" in said
    assert "nothing was stopped" in said
    assert "drain=no" in said
    assert not flag.exists()
    assert service.asked == ["/on", "/off"]


def test_without_waiting(service: Service, flag: Path) -> None:
    assert enter(flag, service.server_address[1], gates=FAILS, drain=False) == (0, "")
    assert flag.exists()


def test_a_refused_request_goes_on_as_before(service: Service, flag: Path) -> None:
    service.status = 500
    code, said = enter(flag, service.server_address[1])
    assert code == 1
    assert "500" in said
    assert not list(flag.parent.iterdir())


def test_what_does_not_run_has_nothing_to_drain(flag: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    code, said = enter(flag, port, gates=FAILS)
    assert (code, "nothing to wait for" in said) == (0, True)
    assert flag.exists()


def test_a_flag_of_somebody_else_stays_whatever_happens(service: Service, flag: Path) -> None:
    flag.write_text("planned work, ask the night shift\n")
    port = service.server_address[1]
    assert enter(flag, port)[0] == 0
    assert enter(flag, port, gates=FAILS)[0] == 1
    assert run("leave", str(flag), str(port), "POST:/off", "-")[0] == 0
    assert flag.read_text() == "planned work, ask the night shift\n"


def app(maintenance: dict[str, Any], **more: Any) -> App:
    services = {"web": {"command": "python -m web", "port": 8100}, **more}
    data = {
        "environment": "one",
        "apps": {"shop": {"source": "shop", "services": services, "maintenance": maintenance}},
    }
    return load(data, "here").all_apps()[0]


DRAINED = [{"kind": "http", "path": "/health", "json_has": {"in_flight": 0}}]


def test_drain_gates_are_asked_of_the_one_service() -> None:
    made = app({"drained": DRAINED, "seconds": 7})
    assert made.maintenance is not None
    assert made.maintenance_flag == "/opt/shop/shared/maintenance"
    spec = gates.some(made, made.maintenance.drained, made.maintenance_service, seconds=7)
    assert spec["gates"] == [{
        "service": "web", "kind": "http", "url": "http://127.0.0.1:8100/health", "status": 200,
        "json": {"in_flight": 0}, "seconds": 7,
    }]  # fmt: skip


@pytest.mark.parametrize(
    ("maintenance", "more", "named"),
    [
        ({"enter": {"path": "/on"}}, {}, "only one of 'enter' and 'leave'"),
        ({"drained": DRAINED}, {"other": {"command": "x", "port": 8101}}, "2 services have a port"),
        ({"service": "webb"}, {}, "'webb' is no service with a port; there are: web"),
        ({"flag": "logs"}, {}, "'logs' is a directory"),
        ({"flag": "/tmp/x"}, {}, "absolute"),
        ({"drained": [{"kind": "sql", "query": "SELECT 1"}]}, {}, "no 'database'"),
    ],
)
def test_refused(maintenance: dict[str, Any], more: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        app(maintenance, **more)

"""Running gates here as on a host: what the tests of each kind share."""

from __future__ import annotations

import getpass
import http.server
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facts.script import text

# A gate that is cut off in time, where it would have taken 20 s and more; on a busy machine, too.
LONG = 8
SECRET = "s3cret 'of\\ the/ house"
Gate = dict[str, Any]
DATABASE = {"host": "127.0.0.1", "port": 5432, "database": "shop_db", "role": "shop_role"}


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


def page(site: Site, **more: Any) -> Gate:
    url = f"http://127.0.0.1:{site.server_port}/health?a=1"
    return {"kind": "http", "service": "web", "url": url, "seconds": 1, **more}


def command(*words: str, **more: Any) -> Gate:
    return {"kind": "command", "command": list(words), "seconds": 1, **more}

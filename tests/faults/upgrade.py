"""The upgrade that is broken: two copies of the project, apart in all that a deploy touches."""

from __future__ import annotations

import re
from pathlib import Path

from tests.lab.playbook import PROJECT
from tests.lab.project import copy

TRIAL_SECONDS = 20
# In both releases: what tells them apart comes on top. Packages are up to date; upgrades would come and go.
COMMON = f"""
overrides = {{
    "swap": {{"size": "48M"}},
    "upgrade": False,
    "trial": {{"seconds": {TRIAL_SECONDS}}},
}}
"""
CHANGED = """
overrides = {
    **overrides,
    "swap": {"size": "64M"},
    "firewall": {"allow": [{"port": 9443, "protocol": "tcp", "comment": "release 2"}]},
    "postgresql": {"settings": {"max_connections": 130}},
    "apps": {
        "rec_io": {
            "logs": {"keep": 9},
            "database": {"connection_limit": 75},
            "services": {
                "trade_executor": {"variables": {"REC_FAULT_MARK": "two"}},
                "symbol_price_feed": {"start_seconds": 2},
                "ledger_keeper": {
                    "command": "python -m backend.services.ledger_keeper",
                    "port": 8010,
                    "health": "/health",
                    "start_seconds": 2,
                },
            },
        },
    },
}
"""
MIGRATION = """-- What release 2 keeps: of effect on nothing that release 1 reads or writes.

CREATE TABLE ledger_note (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note text NOT NULL DEFAULT ''
);

ALTER TABLE trades ADD COLUMN note text NOT NULL DEFAULT '';
INSERT INTO ledger_note (note) SELECT 'note ' || n FROM generate_series(1, 1000) AS n;
"""
# Works with the packages, the table and the code of release 2, and with nothing less.
SERVICE = '''"""Serve the number of notes: a service that only release 2 has."""

from __future__ import annotations

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import iniconfig
import psycopg

from backend.db import connection_arguments
from backend.settings import load

COUNT = "SELECT count(*), max(iniconfig) FROM ledger_note, (SELECT %s AS iniconfig) AS given"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            with psycopg.connect(**connection_arguments(load(), "ledger_keeper")) as connection:
                row = connection.execute(COUNT, (iniconfig.__name__,)).fetchone()
            status, text = 200, f"{row}"
        except psycopg.Error as error:
            status, text = 500, str(error)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("127.0.0.1", 8010), Handler).serve_forever()


main()
'''
NEW = "8010"
# Of both: health of the one that only release 2 has is no answer at release 1.
HEALTH = {
    "3000": "/health", "4000": "/health", "8001": "/health", "8007": "/health", NEW: "/health",
}  # fmt: skip


def make(directory: Path) -> tuple[Path, Path]:
    """
    Make the two copies in an empty directory, and return where they are.

    Both break when the environment says so.
    """
    copies = []
    for number in (1, 2):
        (directory / str(number)).mkdir()
        project = copy(directory / str(number))
        with (project / "config.py").open("a", encoding="utf-8") as file:
            file.write("\nfrom tests.faults import inject\n\ninject.install()\n")
        with (project / "group_data" / "lab.py").open("a", encoding="utf-8") as file:
            file.write(COMMON + (CHANGED if number == 2 else ""))
        copies.append(project)
    _change(copies[1] / "examples" / "rec_io")
    return copies[0], copies[1]


def _change(app: Path) -> None:
    """Make release 2 of the app: code, a page, packages, a migration, and a service."""
    (app / "migrations" / "900_ledger_note.sql").write_text(MIGRATION, encoding="utf-8")
    (app / "backend" / "services" / "ledger_keeper.py").write_text(SERVICE, encoding="utf-8")
    page = app / "backend" / "static" / "index.html"
    page.write_text(_replaced(page, "<h1>REC.IO</h1>", "<h1>REC.IO 2</h1>"), encoding="utf-8")
    for service in ("trade_manager", "live_data_writer"):
        code = app / "backend" / "services" / f"{service}.py"
        code.write_text(code.read_text(encoding="utf-8") + "\nRELEASE = 2\n", encoding="utf-8")
    with (app / "requirements.txt").open("a", encoding="utf-8") as file:
        file.write(_pinned("iniconfig"))


def _replaced(path: Path, old: str, new: str) -> str:
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{path.name} has no {old}: mend tests/faults/upgrade.py")
    return text.replace(old, new)


def _pinned(package: str) -> str:
    """Return a package's lines of the project's own lock file: small, without dependencies, with hashes."""
    lock = (PROJECT / "requirements" / "all.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{package}==.*\n(?:    --hash=.*\n)+", lock, re.MULTILINE)
    if found is None:
        raise ValueError(f"requirements/all.txt does not pin {package}: mend tests/faults/upgrade.py")
    return found[0]

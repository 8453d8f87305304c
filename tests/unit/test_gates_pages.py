"""Gates on pages, ports and the database: green and red; what hangs ends; no secret is shown."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

from tests.unit.gates import (
    DATABASE,
    LONG,
    SECRET,
    Gate,
    Site,
    command,
    fails,
    page,
    passes,
    program,
)

# --- Pages and ports ---------------------------------------------------------------------------------------


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

"""The report of diagnostics in a real browser: it fits a phone and a desk, in the light and in the dark."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from diagnostics.compare import compare
from diagnostics.page import page
from tests.lab import browser
from tests.unit.diagnoses import made

# A page around the page, which measures it: its own policy lets no script in.
AROUND = """<!doctype html><body style="margin:0">
<iframe id="page" src="/" style="border:0;width:100%;height:90vh"></iframe>
<pre id="measured"></pre><script>
const page = document.getElementById("page");
page.onload = () => {
  const root = page.contentDocument.documentElement;
  for (const one of page.contentDocument.querySelectorAll("details")) one.open = true;
  document.getElementById("measured").textContent = JSON.stringify({
    wide: root.clientWidth, scrolls: root.scrollWidth, text: page.contentDocument.body.innerText,
  });
};
</script>"""
LATER = 78
PAPER = {False: "#fbfaf8", True: "#14161a"}
PICTURES = {"diagnostics.png": (1180, 620, False), "diagnostics-phone.png": (390, 844, True)}


def before(found: dict[str, Any]) -> None:
    found["apps"]["rec_io"]["release"] = "2b3cf06d74f4"


def worse(found: dict[str, Any]) -> None:
    """What a release with two processes that burn CPU, and a service that talks, looks like."""
    found["apps"]["rec_io"]["release"] = "66205a594102"
    services = found["apps"]["rec_io"]["services"]
    services["live_data_writer"]["log"]["rate"] = [798.0, 801.0] * 6
    group = services["strike_table_generator"]["group"]
    group["cpu"] = [31.8, 33.2, 36.9, 41.1, 44.0, 45.9]
    group["processes"] += [
        {**copy.deepcopy(group["processes"][0]), "pid": 90 + at, "cpu": 18.7, "threads": 1} for at in (1, 2)
    ]
    group["count"] = 3
    # What the database counts went on as before.
    database = found["database"]["databases"]["rec_io_db"]
    lived = found["made"] - database["since"]
    for counted in ("written", "commits", "hit", "read"):
        database[counted] = round(database[counted] * (1 + LATER / lived))


@pytest.fixture(scope="module")
def report() -> Iterator[str]:
    """Serve it on loopback: a page from a file may not be looked into by the one around it."""
    text = page([compare(made(before), made(worse, later=LATER))])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = (AROUND if self.path == "/around.html" else text).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("width", [320, 390, 768, 1100])
def test_nothing_scrolls_sideways(report: str, width: int) -> None:
    found = browser.measured(f"{report}/around.html", seconds=3, width=width)
    assert (found["wide"], found["scrolls"]) == (width, width)
    text = found["text"]
    assert text.index("app-1: worse") < text.index("rec_io/live_data_writer: log") < text.index("Services")


@pytest.mark.parametrize("width", [390, 1180])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_as_dark_as_the_reader_has_it(report: str, tmp_path: Path, width: int, dark: bool) -> None:
    browser.picture(report, tmp_path / "shot.png", width=width, height=300, dark=dark, seconds=1)
    assert browser.corner(tmp_path / "shot.png") == PAPER[dark]


def test_the_pictures_of_the_docs_are_taken_from_it(report: str, tmp_path: Path) -> None:
    """With HOSTWRIGHT_PICTURES=1 they are put into docs/."""
    for name, (width, height, dark) in PICTURES.items():
        browser.picture(report, tmp_path / name, width=width, height=height, dark=dark, seconds=1)
        browser.kept(tmp_path / name)

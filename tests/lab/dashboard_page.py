"""
The dashboard before a browser, without a host: a server on loopback that answers as Prometheus does.

What it answers are answers that a test host's Prometheus gave (tests/lab/answers), changed where a test wants
it. The curves of the last day are drawn up here: no test host lives that long.
"""

from __future__ import annotations

import copy
import json
import math
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from operations import dashboard
from tests.lab import browser

ANSWERS = Path(__file__).parent / "answers"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json"}
# What the page says until it has an answer, and how often it is opened then.
ASKING = "Asking Prometheus …"
TRIES = 4
# A page around the page, which measures it: its own policy lets no script of a test in.
AROUND = """<!doctype html><body style="margin:0">
<iframe id="page" src="/user/" style="border:0;width:100%;height:90vh"></iframe>
<pre id="measured"></pre><script>
const page = document.getElementById("page"), given = new URLSearchParams(location.search);
let hidden = false;
const timer = setInterval(() => {
  const inner = page.contentDocument, root = inner.documentElement;
  if (given.has("hide") && !hidden && inner.body.dataset.rounds) {
    hidden = true;
    Object.defineProperty(inner, "hidden", { get: () => true });
    inner.dispatchEvent(new Event("visibilitychange"));
  }
  const chart = inner.querySelector("svg");
  if (given.has("left") && chart !== null) {
    chart.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
  }
  if (given.has("host") && inner.getElementById("host").value !== given.get("host")) {
    inner.getElementById("host").value = given.get("host");
    inner.getElementById("host").dispatchEvent(new Event("change"));
  }
  document.getElementById("measured").textContent = JSON.stringify({
    rounds: Number(inner.body.dataset.rounds || 0), wide: root.clientWidth, scrolls: root.scrollWidth,
    high: root.scrollHeight, headline: inner.getElementById("headline").textContent,
    cursor: (inner.querySelector(".cursor") || {}).textContent,
    fresh: inner.getElementById("fresh").textContent, curves: inner.querySelectorAll("path.curve").length,
    main: inner.querySelector("main").innerText,
  });
}, 500);
</script>"""


@dataclass
class Prometheus:
    """
    What it answers.

    + query, alerts: as it was recorded, to be changed
    + last: when anything was measured at all, for the question that asks so
    + more: series of the last day, beside those of `day`
    + down: from which question on it gives no answer, default never
    """

    query: dict[str, Any]
    alerts: dict[str, Any]
    last: float | None = None
    down: int | None = None
    more: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    base: str = ""

    @property
    def now(self) -> float:
        return float(self.query["data"]["result"][0]["value"][0])

    def set(self, metric: str, value: object, **labels: str) -> None:
        """Change a metric where it has these labels; add it where there is none."""
        found = [
            one
            for one in self.query["data"]["result"]
            if one["metric"].get("__name__") == metric and labels.items() <= one["metric"].items()
        ]
        if not found:
            found = [{"metric": {"__name__": metric, "host": HOST, **labels}}]
            self.query["data"]["result"] += found
        for one in found:
            one["value"] = [self.now, str(value)]

    def fire(self, alertname: str, summary: str, severity: str = "critical", **labels: str) -> None:
        one = {
            "labels": {"alertname": alertname, "host": HOST, "severity": severity, **labels},
            "annotations": {"summary": summary}, "state": "firing", "value": "1",
            "activeAt": "2026-11-28T22:40:00Z",
        }  # fmt: skip
        self.alerts["data"]["alerts"].append(one)

    def answer(self, path: str, query: str) -> dict[str, Any] | None:
        self.asked.append(path)
        if self.down is not None and len(self.asked) > self.down:
            return None
        if path == "alerts":
            return self.alerts
        if path == "query_range":
            given = parse_qs(query)
            host = re.search(r'host="([^"]*)"', given["query"][0])
            whole = day(self.query, float(given["end"][0]), None if host is None else host[1])
            whole["data"]["result"] += self.more
            return whole
        if parse_qs(query)["query"][0].startswith("max by"):
            found = [] if self.last is None else [{"metric": {"host": HOST}, "value": [0, str(self.last)]}]
            return {"status": "success", "data": {"resultType": "vector", "result": found}}
        return self.query


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ANSWERS / f"{name}.json").read_text())
    return found


HOST = next(one["metric"]["host"] for one in recorded("query")["data"]["result"])


def day(query: dict[str, Any], end: float, of: str | None) -> dict[str, Any]:
    """Return the last day of all curves, of one host or of all."""
    known = {one["metric"]["host"] for one in query["data"]["result"]}
    hosts = sorted(known) if of is None else [of]
    shapes: list[tuple[str, dict[str, str], Callable[[float], float]]] = [
        ("cpu", {}, lambda x: 0.16 + 0.1 * math.sin(x / 40) ** 2 + 0.05 * math.sin(x * 7) ** 4),
        ("memory", {}, lambda x: 0.38 + 0.0002 * x + 0.01 * math.sin(x / 3)),
        ("disk", {"mountpoint": "/"}, lambda x: 0.31 + 0.0001 * x),
        ("logs", {"app": "rec_io"}, lambda x: 9e5 + 6e5 * math.sin(x / 46) ** 2 + 1e5 * math.sin(x * 3)),
        (
            "writes",
            {"datname": "rec_io_db"},
            lambda x: 7300 + 2500 * math.sin(x / 46) + 300 * math.sin(x * 2),
        ),
        ("errors", {"app": "rec_io"}, lambda x: 3.0 if 200 < x < 212 else 0.0),
        ("size", {"datname": "rec_io_db"}, lambda x: 9.4e6 + 1500 * x),
        ("connections", {}, lambda x: 24 + round(3 * math.sin(x / 20) + math.sin(x))),
        (
            "gates",
            {"app": "rec_io"},
            lambda x: 1.08 + 0.05 * math.sin(x) ** 2 + (1.2 if 200 < x < 206 else 0),
        ),
        ("recovery", {"app": "rec_io"}, lambda x: 0.041 if x < 150 else 0.055),
    ]
    return {
        "status": "success",
        "data": {"resultType": "matrix", "result": [
            {
                "metric": {"host": host, "curve": curve, **labels},
                # While the host was off for a while nothing was measured.
                "values": [
                    [end - (288 - x) * 300, str(shape(x + 30 * at))] for x in range(289) if not 90 < x < 97
                ],
            }
            for at, host in enumerate(hosts)
            for curve, labels, shape in shapes
        ]},
    }  # fmt: skip


@contextmanager
def served() -> Iterator[Prometheus]:
    """Serve the page, and what was recorded; `base` is where."""
    about = Prometheus(copy.deepcopy(recorded("query")), copy.deepcopy(recorded("alerts")))
    files = {one.path.rpartition("/")[2]: one for one in dashboard.files()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            split = urlsplit(self.path)
            if split.path == "/around.html":
                return self.give("text/html", AROUND.encode())
            if split.path.startswith("/api/v1/"):
                said = about.answer(split.path.removeprefix("/api/v1/"), split.query)
                if said is None:
                    self.close_connection = True
                    return None
                return self.give("application/json", json.dumps(said).encode())
            name = split.path.removeprefix("/user/") or "index.html"
            if name not in files:
                about.asked.append(split.path)
                return self.send_error(404)
            one = files[name]
            content = one.text.encode() if one.link is None else Path(one.link).read_bytes()
            return self.give(TYPES[Path(name).suffix], content)

        def give(self, kind: str, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    about.base = f"http://127.0.0.1:{server.server_port}"
    try:
        yield about
    finally:
        server.shutdown()
        server.server_close()


def dom(base: str, *, seconds: float = 6, width: int = 1100) -> str:
    """
    Return the page as it stands after some seconds of its own time.

    That time goes on while a busy machine keeps a browser waiting: without an answer it is opened again.
    """
    for _ in range(TRIES):
        page = browser.run(
            f"{base}/user/", "--dump-dom", seconds=seconds, width=width, height=900, dark=False
        )
        if ASKING not in page:
            break
    return page


def measured(base: str, given: str = "", *, seconds: float = 8, width: int = 1100) -> dict[str, Any]:
    """Return what the page around the page saw of it, as `dom` does."""
    url = f"{base}/around.html?{given}"
    for _ in range(TRIES):
        found = browser.measured(url, seconds=seconds, width=width)
        if found["headline"] != ASKING:
            break
    return found


def picture(
    base: str, path: Path, *, width: int, height: int | None = None, dark: bool = False, seconds: float = 6
) -> None:
    """Take a picture of the whole page, or of its upper part."""
    high = height or int(measured(base, width=width)["high"])
    browser.picture(f"{base}/user/", path, seconds=seconds, width=width, height=high, dark=dark)


def words(page: str) -> str:
    """Return the text of a page, without its elements."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL).replace("<wbr>", "")
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

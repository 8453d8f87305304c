"""The page that shows what Prometheus knows: static files, which Prometheus itself serves under /user/."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from operations import bundle

ROOT = "/usr/local/share/hostwright/dashboard"
OWNED = [f"{ROOT}/*"]
# Lines and axes; of libjs-d3, which Prometheus' own package needs, on Debian and on Ubuntu. Without it the
# page has all but curves.
D3 = "/usr/share/javascript/d3/d3.min.js"
PROJECT = Path(__file__).resolve().parent.parent
SOURCES = PROJECT / "files" / "dashboard"
RUNBOOK = PROJECT / "docs" / "runbook.md"
NAMES = ("index.html", "dashboard.css", "dashboard.js", "data.js", "view.js", "words.js", "curves.js")
PARAGRAPH = re.compile(r"^### (\w+)\n\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"\n(?=(?:Look|Do|Ends): )")


@cache
def runbook(text: str) -> str:
    """
    Return what the page shows of the runbook: alert to its first sentence and its steps, as JSON.

    + text: the whole of docs/runbook.md
    """
    found = {}
    for alert, body in PARAGRAPH.findall(text):
        first, *steps = [" ".join(part.split()) for part in STEP.split(body.strip())]
        found[alert] = {"first": first, "text": "\n".join(steps)}
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def files() -> list[bundle.File]:
    """Return the files of the page."""
    own = [bundle.File(f"{ROOT}/{name}", (SOURCES / name).read_text(encoding="utf-8")) for name in NAMES]
    says = bundle.File(f"{ROOT}/runbook.json", runbook(RUNBOOK.read_text(encoding="utf-8")))
    return [*own, says, bundle.File(f"{ROOT}/d3.js", link=D3)]

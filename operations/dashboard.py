"""The page that shows what Prometheus knows: static files, which Prometheus itself serves under /user/."""

from __future__ import annotations

import hashlib
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
LOADED = re.compile(rf'(?<=")(?:\./)?(?:{"|".join(map(re.escape, NAMES[1:]))})(?=")')
PARAGRAPH = re.compile(r"^### (\w+)\n\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"\n- (?=(?:Look|Do|Ends): )")


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
    texts = {name: (SOURCES / name).read_text(encoding="utf-8") for name in NAMES}
    # A browser may keep a file for a day without asking: parts of two versions must not meet.
    version = hashlib.sha256("".join(texts.values()).encode()).hexdigest()[:8]
    own = [
        bundle.File(f"{ROOT}/{name}", LOADED.sub(rf"\g<0>?{version}", content))
        for name, content in texts.items()
    ]
    says = bundle.File(f"{ROOT}/runbook.json", runbook(RUNBOOK.read_text(encoding="utf-8")))
    return [*own, says, bundle.File(f"{ROOT}/d3.js", link=D3)]

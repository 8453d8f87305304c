"""A real browser without a screen: what a page is in it, how wide it is, and pictures of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zlib
from html import unescape
from pathlib import Path
from typing import Any

from tests.lab.playbook import PROJECT

BROWSERS = ("chromium-headless-shell", "chromium")


def browser() -> str:
    """Return the headless browser; where there is none, say what installs it."""
    found = next((path for path in map(shutil.which, BROWSERS) if path is not None), None)
    if found is None:
        raise AssertionError(
            "these tests need a browser: `python -m lab prepare --pages` installs it on Debian"
        )
    return found


def run(url: str, *words: str, seconds: float, width: int, height: int, dark: bool) -> str:
    """Open a page, let some seconds of its own time pass, and return what the browser prints."""
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en",
        f"--window-size={width},{height}", f"--virtual-time-budget={round(seconds * 1000)}", *scheme, *words,
    ]  # fmt: skip
    done = subprocess.run(
        [*command, url], capture_output=True, text=True, timeout=300, check=True,
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "HOME": "/nonexistent"},
    )  # fmt: skip
    return done.stdout


def measured(url: str, *, seconds: float, width: int) -> dict[str, Any]:
    """Return what a page with the element `measured` has written into it."""
    whole = run(url, "--dump-dom", seconds=seconds, width=width, height=900, dark=False)
    found = re.search(r'<pre id="measured">(.*?)</pre>', whole, re.DOTALL)
    if found is None:
        raise AssertionError(f"the page was not measured: {whole[-2000:]}")
    said: dict[str, Any] = json.loads(unescape(found[1]))
    return said


def picture(url: str, path: Path, *, width: int, height: int, dark: bool = False, seconds: float = 6) -> None:
    """Take a picture of the upper part of a page."""
    run(url, f"--screenshot={path}", seconds=seconds, width=width, height=height, dark=dark)


def corner(path: Path) -> str:
    """Return the colour of a picture's first pixel, such as "#fbfaf8"."""
    content, at, data = path.read_bytes(), 8, b""
    while at < len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        data += content[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    # Each filter of PNG leaves the first pixel of the first line as it is.
    return "#" + zlib.decompress(data)[1:4].hex()


def kept(path: Path) -> None:
    """
    Check a picture of the docs, and put it there with HOSTWRIGHT_PICTURES=1.

    Not in each run: fonts differ from machine to machine, and the clone would be changed by its own tests.
    """
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert 20_000 < len(content) < 200_000
    if os.environ.get("HOSTWRIGHT_PICTURES") == "1":
        (PROJECT / "docs" / path.name).write_bytes(content)

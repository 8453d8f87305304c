"""Run programs, with their own words in the error when they fail."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.errors import LabError


def run(*command: str | Path, pass_fds: Sequence[int] = (), directory: Path | None = None) -> str:
    """
    Run a program and return what it printed.

    + command: the program and its arguments; no shell sees them.
    + pass_fds: file descriptors that it inherits, for example a lock that must outlive us; default none.
    + directory: where it works, default here.

    Raises `LabError` with the program's last words when it fails or is not there.

        run("ip", "link", "set", "eth9", "up")
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=directory,
        )
    except FileNotFoundError:
        raise LabError(f"{words[0]} is not installed; run `python -m lab prepare`") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise LabError(f"`{' '.join(words)}` failed: {said}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Tell whether a program ends with exit code 0; its output is dropped."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0


def tail(path: Path, lines: int = 12) -> str:
    """Return the last lines of a log file, indented; empty when there is none."""
    if not path.exists():
        return ""
    text = path.read_text(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in text[-lines:])

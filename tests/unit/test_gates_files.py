"""Gates on files and logs: green and red, and what is turned over or linked meanwhile."""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.unit.gates import (
    SECRET,
    Gate,
    command,
    fails,
    passes,
    program,
    run,
)

# --- Files -------------------------------------------------------------------------------------------------


def age(path: Path, seconds: float) -> None:
    path.touch()
    os.utime(path, (time.time() - seconds,) * 2)


def test_age_of_files(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    gate = {"kind": "file_age", "path": str(place), "max_age": 60, "json": True, "seconds": 1}
    fails(
        tmp_path,
        f"expected a file in {place} at most 60 s old, and every .json of it whole, saw no file",
        gate,
    )
    age(place / "old", 100)
    (place / ".half.json").write_text("{")
    fails(tmp_path, f"saw the newest one, {place}/old, is 10", gate)
    (place / "in").mkdir()
    (place / "in" / "new.json").write_text("{}")
    passes(tmp_path, gate)
    passes(tmp_path, {**gate, "path": f"{place}/*/*.json"})
    (place / "in" / "bad.json").write_text('{"price": 1')
    outcome = fails(tmp_path, f"{place}/in/bad.json is not JSON: Expecting ',' delimiter", gate)
    assert "price" not in outcome.err
    passes(tmp_path, {**gate, "json": False})


def test_file_that_is_new(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    age(place / "before", 5)
    gate = {"kind": "file_age", "path": str(place), "max_age": 60, "new": True, "seconds": 2}
    fails(tmp_path, f"saw none since; the newest one, {place}/before, is ", gate)
    passes(tmp_path, gate, options=("--since", str(time.time() - 10)))
    threading.Timer(1.5, (place / "after").touch).start()
    passes(tmp_path, {**gate, "seconds": 9})


def test_growth(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    (place / "a").write_text("1\n2\n")
    files: Gate = {"kind": "count", "path": str(place), "seconds": 2}
    lines: Gate = {**files, "what": "lines", "by": 2}
    fails(tmp_path, f"expected 1 more files in {place} within 2 s, saw 0 more (1 at first)", files)
    fails(tmp_path, f"expected 2 more lines in {place} within 2 s, saw 0 more", lines)
    threading.Timer(1.5, (place / "b").touch).start()
    passes(tmp_path, {**files, "seconds": 9})

    def write() -> None:
        with (place / "a").open("a") as file:
            file.write("3\n4\n")

    threading.Timer(1.5, write).start()
    passes(tmp_path, {**lines, "seconds": 9})


# --- Logs --------------------------------------------------------------------------------------------------


def log(*files: Path, **more: Any) -> Gate:
    return {
        "kind": "log",
        "service": "web",
        "pattern": "ERROR|Traceback",
        "files": [*map(str, files)],
        "stays": 1,
        **more,
    }


def later(file: Path, *lines: str, seconds: float = 1.5, end: str = "\n") -> None:
    def write() -> None:
        with file.open("a") as opened:
            opened.write("\n".join(lines) + end)

    threading.Timer(seconds, write).start()


def test_log(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.write_text("ERROR of yesterday\n")
    logs = {"web": {"files": [str(file)]}}
    later(file, "INFO all is well")
    assert passes(tmp_path, log(file, stays=4)).took > 1
    later(file, "INFO", f"ERROR {SECRET} failed")
    outcome = fails(
        tmp_path,
        f"expected no new line that matches 'ERROR|Traceback', saw in {file}: ERROR *** failed\n",
        log(file, stays=4),
        logs=logs,
    )
    assert (
        f"    last lines of {file}:\n      ERROR of yesterday\n      INFO all is well\n      INFO\n"
        "      ERROR *** failed\n" in outcome.err
    )
    later(file, "Traceback", end="")
    fails(tmp_path, f"saw in {file}: Traceback", log(tmp_path / "*.log", stays=4))


def test_log_that_is_turned_over_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.write_text("x\n" * 9)

    def turn() -> None:
        with file.open("a") as old:
            file.rename(tmp_path / "web.log-1")
            old.write("ERROR in the old one\n")
        file.write_text("INFO\n")

    threading.Timer(1.5, turn).start()
    fails(tmp_path, f"saw in {file}: ERROR in the old one", log(tmp_path / "*.log", stays=4))
    file.write_text("INFO\n" * 9)
    threading.Timer(1.5, lambda: file.write_text("ERROR\n")).start()
    fails(tmp_path, f"saw in {file}: ERROR", log(tmp_path / "*.log", stays=4))


def test_lines_since_the_switch(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.write_text(
        "2026-01-02T10:00:00.000Z ERROR old\n  at old\n"
        "2026-01-02T10:00:05Z INFO\n2026-01-02T12:00:06+0200 ERROR\n"
    )
    second = 1767348000  # 2026-01-02T10:00:00Z
    fails(
        tmp_path,
        f"saw in {file}: 2026-01-02T12:00:06+0200 ERROR\n",
        log(file),
        options=("--since", str(second + 1)),
    )
    fails(tmp_path, "ERROR old and 1 more\n", log(file), options=("--since", str(second)))
    passes(tmp_path, log(file), options=("--since", str(second + 7)))


def test_since_the_time_of_a_link(tmp_path: Path) -> None:
    file, link, now = tmp_path / "web.log", tmp_path / "current", time.time()
    stamp = datetime.fromtimestamp(now - 60, tz=timezone.utc).isoformat()
    file.write_text(f"{stamp} ERROR\n")
    link.symlink_to("/nowhere")
    since = ("--since", str(link))
    os.utime(link, (now - 50,) * 2, follow_symlinks=False)
    passes(tmp_path, log(file), options=since)
    os.utime(link, (now - 70,) * 2, follow_symlinks=False)
    fails(tmp_path, f"saw in {file}: {stamp} ERROR", log(file), options=since)
    # Not of this run: what came since then is no fault of this change.
    os.utime(link, (now - 1000,) * 2, follow_symlinks=False)
    passes(tmp_path, log(file), options=since)


def test_journal(tmp_path: Path) -> None:
    now = time.time()
    # What is from before the gates began is not new, though the journal's --since is to the second.
    program(
        tmp_path,
        "journalctl",
        f'case "$*" in *short-unix*) echo "{now - 0.5:.6f} host shop[1]: ERROR old"; '
        f'echo "{now + 60:.6f} host shop[1]: INFO: fine" ;; *) echo line;; esac',
    )
    gate: Gate = {"kind": "log", "service": "web", "pattern": "ERROR", "units": ["shop.service"], "stays": 1}
    passes(tmp_path, gate)
    program(
        tmp_path,
        "journalctl",
        f'case "$*" in *short-unix*) echo "{now + 60:.6f} host shop[1]: ERROR: new"; '
        'echo " more" ;; *) echo "the last"; esac',
    )
    said = (
        "saw in the journal of shop.service: ERROR: new\n"
        "    last lines of: journalctl -u shop.service:\n      the last\n"
    )
    fails(tmp_path, said, gate, logs={"web": {"unit": "shop.service"}})
    program(tmp_path, "journalctl", "echo no journal >&2; exit 1")
    fails(tmp_path, "saw journalctl -u shop.service: exit code 1 no journal", gate)


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("hashes\n")
    (tmp_path / "web.log").symlink_to(tmp_path / "shadow")
    gate = {**command("false"), "service": "web"}
    outcome = fails(
        tmp_path,
        "Too many levels of symbolic links",
        gate,
        logs={"web": {"files": [str(tmp_path / "web.log")]}},
    )
    assert "hashes" not in outcome.err


def test_expression_that_never_ends_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    file.touch()
    later(file, "a" * 60 + "b")
    outcome = run(tmp_path, log(file, pattern="(a+)+$", stays=3, seconds=4))
    assert outcome.code == 1
    assert "Timeout" in outcome.err
    assert outcome.took < 8

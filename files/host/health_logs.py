"""
The log lines of an app since the round before: how many are errors, how much it wrote, how long it recovered.

Each line is read once. A file is known by its inode, so that what was written right before a rotation counts.
"""

import glob
import os
import re

from gates_common import open_plain, run_program

# Of an app without a log gate of its own.
ERRORS = r"\b(ERROR|CRITICAL|FATAL)\b|^Traceback"
# More than that in one round is not read: the lines that are left out are counted as none.
READ_LIMIT = 8 << 20
# Of a log that is seen for the first time.
FIRST_BYTES = 65536
JOURNAL_SECONDS = 10.0


class Lines:
    """What is known of an app's lines, added to with each round."""

    def __init__(self, spec, recovery, before):
        own = [gate for gate in spec["gates_of_logs"] if "service" not in gate]
        self.of_all = [re.compile(gate["pattern"]) for gate in own]
        self.of_one = {
            gate["service"]: re.compile(gate["pattern"])
            for gate in spec["gates_of_logs"]
            if "service" in gate
        }
        if not spec["gates_of_logs"]:
            self.of_all = [re.compile(ERRORS)]
        self.recovery = None if recovery is None else re.compile(recovery)
        self.errors = dict(before.get("errors", {}))
        self.written, self.lines = before.get("written", 0), before.get("lines", 0)
        self.recovered = before.get("recovered")

    def take(self, service, text, now):
        """Look at the lines of one service."""
        patterns = [*self.of_all, *([self.of_one[service]] if service in self.of_one else [])]
        hits = 0
        for line in text.splitlines():
            self.lines += 1
            line = line[:8192]
            hits += any(pattern.search(line) for pattern in patterns)
            found = self.recovery.search(line) if self.recovery is not None else None
            if found is not None:
                self.recovered = {"seconds": float(found["ms"]) / 1000, "at": now, "service": service}
        self.errors[service] = self.errors.get(service, 0) + hits


def read_logs(about, spec, before, now):
    """Return "errors" (by service), "written" (bytes), "recovered", and where the next round begins."""
    lines = Lines(spec, about.get("recovery"), before)
    positions, cursors = {}, {}
    known = before.get("positions", {})
    for service, source in spec.get("logs", {}).items():
        for path in source.get("files", []):
            text, positions[path], grown = new_text(path, known.get(path))
            lines.written += grown
            lines.take(service, text, now)
        if "unit" in source:
            cursor = before.get("cursors", {}).get(service)
            text, cursors[service] = new_entries(source["unit"], cursor)
            lines.written += len(text.encode()) if cursor is not None else 0
            lines.take(service, text, now)
    return {
        "errors": lines.errors, "written": lines.written, "lines": lines.lines, "recovered": lines.recovered,
        "positions": positions, "cursors": cursors,
    }  # fmt: skip


def new_text(path, place):
    """Return what a log file got, where it ends now ([inode, offset]), and how many bytes it got."""
    try:
        file = open_plain(path)
    except OSError:
        return "", place, 0
    with file:
        about = os.fstat(file.fileno())
        if place is None:
            file.seek(max(0, about.st_size - FIRST_BYTES))
            return whole_lines(file.read(FIRST_BYTES), about.st_ino, file.tell(), 0)
        inode, offset = place
        earlier = b""
        grown = about.st_size - offset if inode == about.st_ino else about.st_size
        if inode != about.st_ino:
            earlier = rest_of_turned(path, inode, offset)
            grown += len(earlier)
            offset = 0
        if about.st_size < offset:
            offset, grown = 0, about.st_size
        # What comes faster than it can be read is left out, its end is not.
        start = max(offset, about.st_size - READ_LIMIT)
        file.seek(start)
        fresh = file.read(about.st_size - start)
        return whole_lines(earlier + fresh, about.st_ino, start + len(fresh), max(0, grown))


def whole_lines(data, inode, end, grown):
    """Leave a line that has no end yet to the next round."""
    cut = data.rfind(b"\n") + 1
    half = len(data) - cut
    if half > 8192:
        cut, half = len(data), 0
    return data[:cut].decode(errors="replace"), [inode, end - half], max(0, grown - half)


def rest_of_turned(path, inode, offset):
    """Return what a file got between the last round and its rotation, where it is still there as it was."""
    for other in glob.glob(f"{glob.escape(path)}*"):
        try:
            if os.lstat(other).st_ino != inode:
                continue
            with open_plain(other) as file:
                file.seek(offset)
                return file.read(READ_LIMIT)
        except OSError:
            continue
    return b""


def new_entries(unit, cursor):
    """Return a unit's new entries in the journal, and the cursor that they end at."""
    since = ["--lines=200"] if cursor is None else [f"--after-cursor={cursor}"]
    words = ["journalctl", "--quiet", "--no-pager", "-o", "cat", "--show-cursor", "-u", unit, *since]
    code, text = run_program(words, JOURNAL_SECONDS, keep=READ_LIMIT)
    if code != 0:
        # Such as a cursor of a journal that is gone: from its end on the next time.
        return "", None
    body, _, last = text.rpartition("-- cursor: ")
    return (body, last.strip()) if last and body is not None and "-- cursor: " in text else (text, cursor)

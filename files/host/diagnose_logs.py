# How much services log: bytes a second in the last minute, by the time that each line begins with.
import json
import os
import re
import stat
import time

from diagnose_common import read, run
from file_sizes import bytes_below
from line_times import line_time

RECENT = 60.0
# What a service says while it starts is not how much it says.
SETTLING = 2.0
SLICE = 1.0
SLICES = 12
TAIL = 4 << 20
DAMAGED = re.compile(rb"ERROR|CRITICAL|FATAL|^Traceback")


def log_tail(path):
    """Return a file's size and its last part; a link that a service made is not followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(f"{path} is not a plain file")
        begin = max(0, about.st_size - TAIL)
        file.seek(begin)
        text = file.read(TAIL)
    return about.st_size, text[text.find(b"\n") + 1 if begin else 0 :]


def timed_lines(text):
    """Return (time, bytes, whether it tells of an error) of each line; without a time, the last one's."""
    found, at = [], None
    for line in text.split(b"\n"):
        if not line:
            continue
        at = line_time(line) or at
        if at is not None:
            found.append((at, len(line) + 1, DAMAGED.search(line) is not None))
    return found


def rates(lines, since, now):
    """Return bytes a second of each slice of the time between two moments."""
    seconds = now - since
    if seconds < SLICE:
        return []
    count = min(SLICES, int(seconds / SLICE))
    sums = [0] * count
    for at, size, _ in lines:
        if since <= at < now:
            sums[min(count - 1, int((at - since) / seconds * count))] += size
    return [round(one * count / seconds, 1) for one in sums]


def log_of(lines, size, started, now):
    since = max(now - RECENT, (started or 0.0) + SETTLING)
    return {
        "bytes": size,
        "rate": rates(lines, since, now),
        "seconds": round(max(0.0, now - since), 1),
        "errors": sum(1 for at, _, bad in lines if bad and since <= at < now),
    }


def file_logs(paths, started, now):
    """Return the log of a service that writes files; None where it has none."""
    lines, size = [], 0
    for path in paths:
        try:
            whole, text = log_tail(path)
        except OSError:
            continue  # it has not been written yet, or is turned over just now
        size += whole
        lines += timed_lines(text)
    return log_of(lines, size, started, now)


def journal_logs(units, now):
    """Return unit → lines of the last minute, out of the journal; `units` is unit → when it began."""
    words = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--since=@{int(now - RECENT)}"]
    words.append("--output-fields=MESSAGE,_SYSTEMD_UNIT,PRIORITY")
    found = {unit: [] for unit in units}
    for line in run(*words, *(f"--unit={unit}" for unit in units)).splitlines():
        entry = json.loads(line)
        unit = entry.get("_SYSTEMD_UNIT")
        message = entry.get("MESSAGE") or ""
        if unit in found:
            # Bytes that are no text come as a list of numbers.
            text = bytes(message) if isinstance(message, list) else message.encode(errors="replace")
            bad = int(entry.get("PRIORITY", 6)) <= 3 or DAMAGED.search(text) is not None
            found[unit].append((int(entry["__REALTIME_TIMESTAMP"]) / 1e6, len(text) + 1, bad))
    return found


def restarts_told(invocation):
    """
    Return what a supervisor tells of its programs since it began: (restarts, recovery), by name.

    A restart is an end that nobody asked for; recovery the longest time from one to RUNNING again.
    """
    words = ["journalctl", "--quiet", "--no-pager", "--output=short-unix"]
    words.append("--grep= exited: | entered RUNNING state")
    restarts, recovery, down = {}, {}, {}
    # Exit code 1: no line is such a one.
    for line in run(*words, f"_SYSTEMD_INVOCATION_ID={invocation}", codes=(0, 1)).splitlines():
        match = re.search(r"^(\d+\.\d+) .* (exited: |success: )(\S+) ", line)
        if match is None:
            continue
        at, ended, name = float(match[1]), match[2] == "exited: ", match[3]
        if ended:
            restarts[name] = restarts.get(name, 0) + 1
            down.setdefault(name, at)
        elif name in down:
            recovery[name] = max(recovery.get(name, 0.0), round(at - down.pop(name), 1))
    return restarts, recovery


def journal_size():
    """Return the bytes of the journal."""
    base = "/var/log/journal" if os.path.isdir("/var/log/journal") else "/run/log/journal"
    machine = read("/etc/machine-id", "-").strip()
    return bytes_below(f"{base}/{machine}")


def host_time():
    return time.time()

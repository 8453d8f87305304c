#!/usr/bin/python3 -I
"""
Show how this host is on one screen: CPU, memory, swap, disks, logs, services, database, backups.

usage: monitor_performance [SECONDS]      how long CPU is measured, default 1

Some of it only root may read; others are told so, and see the rest.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import time

from file_sizes import bytes_below
from gates_common import RedError
from gates_watched import supervisor_look, systemd_look

ROOT_ONLY = "(only root may see that)"
MIB, GIB = 1 << 20, 1 << 30
NO_DISK = ("tmpfs", "devtmpfs", "overlay", "squashfs", "proc", "sysfs", "ramfs", "autofs", "nsfs", "cgroup2")
QUERY = """
SELECT d.datname, pg_database_size(d.oid), count(a.pid), count(a.pid) FILTER (WHERE a.state = 'active')
FROM pg_database d LEFT JOIN pg_stat_activity a ON a.datid = d.oid
WHERE NOT d.datistemplate AND d.datname <> 'postgres' GROUP BY 1, d.oid ORDER BY 1
"""


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def read_json(path):
    """Return what a file holds; None without it, and for whom it is not."""
    try:
        return json.loads(read(path))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def size(count):
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"


def age(at):
    minutes = int(max(0, time.time() - at) // 60)
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 72 * 60 else f"{minutes // 1440} days ago"


def bar(share):
    filled = round(max(0.0, min(1.0, share)) * 20)
    return f"[{'#' * filled}{'.' * (20 - filled)}] {share * 100:3.0f} %"


def times():
    """Return all CPU time, the idle part of it, and each process's name and time, in ticks."""
    numbers = [int(one) for one in read("/proc/stat").split("\n", 1)[0].split()[1:9]]
    processes = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            before, _, after = read(f"/proc/{pid}/stat").rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = after.split()
        processes[pid] = (before.partition("(")[2], int(fields[11]) + int(fields[12]))
    return sum(numbers), numbers[3] + numbers[4], processes


def cpu(seconds):
    whole, idle, before = times()
    time.sleep(seconds)
    whole2, idle2, after = times()
    ticks = max(1, whole2 - whole)
    cores = os.cpu_count() or 1
    one, five, fifteen = os.getloadavg()
    busiest = sorted(
        ((used - before[pid][1], name, pid) for pid, (name, used) in after.items() if pid in before),
        reverse=True,
    )[:3]
    words = [f"{name} ({pid}) {used * cores * 100 / ticks:.0f} %" for used, name, pid in busiest if used]
    load = f"{cores} cores, load {one:.2f} {five:.2f} {fifteen:.2f}"
    return [
        ("CPU", f"{bar(1 - (idle2 - idle) / ticks)}  {load}"),
        ("busiest", ", ".join(words) or "nothing"),
    ]


def memory():
    fields = dict(line.split(":", 1) for line in read("/proc/meminfo").splitlines())
    kib = {key: int(value.split()[0]) * 1024 for key, value in fields.items()}
    used, total = kib["MemTotal"] - kib["MemAvailable"], kib["MemTotal"]
    lines = [("memory", f"{bar(used / total)}  {size(used)} of {size(total)}")]
    swap, free = kib["SwapTotal"], kib["SwapFree"]
    lines.append(("swap", f"{bar(1 - free / swap)}  {size(swap - free)} of {size(swap)}" if swap else "none"))
    return lines


def disks():
    seen, lines = set(), []
    for line in read("/proc/mounts").splitlines():
        device, place, kind = line.split()[:3]
        # What is mounted for a while only, or is a single file, is none of the host's disks.
        if device in seen or kind in NO_DISK or not device.startswith("/dev/"):
            continue
        if place.startswith("/run/") or not os.path.isdir(place):
            continue
        seen.add(device)
        found = os.statvfs(place)
        total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        if total:
            used = total - found.f_bfree * found.f_frsize
            lines.append((f"disk {place}", f"{bar(1 - free / total)}  {size(used)} used, {size(free)} free"))
    return lines


def services(spec):
    """Say which services of an app run; the words of those that do not."""
    running, others = 0, []
    for gate in spec["gates"]:
        if gate["kind"] != "running":
            continue
        if "socket" in gate and not os.access(gate["socket"], os.W_OK) and os.geteuid() != 0:
            return ROOT_ONLY
        try:
            seen = (supervisor_look if "socket" in gate else systemd_look)(gate, 5.0)
        except RedError as red:
            return red.findings[0][2]
        running += sum(one.runs for one in seen.values())
        others += [f"{name} {one.words}" for name, one in seen.items() if not one.runs]
    return f"{running} of {running + len(others)} RUNNING" + "".join(f"; {one}" for one in others)


def logs(spec):
    directories = {
        os.path.dirname(path) for about in spec["logs"].values() for path in about.get("files", [])
    }
    if not directories:
        return "in the journal"
    readable = [one for one in directories if os.access(one, os.R_OK | os.X_OK)]
    return size(sum(bytes_below(one) for one in readable)) if readable else ROOT_ONLY


def backup(app):
    try:
        config = read_json(f"/etc/hostwright/backup/{app}.json")
        state = None if config is None else read_json(f"{config['root']}/state.json") or {}
    except PermissionError:
        return ROOT_ONLY
    if state is None:
        return "none declared"
    newest, proof, attempt = (state.get(key) or {} for key in ("newest", "proof", "last_attempt"))
    words = [f"{size(newest['bytes'])}, {age(newest['made'])}" if newest else "NONE YET"]
    if attempt and not attempt["ok"]:
        words.append(f"THE LAST ONE FAILED: {attempt['why']}")
    words.append(
        f"proof {age(proof['at'])}{'' if proof['ok'] else ': FAILED'}" if proof else "none proven yet"
    )
    return ", ".join(words)


def health(app):
    try:
        found = read_json(f"/var/lib/hostwright/health/{app}.json")
    except PermissionError:
        return ROOT_ONLY
    if found is None:
        return None
    passed = [one["passed"] for one in found["history"]]
    words = f"{'all passed' if found['passed'] else 'NOT all passed'} {age(found['at'])}"
    return f"{words}; {passed.count(False)} of the last {len(passed)} rounds did not pass"


def apps():
    lines = []
    for path in sorted(glob.glob("/opt/*/current/gates.json")):
        spec = read_json(path)
        release = os.path.basename(os.path.realpath(os.path.dirname(path)))
        app = spec["app"]
        lines += [
            ("", ""),
            (app, f"release {release}"),
            ("  services", services(spec)),
            ("  logs", logs(spec)),
            ("  backup", backup(app)),
        ]
        looked = health(app)
        if looked is not None:
            lines.append(("  gates", looked))
    return lines


def database():
    if shutil.which("psql") is None:
        return []
    lines = [("", "")]
    words = ["psql", "-X", "-q", "-A", "-t", "-w", "-F", "\t", "-d", "postgres", "-c"]
    if os.geteuid() == 0:
        words = ["runuser", "-u", "postgres", "--", *words]

    def ask(query):
        done = subprocess.run(
            [*words, query], capture_output=True, text=True, cwd="/", timeout=10, check=False
        )
        return done.stdout.split("\n")[:-1] if done.returncode == 0 else None

    limit = ask("SHOW max_connections")
    if limit is None:
        return [*lines, ("PostgreSQL", ROOT_ONLY if os.geteuid() != 0 else "it does not answer")]
    rows = [row.split("\t") for row in ask(QUERY) or []]
    lines.append(("PostgreSQL", f"{sum(int(row[2]) for row in rows)} of {limit[0]} connections"))
    lines += [
        (f"  {name}", f"{size(int(count))}, {there} connections, {active} active")
        for name, count, there, active in rows
    ]
    return lines


def main(seconds="1"):
    days = float(read("/proc/uptime").split()[0]) / 86400
    print(f"{os.uname().nodename}, up {days:.1f} days, {time.strftime('%F %T %Z')}")
    for part in (lambda: cpu(float(seconds)), memory, disks, apps, database):
        for label, words in part():
            print(f"{label:<14} {words}".rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:2])

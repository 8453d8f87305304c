# Processor time and memory of whole groups of processes, several times within the time of sampling.
# No arguments of processes are read: they are not shown to everybody without a reason.
import itertools
import os
import pwd
import time

from diagnose_common import printable, read

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SHOWN_PROCESSES = 12
_units = {}


class Process:
    """One process at one moment; `time` has the time of its children that have ended, `own` has not."""

    def __init__(self, pid, name, parent, group, own, time_, started, threads, resident):
        self.pid, self.name, self.parent, self.group = pid, name, parent, group
        self.own, self.time, self.started, self.threads, self.resident = (
            own,
            time_,
            started,
            threads,
            resident,
        )


def one_process(pid):
    text = read(f"/proc/{pid}/stat")
    name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    own = int(fields[11]) + int(fields[12])
    return Process(
        pid, printable(name, 32), int(fields[1]), int(fields[2]), own,
        own + int(fields[13]) + int(fields[14]), int(fields[19]), int(fields[17]), int(fields[21]) * PAGE,
    )  # fmt: skip


def all_processes():
    """Return pid → process, without the kernel's threads and without this program."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            one = one_process(pid)
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
        if one.resident and pid != os.getpid():
            found[pid] = one
    return found


def unit_of(one):
    """Return the systemd unit that a process belongs to, by its control group."""
    key = (one.pid, one.started)
    if key not in _units:
        path = ""
        for line in read(f"/proc/{one.pid}/cgroup", "").splitlines():
            _, kind, where = line.split(":", 2)
            if kind in ("name=systemd", ""):
                path = path if kind == "" and path else where
        names = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        name = names[0] if names else "init.scope"
        _units[key] = "logins" if name.startswith(("session-", "user@")) else printable(name, 128)
    return _units[key]


def memory_of(pid):
    """Return (own, of files, shared) in bytes: what is swapped out is its own, too."""
    found = {}
    for line in read(f"/proc/{pid}/status", "").splitlines():
        if line.startswith(("RssAnon:", "RssFile:", "RssShmem:", "VmSwap:")):
            key, value = line.split(":")
            found[key] = int(value.split()[0]) * 1024
    own = found.get("RssAnon", 0) + found.get("VmSwap", 0)
    return own, found.get("RssFile", 0), found.get("RssShmem", 0)


def group_memory(pids):
    """Return the memory of a group: all that is a process's own, and what they share once."""
    parts = [memory_of(pid) for pid in pids]
    return (
        sum(own for own, _, _ in parts)
        + max((b for _, b, _ in parts), default=0)
        + max((c for _, _, c in parts), default=0)
    )


class Groups:
    """Which process belongs to which service: a tree or process group of a supervisor's, or a unit."""

    def __init__(self, supervised):
        """`supervised` is unit → {pid: service name} of those that a supervisor runs."""
        self.supervised = supervised

    def split(self, processes):
        """Return group → its processes; a service of a supervisor's is "unit:service"."""
        found = {}
        for one in processes.values():
            unit = unit_of(one)
            mains = self.supervised.get(unit)
            label = self._label(one, mains, processes) if mains else None
            found.setdefault(f"{unit}:{label}" if label else unit, []).append(one)
        return found

    @staticmethod
    def _label(one, mains, processes):
        if one.group in mains:
            return mains[one.group]
        seen = set()
        while one is not None and one.pid not in seen:
            if one.pid in mains:
                return mains[one.pid]
            seen.add(one.pid)
            one = processes.get(one.parent)
        return None


def used_ticks(before, after):
    """Return the ticks that a group has used between two moments; it may have got and lost processes."""
    whole = sum(one.time for one in after) - sum(one.time for one in before)
    old = {(one.pid, one.started): one.own for one in before}
    # Where one has left for another parent, its time is gone from the sum: those that stayed are left.
    return max(0, whole, sum(one.own - old.get((one.pid, one.started), 0) for one in after))


def machine_ticks():
    """Return (busy, all) ticks of all processors."""
    fields = [int(one) for one in read("/proc/stat").split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def sample(groups, seconds, times):
    """Return "busy" of the machine in per cent, and "groups", each with its samples and its processes."""
    moments = []
    began = time.monotonic()
    for number in range(times + 1):
        time.sleep(max(0.0, began + seconds * number / times - time.monotonic()))
        at, busy, processes = time.monotonic(), machine_ticks(), all_processes()
        split = groups.split(processes)
        memory = {name: group_memory([one.pid for one in found]) for name, found in split.items()}
        moments.append((at, busy, split, memory))
    pairs = list(itertools.pairwise(moments))
    busy = [
        100.0 * (after[1][0] - before[1][0]) / max(1, after[1][1] - before[1][1]) for before, after in pairs
    ]
    found = {}
    for name, members in moments[-1][2].items():
        cpu = [
            100.0
            * used_ticks(before[2].get(name, []), after[2].get(name, []))
            / TICKS
            / (after[0] - before[0])
            for before, after in pairs
        ]
        found[name] = {
            "cpu": [round(one, 2) for one in cpu],
            "memory": [moment[3].get(name, 0) for moment in moments[1:]],
            "count": len(members),
            "processes": process_table(moments[0][2].get(name, []), members, moments[-1][0] - moments[0][0]),
        }
    return {"busy": [round(one, 2) for one in busy], "groups": found}


def process_table(before, members, seconds):
    """Return the processes of a group that use most, by name and number, and never by their arguments."""
    old = {(one.pid, one.started): one.own for one in before}
    rows = [
        {
            "pid": one.pid,
            "name": one.name,
            "user": user_of(one.pid),
            "threads": one.threads,
            "cpu": round(100.0 * (one.own - old.get((one.pid, one.started), 0)) / TICKS / seconds, 2),
            "memory": one.resident,
        }
        for one in members
    ]
    return sorted(rows, key=lambda row: (-row["cpu"], -row["memory"], row["pid"]))[:SHOWN_PROCESSES]


def user_of(pid):
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return "?"
    try:
        return printable(pwd.getpwuid(uid).pw_name, 32)
    except KeyError:
        return str(uid)


def started_at(pid):
    """Return when a process began, in seconds since 1970."""
    uptime = float(read("/proc/uptime").split()[0])
    return time.time() - uptime + one_process(pid).started / TICKS

"""Gates that watch for a while, and while other gates are still at it: services stay up, logs stay clean."""

import re
import time

from gates_common import POLL, Follower, RedError, excerpt, journal, run_program
from supervisor_rpc import NO_ANSWER, supervisor_at

UNIT_KEYS = (
    "Id",
    "ActiveState",
    "SubState",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainStartTimestampMonotonic",
)


class Seen:
    """One service as its process manager sees it; `mark` is what changes with each start."""

    def __init__(self, runs, mark, words, final=False):
        self.runs, self.mark, self.words, self.final = runs, mark, words, final


def supervisor_look(gate, seconds):
    path = gate["socket"]
    try:
        infos = supervisor_at(path, seconds).getAllProcessInfo()
    except NO_ANSWER as error:
        why = excerpt(str(error)) or type(error).__name__
        raise RedError("the app's supervisor to answer", f"none on {path}: {why}") from None
    found = {info["name"]: info for info in infos}
    return {one: program_seen(found.get(one)) for one in gate["programs"]}


def program_seen(info):
    if info is None:
        return Seen(False, None, "the supervisor does not know it")
    state = info["statename"]
    words = f"{state}, pid {info['pid']}" if info["pid"] else state
    reason = info["spawnerr"] if state != "RUNNING" else ""
    return Seen(
        state == "RUNNING",
        (info["pid"], info["start"]),
        f"{words}: {excerpt(reason)}" if reason else words,
        state == "FATAL",
    )


def systemd_look(gate, seconds):
    units = gate["units"]
    words = ["systemctl", "show", "-p", ",".join(UNIT_KEYS), "--", *units.values()]
    code, said = run_program(words, seconds)
    if code != 0:
        why = "no answer" if code is None else f"exit code {code}"
        raise RedError("systemd to answer", f"systemctl: {why} {excerpt(said)}".strip())
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in said.split("\n\n")
    ]
    found = {block["Id"]: block for block in blocks if "Id" in block}
    return {one: unit_seen(found.get(unit)) for one, unit in units.items()}


def unit_seen(block):
    if block is None:
        return Seen(False, None, "systemd does not know it")
    state, sub = block["ActiveState"], block["SubState"]
    runs = (state, sub) == ("active", "running")
    words = "RUNNING" if runs else f"{state} ({sub}, {block['Result']})"
    mark = (block["MainPID"], block["ExecMainStartTimestampMonotonic"], block["NRestarts"])
    restarts = f", {block['NRestarts']} restarts by itself" if block["NRestarts"] != "0" else ""
    return Seen(runs, mark, f"{words}, pid {block['MainPID']}{restarts}", state == "failed")


def running_gate(gate, watch):
    """Wait until all run, then watch that each stays the process that it is."""
    stays = gate.get("stays", 3)
    look = supervisor_look if "socket" in gate else systemd_look
    expected = f"RUNNING, and the same process for {stays:g} s"
    first, begin = None, None
    while True:
        if first is None:
            try:
                seen = look(gate, min(5.0, watch.left()))
                red = [(one, expected, now.words) for one, now in seen.items() if not now.runs]
                final = any(now.final for now in seen.values())
            except RedError as error:
                red, final = error.findings, False
            if not red:
                first, begin = seen, time.monotonic()
            elif final or time.monotonic() + stays >= watch.deadline:
                raise RedError("", "", findings=red, final=True)
        else:
            seen = look(gate, 5.0)
            red = [
                (
                    one,
                    expected,
                    f"{first[one].words}, then {now.words} after {time.monotonic() - begin:.1f} s",
                )
                for one, now in seen.items()
                if not now.runs or now.mark != first[one].mark
            ]
            if red:
                raise RedError("", "", findings=red, final=True)
            if watch.over(begin, stays):
                return
        time.sleep(POLL)


class JournalLines:
    """A unit's entries from a time on, each once; the form of Follower."""

    def __init__(self, unit, since):
        self.unit, self.last = unit, since

    def lines(self, final=False):
        if final:
            run_program(["journalctl", "--sync"], 2.0)
        counts = False
        newest = self.last
        for line in journal(self.unit, 5.0, "-o", "short-unix", "--since", f"@{int(self.last)}"):
            at = re.match(r"(\d+\.\d+) \S+ [^:]*: ?", line)
            # A line without a time continues the entry before it.
            counts = float(at[1]) > self.last if at else counts
            if counts:
                newest = max(newest, float(at[1])) if at else newest
                yield f"the journal of {self.unit}", line[at.end() if at else 0 :][:8192]
        self.last = newest


def log_gate(gate, watch):
    """Watch that no new line matches, from `since` on where that is given, otherwise from now on."""
    stays, pattern = gate.get("stays", 3), re.compile(gate["pattern"])
    expected = f"no new line that matches {gate['pattern']!r}"
    sources = [JournalLines(unit, watch.since or watch.began_at) for unit in gate.get("units", ())]
    if gate.get("files"):
        sources.append(Follower(gate["files"], watch.since))
    while True:
        # Asked before the look: what was written until then is looked at once more.
        over = watch.over(watch.began, stays)
        try:
            hits = [hit for one in sources for hit in one.lines(final=over) if pattern.search(hit[1])]
        except OSError as error:
            raise RedError(expected, str(error), final=True) from None
        if hits:
            more = f" and {len(hits) - 1} more" if len(hits) > 1 else ""
            raise RedError(expected, f"in {hits[0][0]}: {excerpt(hits[0][1])}{more}", final=True)
        if over:
            return
        time.sleep(POLL)


WATCHED = {"running": running_gate, "log": log_gate}

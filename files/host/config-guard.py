# Watch the apps' configuration, and record each change that no run of hostwright made: what, when, and who.
# usage: config-guard.py [DECLARATION]     as hostwright-config-guard.service
#        SIGUSR1: write down all that was seen, and say so by the file `ack`
import contextlib
import json
import os
import select
import signal
import sys
import time

from config_guard_common import (
    DECLARATION,
    Watched,
    add_record,
    by_whom,
    covered,
    known,
    read_json,
    records,
    run_at_work,
    started,
    write_file,
)
from config_guard_files import brief, changed, difference, entry
from config_guard_marks import (
    ALL,
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    DELETE_SELF,
    MODIFY,
    MOVE_SELF,
    MOVED_FROM,
    MOVED_TO,
    NAMES,
    ONDIR,
    Marks,
)
from config_guard_who import identify, is_of_run, told

DID = {
    CREATE: "created", MODIFY: "written", ATTRIB: "attributes", MOVED_FROM: "renamed away",
    MOVED_TO: "renamed into place", DELETE: "deleted",
}  # fmt: skip
WINDOW, LONGEST = 0.5, 600.0  # seconds from the first event until it is written down, and of one that repeats
EVERY = 60.0  # seconds between two looks at what no event may have told
SAME = 0.05  # for which a process is taken for the program that it was
# Where there are more events than that in a second, what happens meanwhile is left to the kernel to merge.
MANY, ROOM = 500, 0.2


class Guard:
    """What is watched, as it was seen last, and what happened and is not written down yet."""

    def __init__(self, declaration):
        self.watched = Watched(declaration)
        self.places = self.watched.places
        os.makedirs(self.places["run"], mode=0o700, exist_ok=True)
        self.marks, self.problem = None, None
        self.pending, self.recent, self.people = {}, {}, {}
        self.seen, self.times, self.stamp = {}, {}, None
        self.down_since = self.last_alive()

    # --- what is known

    def last_alive(self):
        """Return when a guard was last at work here, as far as that is known."""
        found = [0.0]
        for path in (self.places["stopped"], self.places["run"] + "/alive"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.stat(path).st_mtime)
        return max(found)

    def alive(self):
        path = self.places["run"] + "/alive"
        with open(path, "a", encoding="utf-8"):
            os.utime(path)

    def load(self):
        """Take note of what was accepted, where that is not what it was; return whether there is any."""
        try:
            found = os.stat(self.places["manifest"])
        except FileNotFoundError:
            self.stamp = None
            return False
        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp != self.stamp:
            manifest = read_json(self.places["manifest"])
            self.seen, self.stamp = known(manifest, records(self.places)), stamp
            self.key, self.accepted = manifest["key"], manifest["accepted"]
            self.patterns = manifest["patterns"]
        return True

    def stat(self, path):
        try:
            found = os.lstat(path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    # --- looking

    def mark(self):
        """Watch the directories as they are now, and those above them in which they could be replaced."""
        if self.marks is None:
            return
        inside, above = self.watched.directories()
        self.marks.watch({**dict.fromkeys(above, NAMES), **dict.fromkeys(inside, ALL)})

    def look(self, who=None, between=None, did=()):
        """Compare everything with what was seen last; what differs was not told by an event of its own."""
        if not self.load():
            return
        run = run_at_work(self.places)
        waiting = {key[0] for key in self.pending}
        for path in sorted(self.watched.paths() | self.seen.keys()):
            stat = self.stat(path)
            if path in waiting or (stat == self.times.get(path) and stat is not None and path in self.seen):
                continue
            self.times[path] = stat
            now, before = entry(path, self.key, self.watched.shown(path)), self.seen.get(path)
            if not changed(before, brief(now)):
                continue
            if before is None and not covered(path, *self.split(self.patterns)):
                self.seen[path] = brief(now)  # watched only since this run
                continue
            of_run = run is not None and (who is None or is_of_run(who, run))
            at = time.time()
            # When its inode was changed last: not before it was as it is known.
            if who is None and stat is not None and self.down_since < stat[3] / 1e9 < at:
                at = stat[3] / 1e9
            self.record(path, who, did, at, at, now, run[0] if of_run else None, between)

    def split(self, patterns):
        # Trees and files are one list there: a file is a tree of itself, a pattern has something to match.
        return [one for one in patterns if "*" not in one], [one for one in patterns if "*" in one]

    # --- what happens

    def who(self, pid):
        """Return what is known of a process, looking again where that was not just now."""
        at, who = self.people.get(pid, (0.0, None))
        if time.monotonic() - at < SAME:
            return who
        now = identify(pid)
        # One that has ended since was seen earlier, perhaps.
        if now.get("name") is None and who is not None:
            return who
        self.people[pid] = time.monotonic(), now
        return now

    def take(self, events):
        """Note who did what."""
        run = run_at_work(self.places) if events else None
        now, structure, mover = time.time(), False, None
        for mask, path, who in events:
            if path is None or mask & (ONDIR | DELETE_SELF | MOVE_SELF):
                structure = True
                # What is in a directory that was renamed went with it; in a new one, others may have put it.
                mover = who if mask & (MOVED_FROM | MOVED_TO) else mover
            if path is None or self.watched.app_of(path) is None:
                continue
            key = path, who.get("name"), who.get("unit"), run[0] if is_of_run(who, run) else None
            about = self.pending.setdefault(key, {"mask": 0, "first": now})
            about.update(who=who, last=now, mask=about["mask"] | mask)
        if structure:
            self.mark()
            self.flush(everything=True)
            self.look(mover, did=["renamed with its directory"] if mover is not None else [])

    def due(self, key):
        """Return when a change is written down: soon, and ever later where it happens again and again."""
        return max(self.pending[key]["first"] + WINDOW, sum(self.recent.get(key, (0.0, 0.0))))

    def flush(self, everything=False):
        """Write down what is due."""
        now = time.time()
        ready = [key for key in self.pending if everything or self.due(key) <= now]
        if ready and not self.load():
            self.pending.clear()  # nothing was accepted yet
            return
        ready.sort(key=lambda key: self.pending[key]["last"])
        for number, key in enumerate(ready):
            self.settle(key, self.pending.pop(key), any(key[0] == other[0] for other in ready[number + 1 :]))
        if not self.pending:
            self.people.clear()
        self.recent = {key: one for key, one in self.recent.items() if now - one[0] < 2 * LONGEST}

    def settle(self, key, about, more):
        """Write down what one process, or several of one name, did to a path; `more` of others is to come."""
        path, _, _, run = key
        now, before = entry(path, self.key, self.watched.shown(path)), self.seen.get(path)
        stat, stat_before = self.stat(path), self.times.get(path)
        if before is None and now is None:
            return  # it came and went: how editors and programs replace a file
        differs, mask = changed(before, brief(now)) != [], about["mask"]
        same_time = stat is not None and stat_before is not None and stat[2] == stat_before[2]
        idle = not mask & ~(CLOSE_WRITE | ATTRIB | ONDIR) and (not mask & ATTRIB or same_time)
        if not more:
            self.times[path] = stat
            if idle and not differs:
                return  # opened for writing and not written; or an attribute that is none of ours
        at, pause = self.recent.get(key, (0.0, 0.0))
        self.recent[key] = (time.time(), min(LONGEST, max(WINDOW, pause * 4)) if at else 0.0)
        did = [word for bit, word in DID.items() if mask & bit]
        self.record(path, about["who"], did, about["first"], about["last"], now, run)

    def record(self, path, who, did, first, last, now, run, between=None):
        """Write one change down, and say it to the journal."""
        before = self.seen.get(path)
        manifest = read_json(self.places["manifest"]) or {"files": {}}
        about = {
            "at": first, "until": last, "path": path, "app": self.watched.app_of(path), "did": list(did),
            "who": told(who), "changed": changed(before, brief(now)),
            "difference": difference(manifest["files"].get(path), now), "now": brief(now),
        }  # fmt: skip
        if run is not None:
            about["run"] = run
        elif between is not None:
            about["between"] = between
        try:
            add_record(self.places, about)
        except OSError as error:
            # On a full disk the journal has it, and what differs is seen all the same.
            print(f"{self.places['records']}: {error}", flush=True)
        if now is None:
            self.seen.pop(path, None)
        else:
            self.seen[path] = brief(now)
        if run is None:
            print(f"{path}: {', '.join(did or about['changed'])}, {by_whom(about)}", flush=True)

    # --- at work

    def begin(self):
        """Find what changed while no guard was at work, and watch from then on."""
        try:
            self.marks = Marks()
            self.mark()
        except (OSError, AttributeError) as error:
            self.marks = None
            self.problem = str(error)
            print(f"who changes a file cannot be told here, only that it changed: {error}", flush=True)
        # Before the next program runs: who made a change is known for as long as that lives.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        if self.load():
            self.down_since = max(self.down_since, self.accepted)
        self.look(between=[self.down_since, time.time()])
        for path in self.seen:
            self.times[path] = self.stat(path)

    def run(self):
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        self.begin()
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        if self.marks is not None:
            poll.register(self.marks.descriptor, select.POLLIN)
        self.alive()
        about = {"pid": os.getpid(), "started": started(os.getpid()), "problem": self.problem}
        write_file(self.places["run"] + "/ready", json.dumps(about))
        looked = second = time.monotonic()
        lately = 0
        while True:
            wait = max(0.0, looked + EVERY - time.monotonic())
            if self.pending:
                first = min(self.due(key) for key in self.pending)
                wait = min(wait, max(0.0, first - time.time()))
            woken = [descriptor for descriptor, _ in poll.poll(wait * 1000 + 1)]
            if self.marks is not None and (self.marks.descriptor in woken or reader in woken):
                events = self.marks.read(self.who)
                self.take(events)
                lately = lately + len(events) if time.monotonic() < second + 1 else len(events)
                second = second if lately > len(events) else time.monotonic()
                if lately > MANY:
                    time.sleep(ROOM)
            asked = set(os.read(reader, 64)) if reader in woken else set()
            self.flush(everything=bool(asked))
            if asked or time.monotonic() > looked + EVERY:
                self.look()
                self.mark()
                self.alive()
                looked = time.monotonic()
            if signal.SIGUSR1 in asked:
                write_file(self.places["run"] + "/ack", "")
            if asked & {signal.SIGTERM, signal.SIGINT}:
                with contextlib.suppress(OSError):
                    write_file(self.places["stopped"], "")
                return


if __name__ == "__main__":
    os.umask(0o077)
    Guard(sys.argv[1] if len(sys.argv) > 1 else DECLARATION).run()

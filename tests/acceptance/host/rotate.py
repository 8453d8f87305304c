# Rotate an app's logs for real, twice, while lines are being written, and put the logs in order again.
# ABOUT: app, config (logrotate's file), shared (directory beside the logs), services, run (unique word).
#
# Numbered lines go into the pipes that the services themselves write to, and so take the way that every
# line takes. Rotated files that were there before are moved aside meanwhile; in the end they are
# back, and what was rotated here is appended to the newest of them: not one day of history is pushed out.
# mypy: ignore-errors
import fcntl
import glob
import gzip
import os
import re
import signal
import stat
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timezone

from tests.acceptance.host.common import ABOUT, answer, show, supervisor

LOGROTATE_STATE = "/var/lib/logrotate/status"
FOLLOW_SECONDS = 5
# The names of rotated files may be fine to the second.
BETWEEN_SECONDS = 1.1
LINES_PER_SECOND = 100
OURS = re.compile(rb" INFO \S+ rotation test [0-9a-f]+ line \d{6}$", re.MULTILINE)
ASIDE = ABOUT["shared"] + "/.rotation-test"


class Writer:
    """Writes numbered lines into the pipes of all services until it is stopped."""

    def __init__(self, services):
        self.services = services
        self.written = dict.fromkeys(services, 0)
        self.broken = {}
        self.pipes = {}
        self.stopping = threading.Event()
        for name, info in services.items():
            path = f"/proc/{info['pid']}/fd/1"
            try:
                if not stat.S_ISFIFO(os.stat(path).st_mode):
                    raise OSError("its output is no pipe to supervisor")
                self.pipes[name] = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                self.broken[name] = str(error)
        self.thread = threading.Thread(target=self.write_all)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_problem):
        self.stopping.set()
        self.thread.join()
        for pipe in self.pipes.values():
            os.close(pipe)

    def write_all(self):
        while not self.stopping.wait(1 / LINES_PER_SECOND):
            for name in self.pipes.keys() - self.broken.keys():
                number = self.written[name] + 1
                stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
                line = f"{stamp} INFO {name} rotation test {ABOUT['run']} line {number:06d}\n"
                try:
                    # Shorter than PIPE_BUF: whole or not at all.
                    os.write(self.pipes[name], line.encode())
                except BlockingIOError:
                    continue  # supervisor is behind; the same number comes again
                except OSError as error:
                    self.broken[name] = f"its output closed: {error.strerror}"
                    continue
                self.written[name] = number


def rotated(log):
    """Return the rotated files of a log, oldest first."""
    found = [path for path in glob.glob(glob.escape(log) + "[-.]*") if os.path.isfile(path)]
    # 20251122 after 20251121, but .2.gz before .1: time decides, and the name where that is equal.
    return sorted(found, key=lambda path: (os.stat(path).st_mtime_ns, path))


def put_back_aside():
    """Bring back what an interrupted run had moved aside; nothing that is in place is replaced."""
    if not os.path.isdir(ASIDE):
        return
    for name in os.listdir(ASIDE):
        directory, _, base = name.partition(":")
        place = os.path.join(directory.replace("|", "/"), base)
        if os.path.exists(place):
            place += "-kept"
        os.rename(os.path.join(ASIDE, name), place)
    os.rmdir(ASIDE)


def move_aside(logs):
    os.mkdir(ASIDE, 0o700)
    for log in logs:
        for path in rotated(log):
            directory, base = os.path.split(path)
            os.rename(path, os.path.join(ASIDE, directory.replace("/", "|") + ":" + base))


def read(path):
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        return file.read()


def put_in_order(log, made):
    """Append what was rotated here, without the numbered lines, to the newest file from before."""
    lines = [line for path in made for line in read(path).splitlines(keepends=True) if not OURS.search(line)]
    before = [path for path in rotated(log) if path not in made]
    if not made:
        return
    if not before:
        # The first rotation of all: its content stays, in the newest of the two.
        with open(made[-1], "r+b") as file:
            file.write(b"".join(lines))
            file.truncate()
    else:
        with open(before[-1], "ab") as file:
            text = b"".join(lines)
            # A compressed file may have several parts, one after the other.
            file.write(gzip.compress(text) if before[-1].endswith(".gz") else text)
    for path in made if before else made[:-1]:
        os.unlink(path)


def open_files(pid):
    """Return the files that a process has open, by device and number."""
    found = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        found.add((status.st_dev, status.st_ino))
    return found


def identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


def main_pid():
    return int(show(ABOUT["app"] + ".service", "MainPID")["MainPID"])


def rotate(state, logs):
    """Rotate once; return what logrotate said, and for each log what became of it."""
    before = {log: (identity(log), os.path.getsize(log)) for log in logs}
    done = subprocess.run(
        ["logrotate", "-f", "-s", state, ABOUT["config"]], capture_output=True, text=True, timeout=120
    )
    result = {"rc": done.returncode, "said": done.stderr.strip()[-500:], "logs": {}}
    deadline = time.monotonic() + FOLLOW_SECONDS
    for log, (old, size) in before.items():
        if size == 0:
            continue  # an empty log is left alone
        while True:
            here = os.path.exists(log)
            new = identity(log) if here else None
            held = open_files(main_pid()) if main_pid() else set()
            if (here and new != old and new in held and old not in held) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        result["logs"][log] = {
            "new_file": here and new != old,
            "follows": new in held,
            "lets_go": old not in held,
        }
    return result


def let_go(paths):
    """Have supervisor open its logs anew where the rotation under test failed to: else its lines get lost."""
    pid = main_pid()
    old = {identity(path) for path in paths}
    if not pid or not old & open_files(pid):
        return
    os.kill(pid, signal.SIGUSR2)
    deadline = time.monotonic() + FOLLOW_SECONDS
    while old & open_files(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def numbers(log, made):
    """Return the numbers of our lines in the order in which the log has them, rotated files first."""
    text = b"".join(read(path) for path in [*made, log] if os.path.exists(path))
    mark = f" rotation test {ABOUT['run']} line ".encode()
    return [int(found) for found in re.findall(re.escape(mark) + rb"(\d{6})\n", text)]


def test(services, logs):
    state = tempfile.NamedTemporaryFile(prefix="logrotate-state-")
    with state, Writer(services) as writer:
        time.sleep(0.5)
        rotations = [rotate(state.name, logs)]
        time.sleep(BETWEEN_SECONDS)
        rotations.append(rotate(state.name, logs))
    # What is still in the pipes reaches the logs.
    time.sleep(0.3)
    return rotations, writer


def main():
    put_back_aside()
    services = {name: info for name, info in supervisor(ABOUT["app"]).items() if info["pid"]}
    before = {name: [info["pid"], info["start"]] for name, info in services.items()}
    logs = sorted({
        path for info in services.values() for path in (info["stdout_logfile"], info["stderr_logfile"])
        if path and os.path.exists(path)
    })  # fmt: skip
    shared_times = os.stat(ABOUT["shared"])
    move_aside(logs)
    try:
        rotations, writer = test(services, logs)
        made = {log: rotated(log) for log in logs}
        result = {"rotations": rotations, "services": {}, "logs": {}}
        for name, info in services.items():
            found = numbers(info["stdout_logfile"], made[info["stdout_logfile"]])
            wanted = list(range(1, writer.written[name] + 1))
            result["services"][name] = {
                "written": len(wanted), "found": len(found), "lost": sorted(set(wanted) - set(found))[:5],
                "in_order": found == sorted(found), "twice": len(found) - len(set(found)),
                "broken": writer.broken.get(name), "before": before[name],
            }  # fmt: skip
        for log in logs:
            result["logs"][log] = {"rotated": [os.path.basename(path) for path in made[log]]}
    finally:
        made = {log: rotated(log) for log in logs}
        let_go([path for paths in made.values() for path in paths])
        put_back_aside()
        for log in logs:
            put_in_order(log, made[log])
        os.utime(ABOUT["shared"], ns=(shared_times.st_atime_ns, shared_times.st_mtime_ns))
    # Where the rotation restarted services they need a moment; who did not come back is named all the same.
    deadline = time.monotonic() + 20
    while True:
        now = supervisor_or_nothing()
        if all(name in now and now[name]["statename"] == "RUNNING" for name in services):
            break
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    for name in services:
        result["services"][name]["after"] = [now[name]["pid"], now[name]["start"]] if name in now else None
    answer(result)


def supervisor_or_nothing():
    try:
        return supervisor(ABOUT["app"])
    except SystemExit:
        return {}


if os.path.exists(LOGROTATE_STATE):
    # The daily run takes the same lock, and would rotate in the middle.
    lock = open(LOGROTATE_STATE, "rb")
    fcntl.flock(lock, fcntl.LOCK_EX)
main()

"""What the gates of gates.py share: what they found, programs that must end, logs that are followed."""

import contextlib
import glob
import json
import os
import pwd
import select
import signal
import stat
import subprocess
import time
import urllib.parse

from line_times import WITHIN, line_time

POLL = 0.2
SHOWN = 300
LOG_LINES = 10
KEPT = 1 << 20
# Programs that run now: none may outlive this one.
CHILDREN = set()
SECRETS = []


class RedError(Exception):
    """
    One look found something else than was expected.

    `final` where another look cannot help; `cut` where it was given up for lack of time.
    """

    def __init__(self, expected, saw, *, service=None, final=False, cut=False, findings=None):
        super().__init__(saw)
        self.findings = findings if findings is not None else [(service, expected, saw)]
        self.final, self.cut = final, cut


class Watch:
    """One gate's time: `since` is when new lines begin, `busy` tells whether others are still at it."""

    def __init__(self, spec, seconds, since, busy):
        self.spec, self.since, self.busy = spec, since, busy
        self.began = time.monotonic()
        self.began_at = time.time()
        self.seconds = seconds
        self.deadline = self.began + seconds
        self.met = False

    def left(self):
        return max(0.05, self.deadline - time.monotonic())

    def over(self, begin, stays):
        """Return whether a watch that began then has lasted; it goes on while other gates are at it."""
        now = time.monotonic()
        self.met = now >= begin + stays
        return self.met and (not self.busy() or now >= self.deadline)


def know_secrets(paths):
    """Learn what must never be shown: the content of files, or of all files of a directory."""
    found = set()
    for path in paths:
        files = glob.glob(f"{glob.escape(path)}/*") if os.path.isdir(path) else [path]
        for file in filter(os.path.isfile, files):
            with open(file, encoding="utf-8", errors="surrogateescape") as opened:
                text = opened.read()
            for one in {text.strip("\n"), *text.splitlines()}:
                if one.strip():
                    ways = {one, urllib.parse.quote(one, safe="", errors="surrogateescape"), repr(one)[1:-1]}
                    found |= ways | {json.dumps(one)[1:-1], one.replace("'", "'\\''")}
    SECRETS[:] = sorted(found, key=len, reverse=True)


def masked(text):
    for secret in SECRETS:
        text = text.replace(secret, "***")
    return text


def excerpt(text, end=False):
    """Return a text on one line, short enough to read; masked before it is cut."""
    whole = masked(text)
    # Of a mebibyte of output, only so much is worth the work.
    text = whole[-4 * SHOWN :] if end else whole[: 4 * SHOWN]
    line = " | ".join(part.strip() for part in text.splitlines() if part.strip())
    line = "".join(one if one.isprintable() else "?" for one in line)
    if len(line) <= SHOWN and len(text) == len(whole):
        return line
    return "..." + line[-SHOWN:] if end else line[:SHOWN] + "..."


def run_program(words, seconds, *, env=None, user=None, directory="/", keep=KEPT):
    """
    Run a program; at its deadline, kill it and all that it started. Return its exit code and its output.

    The exit code is None where it was killed; of much output only the end is kept.
    """
    prefix = ["setpriv", "--pdeathsig=KILL"]
    home = "/"
    if user is not None:
        account = pwd.getpwnam(user)
        home = account.pw_dir
        prefix.append("--no-new-privs")
        if account.pw_uid != os.geteuid():
            prefix += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups"]
    base = {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "LC_ALL": "C.UTF-8",
        "HOME": home,
    }
    process = subprocess.Popen(
        [*prefix, "--", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**base, **(env or {})}, cwd=directory, start_new_session=True, bufsize=0,
    )  # fmt: skip
    CHILDREN.add(process.pid)
    ends = time.monotonic() + seconds
    output = bytearray()
    handle = process.stdout.fileno()
    os.set_blocking(handle, False)
    try:
        while True:
            # Not reaped yet: while it is a zombie, nobody else can have its number.
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            closed = _drain(handle, output, keep)
            if ended or time.monotonic() >= ends:
                break
            if closed:
                time.sleep(0.02)
            else:
                select.select([handle], [], [], 0.02)
    finally:
        _end(process.pid)
        process.wait()
        CHILDREN.discard(process.pid)
        process.stdout.close()
    return (process.returncode if ended else None), output.decode(errors="replace")


def _drain(handle, output, keep):
    """Read what there is, but not for ever; return whether the other end is closed."""
    for _ in range(64):
        try:
            part = os.read(handle, 65536)
        except BlockingIOError:
            return False
        if not part:
            return True
        output += part
        del output[: max(0, len(output) - keep)]
    return False


def _end(pid):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def end_programs():
    for pid in list(CHILDREN):
        _end(pid)


def open_plain(path):
    # A service may write here and this runs as root: a link could show what the service may not read.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a plain file")
    return os.fdopen(handle, "rb")


def last_lines(path):
    with open_plain(path) as file:
        start = max(0, os.fstat(file.fileno()).st_size - 65536)
        file.seek(start)
        lines = file.read(65536).decode(errors="replace").splitlines()
    # Where it begins in the middle of a line, half a secret could not be recognised.
    return lines[1 if start else 0 :][-LOG_LINES:]


def journal(unit, seconds, *options):
    """Return a unit's entries; raise OSError where the journal does not give them."""
    words = ["journalctl", "--quiet", "--no-pager", "-u", unit, *options]
    code, text = run_program(words, seconds, keep=KEPT * 16)
    if code != 0:
        why = f"exit code {code}" if code is not None else f"no answer in {seconds:.1f} s"
        raise OSError(f"journalctl -u {unit}: {why} {excerpt(text)}".strip())
    return text.splitlines()


class Follower:
    """The lines that files get from now on, through rotation; with `since`, also those of that time."""

    def __init__(self, patterns, since=None):
        self.patterns = patterns
        self.files = {}
        self.earlier = []
        for path in self.paths():
            try:
                file = open_plain(path)
            except OSError:
                continue
            size = os.fstat(file.fileno()).st_size
            if since is not None and os.fstat(file.fileno()).st_mtime >= since:
                self.earlier += [(path, line) for line in self._later(file, size, since)]
            file.seek(size)
            self.files[path] = [file, b""]

    def paths(self):
        return sorted({path for pattern in self.patterns for path in glob.glob(pattern)})

    def _later(self, file, size, since):
        """Return the lines from a time on; one without a time of its own goes with the one before it."""
        start = max(0, size - 4 * KEPT)
        file.seek(start)
        counts = False
        for line in file.read(size - start).decode(errors="replace").splitlines()[1 if start else 0 :]:
            at = line_time(line[:WITHIN].encode())
            counts = counts if at is None else at >= since
            if counts:
                yield line

    def lines(self, final=False):
        """Yield (path, line) for all that is new; at last also the lines that have no end yet."""
        yield from self.earlier
        self.earlier = []
        for path in self.paths():
            try:
                number = os.lstat(path).st_ino
                if path not in self.files:
                    self.files[path] = [open_plain(path), b""]
                yield from self._rest(path)
                if os.fstat(self.files[path][0].fileno()).st_ino != number:
                    # Turned over: what was still written to the old one has just been read.
                    self.files[path][0].close()
                    self.files[path] = [open_plain(path), b""]
                    yield from self._rest(path)
            except OSError:
                continue  # it has just gone, or is no plain file
        if final:
            yield from (
                (path, half.decode(errors="replace")) for path, (_, half) in self.files.items() if half
            )

    def _rest(self, path):
        file, half = self.files[path]
        size = os.fstat(file.fileno()).st_size
        if size < file.tell():
            file.seek(0)
        while file.tell() < size:
            part = file.read(min(KEPT, size - file.tell()))
            if not part:
                break
            *whole, half = (half + part).split(b"\n")
            half = half[:8192]
            for line in whole:
                yield path, line[:8192].decode(errors="replace")
        self.files[path][1] = half

# Read a dump back to its last byte: while pg_dump still writes, and whole when it is proven.
# A member that was cut short is found by its own end alone: `pg_restore --list` says 0 on half an archive.
import concurrent.futures
import contextlib
import hashlib
import os
import re
import threading
import time
import zlib

from backup_common import FailedError

CHUNK = 1 << 18
UNPACKED = 1 << 23
PAUSE = 0.02
# COPY's own end of the rows, and the empty lines that pg_dump puts after it.
END_OF_ROWS = re.compile(rb"(?:^|\n)\\\.\n(\n*)$")


def open_inside(path):
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0)


class Member:
    """One compressed file of a dump: its digest, its size, and the rows that its COPY text holds."""

    def __init__(self, path):
        self.path, self.digest, self.bytes = path, hashlib.sha256(), 0
        self.newlines, self.tail, self.whole = 0, b"", False
        self._gzip = zlib.decompressobj(wbits=31)

    def feed(self, data):
        self.digest.update(data)
        self.bytes += len(data)
        while data:
            if self.whole:
                raise FailedError(f"{self.path}: there is more after its end")
            try:
                unpacked = self._gzip.decompress(data, UNPACKED)
            except zlib.error as error:
                raise FailedError(f"{self.path}: is damaged ({error})") from None
            self.newlines += unpacked.count(b"\n")
            self.tail = (self.tail + unpacked[-64:])[-64:]
            self.whole = self._gzip.eof
            data = self._gzip.unused_data if self.whole else self._gzip.unconsumed_tail

    def finish(self):
        if not self.whole:
            raise FailedError(f"{self.path}: ends in the middle, after {self.bytes} bytes")
        return self

    def rows(self):
        """Return how many rows a table's data has: each is a line, a line break within one is written \\n."""
        found = END_OF_ROWS.search(self.tail)
        if found is None:
            raise FailedError(f"{self.path}: its rows do not end as COPY's do")
        return self.newlines - 1 - len(found[1])


def digest_of(path):
    found = hashlib.sha256()
    with open_inside(path) as file:
        while data := file.read(CHUNK):
            found.update(data)
    return found.hexdigest()


def prefer(policy):
    """Have the scheduler treat the calling thread so."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, policy, os.sched_param(0))


class Reader:
    """Reads each member of a dump as it grows, a thread each, and is through soon after pg_dump is."""

    def __init__(self, directory, written=True):
        self.directory = directory
        self.written = threading.Event()
        self.stopped = threading.Event()
        if written:
            self.written.set()
        # pg_dump writes two at a time; more of them are waited for than read.
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=4)
        self._reading = {}

    def look(self):
        """Begin with what is new."""
        if not os.path.isdir(self.directory):
            return
        for name in sorted(os.listdir(self.directory)):
            if name.endswith(".gz") and name not in self._reading:
                self._reading[name] = self._pool.submit(self._read, f"{self.directory}/{name}")

    def _read(self, path):
        member, waits = Member(path), not self.written.is_set()
        if waits:
            # The server and pg_dump hand over a few hundred KB at a time, each waiting for the other: a third
            # one that keeps either from its turn costs both far more than that turn.
            prefer(os.SCHED_IDLE)
        with open_inside(path) as file:
            while not self.stopped.is_set():
                last = self.written.is_set()
                if waits and last:
                    waits = prefer(os.SCHED_OTHER)
                if data := file.read(CHUNK):
                    member.feed(data)
                elif last or member.whole:
                    break
                else:
                    time.sleep(PAUSE)
        return member

    def failed(self):
        """Raise what went wrong so far."""
        for one in self._reading.values():
            if one.done():
                one.result()

    def end(self):
        """Return name → Member of all that is there, each read to its end."""
        self.written.set()
        self.look()
        found = {name: one.result().finish() for name, one in self._reading.items()}
        self._pool.shutdown()
        for name, member in found.items():
            if os.stat(f"{self.directory}/{name}").st_size != member.bytes:
                raise FailedError(f"{self.directory}/{name} changed after it was read")
        return found

    def stop(self):
        self.stopped.set()
        self._pool.shutdown(cancel_futures=True)


def table_members(listing, tables):
    """
    Return table → name of the member that has its rows, from what `pg_restore --list` says.

    A line is `3412; 0 16391 TABLE DATA public orders owner`; names may have spaces, so the tables are known.
    """
    lines = dict(re.findall(r"^([0-9]+); [0-9]+ [0-9]+ TABLE DATA (.*)$", listing, re.MULTILINE))
    found = {}
    for table, (schema, name) in tables.items():
        wanted = f"{one_line(schema)} {one_line(name)} "
        numbers = [number for number, rest in lines.items() if rest.startswith(wanted)]
        if len(numbers) > 1:  # "a b" and "a b c": the owner has no space in it then
            numbers = [one for one in numbers if " " not in lines[one][len(wanted) :]]
        if len(numbers) != 1:
            raise FailedError(f"the dump has no data of table {table}: it is not in its list")
        found[table] = f"{numbers[0]}.dat.gz"
    return found


def one_line(name):
    return name.replace("\n", " ").replace("\r", " ")

# Read a dump in plain SQL so that it can do nothing but fill the database that it is sent to.
# A part of restore-*.py. Only what pg_dump writes is understood; what is left out belongs to whoever owns the
# database here, as with pg_restore --no-owner --no-privileges.
import gzip
import re

from restore_common import FailedError

HEADER = b"-- PostgreSQL database dump"
TRAILER = b"-- PostgreSQL database dump complete"
CLUSTER_HEADER = b"-- PostgreSQL database cluster dump"
VERSION = re.compile(rb"-- Dumped from database version (\S+)")
COPY = re.compile(rb"COPY .* FROM stdin;\s*$", re.IGNORECASE)
OPENS = re.compile(rb"--|/\*|(?<![A-Za-z_0-9])[eE]'|'|\"|(?<![A-Za-z_0-9$])\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$")
ESCAPED = re.compile(rb"\\.|''|'", re.DOTALL)
NESTED = re.compile(rb"/\*|\*/")
LEFT_OUT = re.compile(
    rb"(ALTER .* OWNER TO .*|GRANT .*|REVOKE .*|ALTER DEFAULT PRIVILEGES .*|COMMENT ON EXTENSION .*);\s*$"
)
ELSEWHERE = re.compile(rb"\s*(CREATE|DROP|ALTER)\s+(DATABASE|ROLE|USER|TABLESPACE|SYSTEM)\b", re.IGNORECASE)
FIRST_LINES = 40


def opened(path):
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


def inside_after(line, inside):
    """
    Return what a line ends in, which begins in `inside`: a string, a name, a comment, a function's body.

    Each is told by what opened it, and None is none of them: only there a line may be left out or refused.
    """
    at = 0
    while True:
        if inside is None:
            found = OPENS.search(line, at)
            if found is None or found[0] == b"--":
                return None
            at, inside = found.end(), b"e'" if found[0] == b"E'" else found[0]
        elif inside.startswith(b"/*"):
            found = NESTED.search(line, at)
            if found is None:
                return inside
            at, inside = found.end(), inside + b"/*" if found[0] == b"/*" else inside[2:] or None
        elif inside == b"e'":
            found = ESCAPED.search(line, at)
            if found is None:
                return inside
            at, inside = found.end(), None if found[0] == b"'" else inside
        else:
            end = line.find(inside, at)
            if end < 0:
                return inside
            at, inside = end + len(inside), None


class Plain:
    """One dump; `lines` gives what psql is sent, and `version` is known once they have been read."""

    def __init__(self, path):
        self.path, self.version = path, None
        self.made_by_pg_dump = self.complete = False

    def refuse(self, number, what):
        raise FailedError(f"line {number} of the dump {what}")

    def lines(self):
        copying, inside = False, None
        try:
            with opened(self.path) as file:
                for number, line in enumerate(file, 1):
                    if copying:
                        copying = line.rstrip(b"\r\n") != b"\\."
                        yield line
                        continue
                    begins = inside
                    if begins is None and line.startswith(b"--"):
                        self.comment(number, line)
                    if begins is None and not self.wanted(number, line):
                        continue
                    inside = inside_after(line, begins)
                    copying = begins is None and inside is None and COPY.match(line) is not None
                    yield line
        except (EOFError, OSError) as error:
            raise FailedError(f"the dump is damaged or cut off: {error}; copy it again") from None
        if copying or inside is not None or (self.made_by_pg_dump and not self.complete):
            raise FailedError("the dump ends in the middle: it is only a part of one; copy it again")

    def comment(self, number, line):
        text = line.rstrip()
        if text == CLUSTER_HEADER:
            self.refuse(
                number, "says that it is of a whole server (pg_dumpall); dump the one database by pg_dump"
            )
        if number <= FIRST_LINES and text == HEADER:
            self.made_by_pg_dump = True
        self.complete = self.complete or text == TRAILER
        version = VERSION.match(line) if self.version is None else None
        if version:
            self.version = version[1].decode()

    def wanted(self, number, line):
        if line.startswith((b"\\restrict ", b"\\unrestrict ")):
            return False  # psql is given our own
        if line.startswith(b"\\"):
            word = line.split()[0].decode(errors="replace")
            self.refuse(number, f"has {word}, which could lead to another database; dump it without -C")
        if ELSEWHERE.match(line):
            words = b" ".join(line.split()[:2]).decode(errors="replace")
            self.refuse(number, f"has {words}, which is more than this database; dump it without -C")
        return LEFT_OUT.match(line) is None

"""One channel of an SSH connection that stays open, with a program at its other end that runs commands."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import RLock
from paramiko import SSHException
from paramiko.transport import Transport

from connectors import frames
from connectors.frames import DROP, ERR, EXIT, HEADER, OUT, READY, RUN
from facts.script import text

PIECE = 65536
LOST = -1
PROGRAM = "command-runner.py"


class Reply:
    """What one command says, as it comes, and its exit code; it can be read more than once."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[bytes]] = {OUT: [], ERR: []}
        self._ended = Event()
        self._news = Event()
        self._code = LOST

    def add(self, kind: int, piece: bytes) -> None:
        self._pieces[kind].append(piece)
        self._tell()

    def end(self, code: int) -> None:
        self._code = code
        self._ended.set()
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, Event()
        news.set()

    def _all(self, kind: int) -> Iterator[bytes]:
        read = 0
        while True:
            news = self._news
            while read < len(self._pieces[kind]):
                read += 1
                yield self._pieces[kind][read - 1]
            if self._ended.is_set():
                return
            news.wait()

    def lines(self, kind: int) -> Iterator[str]:
        """Yield the lines of OUT or ERR; the last one may have no line feed."""
        held = b""
        for piece in self._all(kind):
            *whole, held = (held + piece).split(b"\n")
            for line in whole:
                yield line.decode("utf-8") + "\n"
        if held:
            yield held.decode("utf-8")

    def ended(self) -> bool:
        """Tell whether all of it is here."""
        return bool(self._ended.is_set())

    def code(self, timeout: float | None = None) -> int:
        """Wait for the exit code; -1 where a signal or the end of the connection ended the command."""
        if not self._ended.wait(timeout):
            raise TimeoutError
        return self._code


@cache
def _packed_first(data: bytes) -> tuple[bytes, Any]:
    """
    Pack what a channel begins with; hosts that are alike are all asked the same first.

    Return it with the packer as it is after that, to be copied.
    """
    packer = zlib.compressobj()
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH), packer


class Channel:
    """
    Runs commands over one channel; several may be under way at once.

    + transport: of a connection that is open

    Raises SSHException where the channel cannot be opened.
    """

    def __init__(self, transport: Transport) -> None:
        self._channel = transport.open_session()
        self._channel.exec_command(f"exec python3 -IS -c {shlex.quote(text(PROGRAM))}")
        self._packer = zlib.compressobj()
        self._begun = False
        self._sending = RLock()
        self._replies: dict[int, Reply] = {}
        self._last = 0
        self._ready = False
        # Nothing can be sent any more.
        self.over = False
        # The host has no Python yet: the program never ran, and so no command did.
        self.absent = False
        self._receiver = gevent.spawn(self._receive)

    def run(self, command: str, stdin: str | None = None) -> Reply:
        """Begin a command at once."""
        number, reply = self._expect()
        return self._send([reply], frames.frame(number, RUN, frames.running(command, stdin)))[0]

    def ask(self, command: str) -> Reply:
        """Begin a command that only reads, at once."""
        number, reply = self._expect()
        return self._send([reply], frames.frame(number, RUN, frames.reading(command)))[0]

    def read(self, commands: list[str]) -> list[Reply]:
        """
        Begin commands that only read: in this order, as many at a time as the host has CPUs.

        Those of a program that answers several in one go, which says so by "alone", its first argument, are
        one with the first of them.
        """
        expected = [self._expect() for _ in commands]
        numbered = [(number, command) for (number, _), command in zip(expected, commands, strict=True)]
        return self._send([reply for _, reply in expected], frames.reads(numbered), only_reads=True)

    def _expect(self) -> tuple[int, Reply]:
        self._last += 1
        reply = self._replies[self._last] = Reply()
        return self._last, reply

    def drop(self) -> None:
        """End the reading commands that have not begun."""
        self._write(frames.frame(0, DROP))

    def _send(self, replies: list[Reply], data: bytes, only_reads: bool = False) -> list[Reply]:
        try:
            self._write(data, only_reads=only_reads)
        except (OSError, SSHException):
            self._receiver.join()
            if not self.absent:
                raise
            # The host has no Python: as for commands that were sent just before that was known.
            for reply in replies:
                reply.end(LOST)
        return replies

    def _write(self, data: bytes, only_reads: bool = False) -> None:
        # One at a time: the packer's state is what the other end unpacks with.
        with self._sending:
            if self.over:
                raise SSHException("the connection is lost")
            if only_reads and not self._begun:
                packed, packer = _packed_first(data)
                self._packer = packer.copy()
            else:
                packed = self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)
            self._begun = True
            self._channel.sendall(packed)

    def _receive(self) -> None:
        held = b""
        try:
            while piece := self._channel.recv(PIECE):
                held += piece
                while len(held) >= HEADER.size:
                    number, kind, length = HEADER.unpack_from(held)
                    if len(held) < HEADER.size + length:
                        break
                    self._take(number, kind, held[HEADER.size : HEADER.size + length])
                    held = held[HEADER.size + length :]
            # Nothing came, and the shell says that it found no such program.
            self.absent = not self._ready and self._channel.recv_exit_status() > 0
        except (OSError, EOFError, SSHException):
            pass  # what is under way ends below
        finally:
            self.over = True
            for reply in self._replies.values():
                reply.end(LOST)
            self._replies.clear()

    def _take(self, number: int, kind: int, payload: bytes) -> None:
        if kind == READY:
            self._ready = True
        elif kind == EXIT:
            self._replies.pop(number).end(int(payload))
        else:
            self._replies[number].add(kind, payload)


def stdin_text(given: Any) -> str | None:
    """Return what pyinfra would write to a command's standard input: whole lines."""
    if not given:
        return None
    lines = given.readlines() if hasattr(given, "readlines") else given
    if not isinstance(lines, list | tuple):
        lines = [lines]
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

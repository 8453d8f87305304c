"""Send one archive to a host: with its progress shown, and going on from where an earlier run was cut off."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from paramiko import SFTPClient, SSHException
from pyinfra import logger
from pyinfra.api import FunctionCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS

from facts.script import script

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.state import State

UPLOADS = "/var/lib/hostwright-upload"
# Below this, an upload is over before anybody wonders.
QUIET_BYTES = 5_000_000
# What servers take in one message at most; more is split up anyway.
BLOCK = 32768
STEP = 10
# The upload is made by the login itself: with these, pyinfra puts a second copy into /tmp, for all to read.
AS_OTHERS = ("_sudo", "_sudo_user", "_doas", "_doas_user", "_dzdo", "_dzdo_user", "_su_user")


class Kept(NamedTuple):
    """What an earlier run left on the host: size in bytes and digest."""

    size: int
    sha256: str


def place(app: str, sha256: str) -> str:
    """Return where an archive arrives on the host."""
    return f"{UPLOADS}/{app}/{sha256}.tar.gz"


def archive(path: str, app: str, sha256: str) -> FunctionCommand:
    """
    Build the step that sends an archive to `place(app, sha256)`, which only the login can enter.

    Goes on from what an earlier run left of the same archive, where its digest is that of our archive's
    beginning, and sends it anew where it is not. Above 5 MB it says how far it is. A connection without
    SFTP sends it whole.

    + path: the archive on this machine
    + app: names the directory on the host
    + sha256: digest of the archive

    Example: `yield upload.archive(str(made.path), "rec_io", made.sha256)`
    """
    return FunctionCommand(send, [path, app, sha256], {})


def send(state: State, host: Host, path: str, app: str, sha256: str) -> bool:
    """Send the archive; say what went wrong and return False where it did."""
    given: dict[str, Any] = dict(host.current_op_global_arguments or {})
    arguments: Any = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    size = Path(path).stat().st_size
    told = _Progress(host, size)
    try:
        done, output = host.run_shell_command(
            script("release-receive.sh", app, sha256, size),
            print_output=state.print_output, print_input=state.print_input, **arguments,
        )  # fmt: skip
        if not done:
            told.say(f"nothing was sent: {output.stderr or output.stdout}", logger.error)
            return False
        there, digest = output.stdout.split()
        client = _sftp(host)
        if client is None:
            own: Any = {key: value for key, value in arguments.items() if key not in AS_OTHERS}
            return bool(host.put_file(path, place(app, sha256), **own))
        with Path(path).open("rb") as source:
            begin = agreed(source, Kept(int(there), digest), told.say)
            told.begin(begin)
            _append(client, source, place(app, sha256), begin, told)
    except (OSError, EOFError, SSHException) as error:
        reason = str(error) or type(error).__name__
        told.say(f"the upload was cut off ({reason}); run again, it goes on from there", logger.error)
        return False
    return True


def agreed(source: IO[bytes], kept: Kept, say: Callable[[str], None]) -> int:
    """Return how many bytes of the source the host has already, and leave the source right behind them."""
    digest = hashlib.sha256()
    left = kept.size
    while left > 0 and (block := source.read(min(left, 1 << 20))):
        digest.update(block)
        left -= len(block)
    if kept.size == 0 or (left == 0 and digest.hexdigest() == kept.sha256):
        return kept.size
    say("what an earlier run sent is damaged; it is sent anew")
    source.seek(0)
    return 0


def steps(size: int, begin: int, step: int = STEP) -> Iterator[tuple[int, int]]:
    """Yield the (bytes, per cent) still to be told of, from where an upload begins to its end."""
    for percent in range(step, 101, step):
        at = -(-size * percent // 100)
        if at > begin:
            yield at, percent


class _Progress:
    def __init__(self, host: Host, size: int) -> None:
        self._host, self._size = host, size
        self._began = time.monotonic()
        self._begin = 0
        self._steps: Iterator[tuple[int, int]] = iter(())
        self._next: tuple[int, int] | None = None

    def say(self, text: str, log: Callable[[str], None] = logger.info) -> None:
        log(f"{self._host.print_prefix}{text}")

    def begin(self, at: int) -> None:
        self._begin, self._began = at, time.monotonic()
        if self._size > QUIET_BYTES:
            self._steps = steps(self._size, at)
            if at:
                self.say(f"{_mb(at)} of {_mb(self._size)} MB are there from an earlier run; sending the rest")
        self._next = next(self._steps, None)

    def at(self, sent: int) -> None:
        reached = None
        while self._next is not None and sent >= self._next[0]:
            reached, self._next = self._next[1], next(self._steps, None)
        if reached is not None:
            rate = (sent - self._begin) / max(time.monotonic() - self._began, 0.001)
            self.say(f"sent {reached} % of {_mb(self._size)} MB ({_mb(rate)} MB/s)")


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f}"


def _sftp(host: Host) -> SFTPClient | None:
    connect = getattr(host.connector, "get_file_transfer_connection", None)
    client = connect() if connect is not None else None
    return client if isinstance(client, SFTPClient) else None


def _append(client: SFTPClient, source: IO[bytes], target: str, begin: int, told: _Progress) -> None:
    # "r+": what is there stays, and each block has a place of its own, whatever was sent twice.
    with client.open(target, "r+b" if begin else "wb") as file:
        file.set_pipelined(True)
        file.seek(begin)
        sent = begin
        while block := source.read(BLOCK):
            file.write(block)
            sent += len(block)
            told.at(sent)
    there = client.stat(target).st_size
    if there != sent:
        raise OSError(f"{there} of {sent} bytes arrived")

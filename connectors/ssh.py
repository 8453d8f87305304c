"""pyinfra's SSH connector, over one channel that stays open, asking a host everything at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyinfra.api.host
from gevent.local import local
from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.output import echo
from pyinfra.api.state import StateStage
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import (
    CommandOutput,
    OutputLine,
    execute_command_with_sudo_retry,
    make_unix_command_for_host,
    read_output_buffers,
)
from typing_extensions import Unpack, override

from connectors.channel import Channel, Reply, stdin_text
from connectors.fact_cache import FactCache, file_of
from connectors.frames import ERR, OUT

if TYPE_CHECKING:
    from pyinfra.api.arguments import ConnectorArguments
    from pyinfra.api.host import Host

# In the environment of each command of a run, and different each time; no fact reads them.
OF_ONE_RUN = {"HOSTWRIGHT_RUN"}


class _Doing(local):  # type: ignore[misc]  # it comes without types
    """What the greenlet at hand does: a host's steps and its signs of life have one each."""

    reading = 0
    aside = False


_doing = _Doing()


@contextmanager
def aside() -> Iterator[None]:
    """
    Run commands that change nothing which a fact reads, such as taking the lock of a run.

    Example: `with aside(): host.run_shell_command(StringCommand("touch /run/lock"))`
    """
    before, _doing.aside = _doing.aside, True
    try:
        yield
    finally:
        _doing.aside = before


@contextmanager
def _helping() -> Iterator[None]:
    """Take for changes what pyinfra runs by itself: its helper for sudo's password leaves a file behind."""
    before, _doing.reading = _doing.reading, 0
    try:
        yield
    finally:
        _doing.reading = before


def expire(host: Host, seconds: float) -> None:
    """
    Tell that nobody else has worked on a host for so long; what it answered before that is forgotten.

    + seconds: as the host tells, at the moment that the run's lock was taken

    Example: `expire(host, 3.2)`
    """
    facts = getattr(host.connector, "facts", None)
    if facts is not None:
        facts.expire(seconds)


class FastSSHConnector(SSHConnector):
    """
    pyinfra's SSH connector, with fewer round trips; all that it takes and gives is the same.

    - TCP_NODELAY is set: paramiko leaves Nagle's algorithm on, and each command then waits 40 ms for a
      delayed acknowledgement.
    - Commands go through one channel that stays open, to a program that runs each as sshd would: one round
      trip instead of two. Those that want a terminal, or a password for sudo or su, go their own way as
      ever, and so does every command on a host that has no Python yet.
    - All facts that a run like this one asked for the last time are asked for as soon as the host is
      connected, in one go. The rules of that are `connectors.fact_cache.FactCache`'s.

    + about: what tells this kind of run from others; set by `install`
    """

    about: ClassVar[tuple[str, ...] | None] = None
    _channel: Channel | None = None
    facts: FactCache | None = None

    @override
    def connect(self) -> None:
        """Connect, and have the program run at the other end."""
        super().connect()
        transport = self.client.get_transport() if self.client is not None else None
        if transport is None:
            return
        if isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.host.connector is not self:
            return  # a login that is to prove that one gets in: it runs one command
        self._channel = Channel(transport)
        if self.facts is not None:
            self.facts.invalidate()
            return
        self.facts = FactCache(self._file())
        commands, now = self.facts.to_prefetch(), time.monotonic()
        if not commands:
            return
        for command, reply in zip(commands, self._channel.read(commands), strict=True):
            self.facts.put(command, reply, now)

    def _file(self) -> Path | None:
        if self.about is None:
            return None
        data = [str(self.data[key]) for key in ("ssh_hostname", "ssh_port", "ssh_user")]
        return file_of(*self.about, self.host.name, *data)

    @override
    def disconnect(self) -> None:
        """Keep what was asked, where the run came to its end."""
        super().disconnect()
        if self.facts is not None and self._is_over():
            self.facts.save()

    def _is_over(self) -> bool:
        results = self.state.results[self.host]
        whole = results.success_ops == len(self.state.ops[self.host])
        return whole if self.state.current_stage == StateStage.Execute else not results.error_ops

    @override
    def put_file(self, *arguments: Any, **more: Any) -> bool:
        """Upload a file: a change."""
        self._changed()
        return super().put_file(*arguments, **more)

    @override
    def rsync(self, *arguments: Any, **more: Any) -> Any:
        """Upload with rsync: a change."""
        self._changed()
        return super().rsync(*arguments, **more)

    def _changed(self) -> None:
        if _doing.aside or self.facts is None:
            return
        if self.facts.invalidate() and self._channel is not None:
            self._channel.drop()

    @override
    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> tuple[bool, CommandOutput]:
        """Run a command; where it is a fact's, the answer may be there already."""
        reading = _doing.reading > 0 and not arguments.get("_stdin")
        if not reading:
            self._changed()
        if self._channel is not None and self._channel.over:
            self._channel = None
        secret = arguments.get("_sudo_password") or arguments.get("_su_password") or self._prompted()
        if self._channel is None or secret or arguments.get("_get_pty"):
            with _helping():
                return super().run_shell_command(command, print_output, print_input, **arguments)
        given: dict[str, Any] = {**arguments}
        timeout, stdin = given.pop("_timeout", None), given.pop("_stdin", None)
        given.pop("_get_pty", None)
        codes = given.pop("_success_exit_codes", None) or [0]
        if reading:
            env = given.get("_env") or {}
            given["_env"] = {key: value for key, value in env.items() if key not in OF_ONE_RUN}
        absent = False

        def execute() -> tuple[int, CommandOutput]:
            nonlocal absent
            with _helping():
                unix = make_unix_command_for_host(self.state, self.host, command, **given)
            if print_input:
                echo(f"{self.host.print_prefix}>>> {unix}", err=True)
            logger.debug("Running command on %s: %s", self.host.name, unix)
            raw = unix.get_raw_value()
            # Asked for a password meanwhile, it is in there.
            asking = reading and not self._prompted()
            reply = self._ask(raw, timeout) if asking else self._through().run(raw, stdin_text(stdin))
            output = (
                _all_of(reply)
                if reply.ended() and not print_output
                else read_output_buffers(
                    reply.lines(OUT), reply.lines(ERR),
                    timeout=timeout, print_output=print_output, print_prefix=self.host.print_prefix,
                )
            )  # fmt: skip
            absent = self._through().absent
            return reply.code(), output

        code, output = execute_command_with_sudo_retry(self.host, arguments, execute)
        if absent:
            # The program never ran, and so nothing did.
            self._channel = None
            return super().run_shell_command(command, print_output, print_input, **arguments)
        return code in codes, output

    def _prompted(self) -> Any:
        return self.host.connector_data.get("prompted_sudo_password")

    def _through(self) -> Channel:
        if self._channel is None:
            raise RuntimeError("the connector is not connected")
        return self._channel

    def _ask(self, command: str, timeout: float | None) -> Reply:
        """Return the reply to a fact's command: one that is here, or that it is asked for now."""
        facts, channel = self.facts, self._through()
        if facts is None:
            return channel.ask(command)
        known = facts.get(command, self.host.current_op_hash)
        if known is not None and known.code(timeout) == 0:
            return known
        now = time.monotonic()
        reply = channel.ask(command)
        facts.put(command, reply, now)
        facts.get(command, self.host.current_op_hash)
        return reply


def _all_of(reply: Reply) -> CommandOutput:
    """Return what pyinfra's own reading comes to, where there is nothing to wait for and nothing to print."""
    kinds = (("stdout", OUT), ("stderr", ERR))
    return CommandOutput(
        [OutputLine(name, line.rstrip("\n")) for name, kind in kinds for line in reply.lines(kind)]
    )


def _reading(get_fact: Any) -> Any:
    @wraps(get_fact)
    def counted(*arguments: Any, **more: Any) -> Any:
        _doing.reading += 1
        try:
            return get_fact(*arguments, **more)
        finally:
            _doing.reading -= 1

    return counted


def install(hosts: Iterable[Host], *about: str) -> None:
    """
    Have hosts that pyinfra would reach by its own SSH connector be reached by this one.

    + hosts: before pyinfra connects to them
    + about: what tells this kind of run from others: what is asked once is asked again the next time

    Example: `install(inventory, "inventories/staging.py", "deploy.py")`
    """
    kind = type("FastSSHConnector", (FastSSHConnector,), {"about": about})
    for host in hosts:
        if host.connector_cls is SSHConnector:
            host.connector_cls = kind
    if not hasattr(pyinfra.api.host.get_fact, "__wrapped__"):
        pyinfra.api.host.get_fact = _reading(pyinfra.api.host.get_fact)

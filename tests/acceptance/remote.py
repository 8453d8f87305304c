"""One SSH connection to a host, shared by everything that looks at it."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import testinfra  # type: ignore[import-untyped]  # it has no types
from testinfra.host import Host  # type: ignore[import-untyped]  # it has no types

from declared import DeclaredHost

__all__ = ["Host", "Remote", "Secret", "UnreachableError", "answers"]

PROGRAMS = Path(__file__).with_name("host")
IMPORT = re.compile(r"^from tests\.acceptance\.host\.common import .*$", re.MULTILINE)
CONNECT_SECONDS = 8
# Reading a whole tree, or compressing a day's logs, takes a while on a small machine.
COMMAND_SECONDS = 180


class UnreachableError(Exception):
    """The host does not answer, or does not let this login in."""


class Secret:
    """A value that is never shown: not by assertions, not by --showlocals, not by a log."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> str:
        """Return the value, for the one call that needs it."""
        return self._value


class Remote:
    """
    A host, reached as pyinfra reaches it.

    + declared: the host
    + directory: of this run alone, short: the control socket is in it
    """

    def __init__(self, declared: DeclaredHost, directory: Path) -> None:
        self.declared = declared
        self._config = directory / f"{declared.name}.conf"
        self._config.write_text(_ssh_config(declared, directory), encoding="utf-8")

    def open(self) -> None:
        """
        Log in, once for all that follows.

        Raises UnreachableError with what ssh or sudo said.
        """
        try:
            done = self.run("true", timeout=CONNECT_SECONDS * 2)
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"{self.declared.name}: no login within {CONNECT_SECONDS * 2} s") from None
        if done.returncode != 0:
            said = done.stderr.strip() or f"exit code {done.returncode}"
            raise UnreachableError(
                f"{self.declared.name} ({self.declared.address}) cannot be reached: {said}"
            )

    def close(self) -> None:
        """End the shared connection."""
        subprocess.run(self._ssh("-O", "exit"), capture_output=True, check=False)

    @cached_property
    def host(self) -> Host:
        """The host as testinfra sees it, as root."""
        return testinfra.get_host(
            f"ssh://{self.declared.name}", ssh_config=str(self._config), sudo=self.declared.sudo
        )

    def run(
        self, *argv: str, stdin: str = "", timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a command as root and return what it said, whatever its exit code; nothing of it is logged.

        + argv: program and arguments
        + stdin: text for its standard input, default none
        + timeout: seconds, default 180
        """
        words = ["sudo", "-n", *argv] if self.declared.sudo else argv
        return subprocess.run(
            [*self._ssh(), shlex.join(words)],
            input=stdin, text=True, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip

    def look(self, program: str, about: object) -> Any:
        """
        Run a program of `host/` as root with the host's Python, and return the JSON that it prints.

        + program: file name
        + about: what it is to look at, as JSON in its last argument; never a secret

        Raises AssertionError with what it said when it fails.
        """
        done = self.run("python3", "-I", "-", json.dumps(about), stdin=_program(program))
        if done.returncode != 0:
            raise AssertionError(f"{program} failed on {self.declared.name}:\n{done.stderr}")
        return json.loads(done.stdout)

    def sql(self, statement: str, database: str, about: object = None) -> Any:
        """
        Run one query as the database's superuser and return its JSON.

        + statement: gives one row of one JSON value; `:'about'` is the JSON of `about`
        + database: name
        """
        psql = (
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", f"about={json.dumps(about)}",
            "-p", str(self.declared.settings.postgresql.port), "-d", database,
        )  # fmt: skip
        done = self.run("env", "-C", "/", "runuser", "-u", "postgres", "--", *psql, stdin=statement)
        if done.returncode != 0:
            raise AssertionError(f"PostgreSQL on {self.declared.name}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def secret(self, env_file: str, variable: str) -> Secret:
        """Return the value of one variable of an environment file."""
        about = json.dumps([env_file, variable])
        done = self.run("python3", "-I", "-", about, stdin=_program("one_variable.py"))
        if done.returncode != 0:
            raise AssertionError(f"{env_file} has no usable {variable}: {done.stderr.strip()}")
        return Secret(done.stdout)

    def secret_in(self, path: str, *keys: str) -> Secret:
        """Return one value of a JSON file."""
        about = json.dumps([path, keys])
        done = self.run("python3", "-I", "-", about, stdin=_program("one_value.py"))
        if done.returncode != 0:
            raise AssertionError(f"{path} has no usable {'.'.join(keys)}")
        return Secret(done.stdout)

    @contextmanager
    def tunnel(self, address: str, port: int) -> Iterator[int]:
        """Forward a free port of this machine to an address as the host sees it; give that port."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            here = free.getsockname()[1]
        forward = f"127.0.0.1:{here}:{address}:{port}"
        done = subprocess.run(
            self._ssh("-O", "forward", "-L", forward), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"no SSH tunnel to {address}:{port}: {done.stderr.strip()}")
        try:
            yield here
        finally:
            subprocess.run(self._ssh("-O", "cancel", "-L", forward), capture_output=True, check=False)

    def methods_offered(self) -> list[str]:
        """Return how sshd lets people log in, as it tells a stranger who has no key."""
        done = subprocess.run(
            self._ssh("-v", "-o", "ControlPath=none", "-o", "PreferredAuthentications=none", "--", "true"),
            capture_output=True, text=True, timeout=CONNECT_SECONDS * 2, check=False,
        )  # fmt: skip
        for line in done.stderr.splitlines():
            if "Authentications that can continue:" in line:
                return line.rpartition(":")[2].strip().split(",")
        raise AssertionError(f"sshd did not say how to log in:\n{done.stderr}")

    def _ssh(self, *words: str) -> list[str]:
        options = [word for word in words if word not in ("--", "true")]
        command = ["true"] if "true" in words else []
        return ["ssh", "-F", str(self._config), *options, self.declared.name, *command]


@cache
def _program(file: str) -> str:
    """Put what all programs share in front of one, in place of its import."""
    common, text = ((PROGRAMS / one).read_text(encoding="utf-8") for one in ("common.py", file))
    return common + IMPORT.sub("", text)


def _ssh_config(declared: DeclaredHost, directory: Path) -> str:
    data = declared.data
    lines = {
        "HostName": declared.address,
        "Port": data.get("ssh_port") or 22,
        "User": data.get("ssh_user"),
        "IdentityFile": data.get("ssh_key"),
        "IdentitiesOnly": "yes" if data.get("ssh_key") else None,
        # pyinfra's own defaults, so that what it can reach this can too.
        "UserKnownHostsFile": data.get("ssh_known_hosts_file"),
        "StrictHostKeyChecking": data.get("ssh_strict_host_key_checking") or "accept-new",
        "BatchMode": "yes",
        "ConnectTimeout": CONNECT_SECONDS,
        "ServerAliveInterval": 15,
        "LogLevel": "ERROR",
        "ControlMaster": "auto",
        "ControlPath": directory / "%C",
        "ControlPersist": "60s",
        "Include": data.get("ssh_config_file"),
    }
    body = "\n".join(f'  {key} "{value}"' for key, value in lines.items() if value is not None)
    return f"Host {declared.name}\n{body}\n"


def answers(address: str, port: int, seconds: float = 2.0) -> str:
    """
    Say what a TCP connection from this machine comes to: "open", or why it is not.

    + address, port: where to
    + seconds: to wait, default 2; a firewall that drops packets gives no answer at all
    """
    try:
        with socket.create_connection((address, port), timeout=seconds):
            return "open"
    except TimeoutError:
        return f"no answer in {seconds:g} s"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)

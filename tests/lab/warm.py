"""
pyinfra, imported once for many runs: each is a fork that goes on where its command line begins.

The import takes 0.7 s of a core, some thousand times in a session. What a fork runs is the same program with
the same arguments, directory and environment.

As a program it reads one request a line, JSON: "argv", "cwd", "env", and "place", a directory that has the
files "out" and "err", and gets "pid" and, once the run has ended, "rc".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

POLL = 0.02


@cache
def _server(_pid: int) -> subprocess.Popen[str]:
    # It ends with its standard input, and so with us.
    return subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, text=True)


def run(argv: list[str], *, cwd: Path, env: dict[str, str], timeout: float) -> tuple[int, str, str]:
    """
    Run pyinfra's command line in a fork; return its exit code and what it said on both ways.

    + argv: its arguments, without the program
    + cwd: working directory
    + env: whole environment
    + timeout: seconds before it is killed

    Raises subprocess.TimeoutExpired.
    """
    with tempfile.TemporaryDirectory(prefix="hostwright-said-") as made:
        place = Path(made)
        channel = _server(os.getpid()).stdin
        if channel is None:
            raise RuntimeError("the warm pyinfra has no standard input")
        channel.write(json.dumps({"argv": argv, "cwd": str(cwd), "env": env, "place": made}) + "\n")
        channel.flush()
        try:
            _appears(place / "rc", timeout)
        except BaseException:
            _appears(place / "pid", 10)
            if not (place / "rc").exists():
                os.kill(int((place / "pid").read_text()), signal.SIGKILL)
            _appears(place / "rc", 10)
            raise
        stdout, stderr = ((place / name).read_text(encoding="utf-8") for name in ("out", "err"))
        return int((place / "rc").read_text()), stdout, stderr


def _appears(path: Path, timeout: float) -> None:
    end = time.monotonic() + timeout
    while not path.exists():
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired("pyinfra", timeout)
        time.sleep(POLL)


def _note(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def _become(request: dict[str, object]) -> int:
    """Run the command line in this process, which is a fork, and return its exit code."""
    from pyinfra_cli.main import main  # type: ignore[import-untyped]  # by the parent already

    place = Path(str(request["place"]))
    os.setsid()
    for name, descriptor in (("/dev/null", 0), (str(place / "out"), 1), (str(place / "err"), 2)):
        file = os.open(name, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]  # as it came from JSON
    os.chdir(str(request["cwd"]))
    sys.argv = ["pyinfra", *request["argv"]]  # type: ignore[misc]  # as it came from JSON
    # As an interpreter that starts now would have it.
    given = [part for part in os.environ.get("PYTHONPATH", "").split(":") if part]
    sys.path[:1] = [str(Path(sys.executable).parent), *given]
    try:
        # What the program `pyinfra` does.
        sys.exit(main())
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve() -> None:
    """Fork for each line of standard input, until it ends."""
    import pyinfra_cli.main  # type: ignore[import-untyped]  # noqa: F401  # what all of this is for
    from gevent.monkey import get_original

    # gevent's own would start its loop here, before the fork.
    fork, waitpid = get_original("os", ["fork", "waitpid"])
    pending = b""
    while True:
        read = os.read(0, 65536)
        if not read:
            return
        *lines, pending = (pending + read).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if fork() != 0:
                continue
            run = fork()
            if run == 0:
                code = 1
                try:
                    code = _become(request)
                except BaseException:  # an interpreter would print it and exit with 1
                    sys.excepthook(*sys.exc_info())
                os._exit(code)
            place = Path(request["place"])
            _note(place / "pid", str(run))
            _, status = waitpid(run, 0)
            _note(place / "rc", str(os.waitstatus_to_exitcode(status)))
            os._exit(0)


if __name__ == "__main__":
    serve()

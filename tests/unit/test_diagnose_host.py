"""`files/host/diagnose.py`: run for real on this machine, on processes and files that are there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnostics.model import read
from facts.script import text
from tests.unit.backup_program import load

host = load("diagnose.py")
BURN = "import os, time\nif os.fork() == 0:\n  while True: pass\ntime.sleep(60)"
SPEC: dict[str, Any] = {"sample": 1, "cluster": None, "databases": [], "places": ["/tmp"], "apps": {}}


@pytest.fixture
def burning() -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps, with a child that does nothing but burn."""
    process = subprocess.Popen([sys.executable, "-c", BURN], start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_the_whole_program_gives_what_is_published(tmp_path: Path) -> None:
    program = tmp_path / "diagnose.py"
    program.write_text(text("diagnose.py"), encoding="utf-8")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", str(program), json.dumps(SPEC)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    about = {"id": "20260101T000000Z-aaaaaa", "environment": "lab", "host": "here", "purpose": "test"}
    one = read({**found, **about, "ahead": 0.0}, "this machine")
    assert one.sampled == pytest.approx(1, abs=0.5)
    assert one.machine is not None
    assert one.machine.memory.total > one.machine.memory.available > 0
    assert one.machine.filesystems[0].place == "/"
    assert one.others
    assert time.monotonic() - began < 1 + 10
    # It knows itself: what looks is not part of what is seen.
    assert not [row for group in one.others.values() for row in group.processes if row.name == "diagnose.py"]


def test_it_fits_into_one_argument() -> None:
    """Linux takes 128 KiB; quotes of the shell around it are counted twice."""
    assert len(text("diagnose.py").replace("'", "'\"'\"'").replace("'", "'\"'\"'")) < 100_000


def test_a_service_is_its_whole_tree(burning: subprocess.Popen[bytes]) -> None:
    one = host.all_processes()[burning.pid]
    groups = host.Groups({host.unit_of(one): {burning.pid: "burner"}})
    found = host.sample(groups, 1.0, 4)["groups"][f"{host.unit_of(one)}:burner"]
    assert len(found["cpu"]) == 4
    # However busy this machine is: the child has all of it, the parent none.
    child, parent = (row["cpu"] for row in found["processes"])
    assert child > 2 > parent
    assert sum(found["cpu"]) / 4 == pytest.approx(child + parent, rel=0.5)
    assert found["count"] == 2
    assert found["memory"][-1] > 1 << 20
    assert {row["name"] for row in found["processes"]} <= {"python", Path(sys.executable).resolve().name[:15]}
    # Names, and nothing of how it was started.
    assert "while True" not in json.dumps(found)


def process(pid: int, own: int, ended: int = 0) -> Any:
    return host.Process(pid, "x", 1, pid, own, own + ended, 1, 1, 4096)


def test_time_of_children_that_ended_is_counted_once() -> None:
    parent, child = process(1, 10), process(2, 50)
    assert host.used_ticks([parent, child], [process(1, 12, ended=60)]) == 12
    # One that left for another parent takes its time along; nothing is negative.
    assert host.used_ticks([process(1, 10), process(2, 500)], [process(1, 15)]) == 5
    assert host.used_ticks([], [process(3, 7)]) == 7


def log(path: Path, every: float, seconds: int, *, size: int = 50, now: float) -> None:
    lines = []
    for number in range(int(seconds / every)):
        at = now - seconds + number * every
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
        lines.append(f"{stamp} INFO x ".ljust(size - 1, "."))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_log_is_counted_by_the_times_of_its_lines(tmp_path: Path) -> None:
    now = time.time()
    log(tmp_path / "a.log", 1.0, 300, now=now)
    found = host.file_logs([str(tmp_path / "a.log"), str(tmp_path / "none.log")], now - 1000, now)
    assert found["seconds"] == 60
    assert sum(found["rate"]) / len(found["rate"]) == pytest.approx(50, rel=0.05)
    assert found["bytes"] == 300 * 50


def test_what_it_says_while_it_starts_does_not_count(tmp_path: Path) -> None:
    now = time.time()
    (tmp_path / "a.log").write_text("2020-01-01 00:00:00 old\n" * 1000, encoding="utf-8")
    found = host.file_logs([str(tmp_path / "a.log")], now - 10, now)
    assert found["seconds"] == 8
    assert found["rate"] == [0.0] * 8
    assert host.file_logs([str(tmp_path / "a.log")], now - 2.5, now)["rate"] == []


def test_errors_are_counted_and_links_are_not_followed(tmp_path: Path) -> None:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 5))
    (tmp_path / "a.log").write_text(f"{stamp} ERROR a\nTraceback (most recent)\n{stamp} INFO b\n")
    (tmp_path / "b.log").symlink_to(tmp_path / "a.log")
    assert host.file_logs([str(tmp_path / "a.log")], now - 100, now)["errors"] == 2
    assert host.file_logs([str(tmp_path / "b.log")], now - 100, now)["errors"] == 0


def test_how_a_supervisor_is_closed(tmp_path: Path) -> None:
    config, part = tmp_path / "supervisord.conf", tmp_path / "a.conf"
    config.write_text(
        "[unix_http_server]\nfile = /tmp/s.sock ; comment\n[inet_http_server]\nport = *:9001\n"
        f"[include]\nfiles = {part}\n"
    )
    part.write_text(
        "[program:a]\ncommand = python x\ndirectory = /opt/a\nstdout_logfile = logs/%(program_name)s\n"
    )
    found = host.hardening({"config": str(config)}, os.getpid())
    said = " ".join(found["findings"])
    for words in ("/tmp/s.sock: in /run", "is not there", "inet_http_server", "a command is a relative path"):
        assert words in said
    assert found["relative"] == ["a command", "a stdout_logfile"]
    assert host.weaknesses({**found, "socket": "/run/a/s", "mode": "0770", "over_network": False,
                            "user": "app", "relative": []}) == []  # fmt: skip
    assert "0777" in host.weaknesses({**found, "mode": "0777"})[1]


def test_a_part_that_fails_does_not_hide_the_rest() -> None:
    host.PROBLEMS.clear()
    assert host.guarded("updates", host.run, "false") is None
    assert host.guarded("clock", host.read, "/no/such") is None
    assert host.PROBLEMS[0] == "updates: OSError: false ended with 1"
    host.PROBLEMS.clear()


def test_nothing_of_a_host_does_anything_to_a_terminal() -> None:
    assert host.printable("a\x1b[31mb\nc") == "a?[31mb?c"
    assert len(host.printable("x" * 999)) == 200


def test_updates_are_what_apt_has_a_newer_version_of() -> None:
    policy = """\
openssl:
  Installed: 3.0.1
  Candidate: 3.0.2
  Version table:
     3.0.2 500
        500 http://security.debian.org/debian-security bookworm-security/main amd64 Packages
 *** 3.0.1 100
        100 /var/lib/dpkg/status
curl:
  Installed: 7.1
  Candidate: 7.2
  Version table:
     7.2 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
 *** 7.1 500
        500 http://security.debian.org/debian-security bookworm-security/main amd64 Packages
        100 /var/lib/dpkg/status
bash:
  Installed: 5.2
  Candidate: 5.2
  Version table:
 *** 5.2 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
"""
    assert host.pending_of(policy) == {"openssl": True, "curl": False}

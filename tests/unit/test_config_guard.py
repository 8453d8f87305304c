"""The guard of configuration files, run for real on directories of its own; it needs root, and fanotify."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from facts.script import text

SECRET = "s3cr3t-of-the-host"
WRITE = """
import os, sys
with open(sys.argv[1], "r+") as file:
    os.setuid(int(sys.argv[2]))
    file.write(sys.argv[3])
    file.truncate()
sys.stdin.read()
"""
NOBODY = 65534
RUN = "20260101T000000Z-aaaaaa"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="fanotify tells root alone who it was")


class Host:
    """A directory with an app's configuration, and a guard at work on it."""

    def __init__(self, root: Path) -> None:
        self.root, self.etc, self.declaration = root, root / "etc", root / "guard.json"
        self.records, self.run = root / "changes.jsonl", root / "run"
        self.lock, self.local, self.env = root / "lock", self.etc / "config.local.json", self.etc / "env"
        self.etc.mkdir()
        self.local.write_text('{"a": 1}\n')
        self.env.write_text(f"A_PORT=1\nA_PASS={SECRET}\n")
        self.env.chmod(0o600)
        places = {
            "manifest": root / "manifest.json", "stopped": root / "stopped", "records": self.records,
            "run": self.run, "lock": self.lock, "trial": root / "trial",
        }  # fmt: skip
        self.beside = root / "beside/one.conf"  # in a directory of which nothing else is watched
        self.beside.parent.mkdir()
        self.beside.write_text("x=1\n")
        app = {"trees": [str(self.etc), str(self.beside)], "files": [str(root / "units/shop*.service")]}
        app |= {"shown": [str(self.local)], "kept": [str(self.local)]}
        (root / "units").mkdir()
        declared = {"apps": {"shop": app}, "places": {key: str(path) for key, path in places.items()}}
        self.declaration.write_text(json.dumps(declared))
        self.process: subprocess.Popen[str] | None = None
        self.program = text("config-guard.py")

    def start(self) -> None:
        (self.run / "ready").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", self.program, str(self.declaration)],
            text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        wait(lambda: (self.run / "ready").exists())

    def end(self, number: int = signal.SIGTERM) -> str:
        assert self.process is not None
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=10)
        return said

    def control(self, verb: str) -> str:
        words = [sys.executable, "-I", "-c", text("config-guard-control.py"), verb, str(self.declaration)]
        return subprocess.run(words, text=True, capture_output=True, check=True).stdout

    def seen(self) -> list[dict[str, Any]]:
        """Have the guard write down what it has seen, and return all of it."""
        assert self.process is not None
        (self.run / "ack").unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        wait(lambda: (self.run / "ack").exists())
        return (
            [json.loads(line) for line in self.records.read_text().splitlines()]
            if self.records.exists()
            else []
        )

    def write(self, path: Path, content: str, *, uid: int = 0, env: dict[str, str] | None = None) -> int:
        """Have another process write a file, and live on until the guard has seen that."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WRITE, str(path), str(uid), content],
            stdin=subprocess.PIPE, env=env,
        )  # fmt: skip
        wait(lambda: path.read_text() == content)
        time.sleep(0.05)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=10)
        return process.pid


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    made.start()
    made.control("accept")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


def test_who_wrote_a_file_and_what(host: Host) -> None:
    pid = host.write(host.local, '{"a": 2}\n')
    (one,) = host.seen()
    assert (one["path"], one["app"], one["did"]) == (str(host.local), "shop", ["written"])
    assert (one["who"]["pid"], one["who"]["user"]) == (pid, "root")
    assert one["who"]["exe"] == os.path.realpath(sys.executable)
    assert one["who"]["chain"][0].endswith(f"({os.getpid()})")
    assert one["difference"] == ['-{"a": 1}', '+{"a": 2}']
    assert abs(one["at"] - time.time()) < 10
    assert oct(host.records.stat().st_mode & 0o7777) == "0o600"
    told = json.loads(host.control("changes"))
    assert [change["path"] for change in told["changes"]] == [str(host.local)]
    assert f"PID {pid}" in told["changes"][0]["told"]
    assert told["differs"][str(host.local)]["put_back"] is False
    assert f"PID {pid}" in host.end()


def test_a_service_of_supervisors_is_named(host: Host) -> None:
    host.write(host.local, "{}\n", env={"SUPERVISOR_PROCESS_NAME": "feed", "A_PASS": SECRET})
    (one,) = host.seen()
    assert one["who"]["service"] == "feed"
    assert SECRET not in host.records.read_text()


def test_of_a_secret_only_the_keys_are_told(host: Host) -> None:
    host.write(host.env, "A_PORT=1\nA_PASS=another-secret\nA_NEW=3\n")
    (one,) = host.seen()
    assert one["difference"] == ["A_NEW: new", "A_PASS: another value"]
    kept = host.records.read_text() + (host.root / "manifest.json").read_text()
    assert SECRET not in kept + host.end() + host.control("changes")
    assert "another-secret" not in kept


@pytest.mark.parametrize(
    ("command", "path", "did", "changed"),
    [
        ("cp {0} {1}/.new && mv {1}/.new {0}", "config.local.json", "renamed into place", []),
        ("chmod 0644 {1}/env", "env", "attributes", ["mode 0600 → 0644"]),
        ("rm {1}/env", "env", "deleted", ["not there any more"]),
        ("touch {1}/more.json", "more.json", "created", ["new"]),
        ("touch -d yesterday {1}/env", "env", "attributes", []),
        ("mv {1}/env {1}/env.old", "env", "renamed away", ["not there any more"]),
        ("rm {1}/env && ln -s /etc/hostname {1}/env", "env", "created, deleted", ["a file → a link"]),
        ("echo > {1}/../units/shop-web.service", "../units/shop-web.service", "written", ["new"]),
        ("echo x=2 > {1}/../beside/one.conf", "../beside/one.conf", "written", ["content"]),
        ("printf '{{\"a\": 1}}\\n' > {0}", "config.local.json", "written", []),
    ],
)
def test_each_kind_of_change(host: Host, command: str, path: str, did: str, changed: list[str]) -> None:
    subprocess.run(["sh", "-c", command.format(host.local, host.etc)], check=True)
    place = os.path.normpath(host.etc / path)
    mine = [one for one in host.seen() if one["path"] == place]
    assert mine
    assert {word for one in mine for word in one["did"]} >= set(did.split(", "))
    assert [word for one in mine for word in one["changed"]] == changed


@pytest.mark.parametrize(
    "command",
    [
        "cat {0} {1}/env >/dev/null",
        "true <>{0}",
        "touch {1}/.swap && rm {1}/.swap",
        "echo > {1}/../units/other.service",
        "touch {1}/../beside/two.conf",
    ],
)
def test_what_changes_nothing_is_not_recorded(host: Host, command: str) -> None:
    subprocess.run(["sh", "-c", command.format(host.local, host.etc)], check=True)
    assert host.seen() == []


def test_a_directory_that_is_renamed_and_one_that_is_new(host: Host) -> None:
    subprocess.run(["sh", "-c", f"mkdir {host.etc}/sub; sleep 0.1; echo 1 > {host.etc}/sub/one"], check=True)
    assert {one["path"] for one in host.seen()} == {str(host.etc / "sub"), str(host.etc / "sub/one")}
    subprocess.run(["sh", "-c", f"mv {host.etc} {host.etc}.away; sleep 0.2"], check=True)
    gone = {one["path"]: one for one in host.seen() if one["now"] is None}
    assert {str(host.local), str(host.env), str(host.etc / "sub/one")} <= set(gone)
    (host.etc.parent / "etc.away").rename(host.etc)
    time.sleep(0.2)
    pid = host.write(host.local, "{}\n")
    one = host.seen()[-1]
    assert (one["who"]["pid"], one["difference"]) == (pid, ['-{"a": 1}', "+{}"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_changed_while_no_guard_was_at_work(host: Host, number: int) -> None:
    before = time.time()
    host.end(number)
    time.sleep(0.05)
    host.local.write_text('{"a": 3}\n')
    host.env.unlink()
    host.start()
    found = {one["path"]: one for one in host.seen()}
    assert set(found) == {str(host.local), str(host.env)}
    one = found[str(host.local)]
    assert one["who"] is None
    assert one["between"][0] - 0.5 < before < one["at"] < one["between"][1]
    assert one["difference"] == ['-{"a": 1}', '+{"a": 3}']
    told = [change["told"] for change in json.loads(host.control("changes"))["changes"]]
    assert all("while the guard was not running, between" in line for line in told)
    # What is recorded is not recorded again.
    host.end()
    host.start()
    assert len(host.seen()) == 2


def test_what_a_run_writes_is_its_own(host: Host) -> None:
    host.lock.write_text(f"run={RUN}\nowner=ann\nsession={os.getpid()} {started(os.getpid())}\n")
    host.write(host.local, '{"a": 4}\n')  # we are the login that the run came through
    (one,) = host.seen()
    assert one["run"] == RUN
    host.control("accept")
    assert json.loads(host.control("changes"))["changes"] == []


def test_others_are_not_the_run(host: Host) -> None:
    """Neither somebody else who is at work meanwhile, nor a service of the app that calls itself the run."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        host.lock.write_text(f"run={RUN}\nsession={sleeper.pid} {started(sleeper.pid)}\n")
        subprocess.run(["sh", "-c", f"echo '{{}}' > {host.env}; : > {host.etc}/more; sleep 0.2"], check=True)
        tagged = {"HOSTWRIGHT_RUN": RUN}
        host.write(host.local, "{}\n", env=tagged, uid=NOBODY)
        host.write(host.local, "{ }\n", env=tagged)
        whose = [(one["who"]["user"], one.get("run")) for one in host.seen()]
        assert whose == [("root", None), ("root", None), ("nobody", None), ("root", RUN)]
        said = host.control("accept")
        assert f"NOT accepted: {host.env}" in said
        assert str(host.local) not in said  # the run had the last word
        found = json.loads(host.control("changes"))
        more = str(host.etc / "more")
        assert {one["path"] for one in found["changes"]} == {str(host.env), more, str(host.local)}
        assert {path: one["changed"] for path, one in found["differs"].items()} == {
            str(host.env): ["content"],
            more: ["new"],
        }
    finally:
        sleeper.kill()
        sleeper.wait()
    # The run has ended: the next one forgives what was before it.
    host.lock.unlink()
    said = host.control("accept")
    assert f"accepted as it is now: {host.env}" in said
    found = json.loads(host.control("changes"))
    assert (found["changes"], found["differs"]) == ([], {})


def test_an_undo_of_what_was_accepted_brings_back_what_was_before(host: Host) -> None:
    manifest = host.root / "manifest.json"
    former = manifest.read_bytes()
    host.lock.write_text(f"run={RUN}\nsession={os.getpid()} {started(os.getpid())}\n")
    host.write(host.local, '{"a": 5}\n')
    host.control("accept")
    host.write(host.local, '{"a": 1}\n')
    manifest.with_suffix(".undo").write_bytes(former)
    manifest.with_suffix(".undo").rename(manifest)
    host.lock.unlink()
    assert all(one["run"] == RUN for one in host.seen())
    found = json.loads(host.control("changes"))
    assert (found["changes"], found["differs"]) == ([], {})


def test_one_that_writes_all_the_time_does_not_fill_the_disk(host: Host) -> None:
    place = str(host.local)
    program = f"""
import time
end = time.monotonic() + 4
while time.monotonic() < end:
    open({place!r}, "r+").write(str(end))
    time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
    assert 2 <= len(host.seen()) <= 6


def test_without_fanotify_a_change_is_found_and_not_who(host: Host) -> None:
    host.end()
    host.program = host.program.replace("fanotify_init", "fanotify_none")
    host.start()
    assert "fanotify_none" in json.loads(host.control("changes"))["problem"]
    host.write(host.local, "{}\n")
    (one,) = host.seen()
    assert (one["path"], one["who"], one["changed"]) == (str(host.local), None, ["content"])
    assert "by a process that was not seen" in json.loads(host.control("changes"))["changes"][0]["told"]


def test_accepting_what_is_accepted_changes_nothing_that_counts(host: Host) -> None:
    assert json.loads(host.control("changes"))["differs"] == {}
    assert host.seen() == []
    host.control("accept")
    assert host.seen() == []


def started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]

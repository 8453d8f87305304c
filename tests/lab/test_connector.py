"""The fast connector on real hosts: as pyinfra's own in all but speed, and never with an old answer."""

from __future__ import annotations

import itertools
import json
import shlex
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from connectors.fact_cache import file_of
from facts.script import text
from tests.lab.playbook import LabHost, eventually, run, shell, ssh

TEMPLATE = "packages"
# Of the image they know nothing; what asks its sshd and its Python is on each.
ANY_IMAGE = pytest.mark.images("bookworm")
# Plain, so that it is found however it is quoted.
PASSWORD = "open-sesame-4711"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test the fast one where the others' tests use pyinfra's own, too."""
    monkeypatch.setenv("HOSTWRIGHT_CONNECTOR", "fast")


# Each command and pyinfra's own arguments for it; the host answers the same over both connectors.
SAME = """
import json, sys
from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError

CASES = [
    ("echo out; echo err >&2", {}),
    ("exit 3", {}),
    ("exit 3", {"_success_exit_codes": [0, 3]}),
    ("kill -9 $$", {}),
    ("no-such-program", {}),
    ("printf 'no line feed'", {}),
    ("printf 'a\\n\\nb\\n'", {}),
    ("cat", {}),
    ("cat", {"_stdin": "one line"}),
    ("cat", {"_stdin": ["two", "lines ü\\n"]}),
    ("pwd; umask; ulimit -n", {}),
    ("pwd", {"_chdir": "/usr/share"}),
    ("echo $A $HOME $USER $SHELL $PATH", {"_env": {"A": "b c"}}),
    ("echo $0", {"_shell_executable": "bash"}),
    ("id -un; pwd", {"_sudo": True, "_sudo_user": "postgres"}),
    ("id -un; echo $HOME", {"_su_user": "postgres"}),
    ("id -un; echo $HOME", {"_su_user": "postgres", "_use_su_login": True}),
    ("test -t 0 && tty >/dev/null && echo terminal", {"_get_pty": True}),
    ("test -t 0 || echo no terminal", {}),
    ("seq 50000 | md5sum; seq 20000", {}),
    ("sleep 5", {"_timeout": 1}),
    ("(sleep 0.5; echo late) & echo soon", {}),
    ("cat /proc/self/cgroup | sed 's/[0-9][0-9]*/N/g'", {}),
]
found = []
for command, arguments in CASES:
    try:
        done, output = host.run_shell_command(StringCommand(command), **arguments)
        found.append([command, sorted(arguments), done, output.stdout_lines, output.stderr_lines])
    except TimeoutError:
        found.append([command, "timed out"])
print("FOUND" + json.dumps(found), file=sys.stderr)
"""

# What `look` sees is what is there, however much was asked along.
CHANGES = """
import sys
from pyinfra import host
from pyinfra.api import FunctionCommand, StringCommand, operation
from pyinfra.facts.server import Command

@operation()
def look(at):
    seen = host.get_fact(Command, command=f"cat /root/value #{at}")
    print(f"SEEN {at} {seen}", file=sys.stderr)
    host.noop("looked")
    return
    yield

@operation(is_idempotent=False)
def put(value):
    yield StringCommand(f"echo {value} >/root/value")

@operation(is_idempotent=False)
def upload(value):
    import io
    from pyinfra.api import FileUploadCommand
    yield FileUploadCommand(io.StringIO(f"{value}\\n"), "/root/value")

def again(state, host):
    # Behind the connector's back, as what happens to a host that boots.
    host.connector.client.exec_command("echo r >/root/value")[1].channel.recv_exit_status()
    host.disconnect()
    host.connected = False
    host.connect()

@operation(is_idempotent=False)
def reconnect():
    yield FunctionCommand(again, [], {})

print("SEEN body", host.get_fact(Command, command="cat /root/value"), file=sys.stderr)
look(name="one", at="one")
FIRST
look(name="two", at="two")
SECOND
look(name="three", at="three")
THIRD
look(name="four", at="four")
put(name="put again", value="a")
"""

# Nothing changes: asked once, and then in one go.
QUIET = """
import sys
from pyinfra import host
from pyinfra.api import operation
from pyinfra.facts.server import Command

@operation()
def look(number):
    host.get_fact(Command, command=f"echo $PPID-{number}")
    host.noop("looked")
    return
    yield

for number in range(12):
    look(name=f"look {number}", number=number)
"""
SENT = """
from connectors.channel import Channel

original = Channel._write


def counted(self, data, **more):
    print("SENT", file=sys.stderr)
    original(self, data, **more)


Channel._write = counted
"""


def found(host: LabHost, deploy: str, mark: str, **environ: str) -> list[str]:
    """Run it and return what it printed after a mark."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        output = run(host, deploy).ok().output
    return [line.removeprefix(mark) for line in output.splitlines() if line.startswith(mark)]


def test_a_command_is_answered_as_by_pyinfras_own_connector(lab_host: LabHost) -> None:
    fast, plain = (
        json.loads(found(lab_host, SAME, "FOUND", HOSTWRIGHT_CONNECTOR=kind)[0]) for kind in ("fast", "plain")
    )
    assert len(fast) == len(plain) > 20
    for mine, theirs in zip(fast, plain, strict=True):
        assert mine == theirs


@ANY_IMAGE
def test_no_answer_outlives_a_change_or_a_connection(lab_host: LabHost) -> None:
    shell(lab_host, "echo a >/root/value")
    changes = {"b": "put(name='put', value='b')", "c": "upload(name='upload', value='c')",
               "r": "reconnect(name='reconnect')"}  # fmt: skip
    for order in itertools.permutations(changes):
        deploy, expected = CHANGES, [" body a", " one a"]
        for place, at, value in zip(
            ("FIRST", "SECOND", "THIRD"), ("two", "three", "four"), order, strict=True
        ):
            deploy = deploy.replace(place, changes[value])
            expected.append(f" {at} {value}")
        for _ in range(2):  # the first has nothing to ask along
            assert found(lab_host, deploy, "SEEN") == expected


@ANY_IMAGE
def test_what_was_asked_before_is_asked_at_the_connection(lab_host: LabHost) -> None:
    """Each fact is asked for by itself the first time, and none the second."""
    deploy = QUIET.replace("import sys\n", f"import sys\n{SENT}", 1)
    assert len(found(lab_host, deploy, "SENT")) == 12
    assert found(lab_host, deploy, "SENT") == []


@ANY_IMAGE
@pytest.mark.parametrize(("seconds", "seen"), [(0.0, "theirs"), (100.0, "ours")])
def test_no_answer_is_of_a_time_when_another_run_was_at_work(
    lab_host: LabHost, seconds: float, seen: str
) -> None:
    deploy = CHANGES.partition('print("SEEN body')[0] + (
        "import time\nimport connectors\ntime.sleep(1)\n"  # until the host has answered
        'host.connector.client.exec_command("echo theirs >/root/value")[1].channel.recv_exit_status()\n'
        f"connectors.expire(host, {seconds})\n"
        'look(name="look", at="last")\n'
    )
    for expected in ("theirs", seen):  # the first run has no answers from before
        shell(lab_host, "echo ours >/root/value")
        assert found(lab_host, deploy, "SEEN") == [f" last {expected}"]


@ANY_IMAGE
def test_the_lock_tells_for_how_long_nobody_had_it(lab_host: LabHost) -> None:
    program = text("run-lock.sh")

    def lock(*words: str) -> list[str]:
        return shell(lab_host, shlex.join(["sh", "-c", program, "run-lock.sh", *words])).splitlines()

    def quiet() -> float:
        said = lock("take", "run", "300", "me", "test", "ssh")
        return next(int(line.split()[1]) / 1e9 for line in said if line.startswith("quiet "))

    quiet()
    lock("beat", "run")
    time.sleep(2)
    assert 2 <= quiet() < 30
    assert quiet() < 2
    time.sleep(2)
    lock("release", "run")
    assert quiet() < 2
    lock("release", "run")


@ANY_IMAGE
def test_a_failed_answer_is_asked_again(lab_host: LabHost) -> None:
    """What failed when it was asked along, and would succeed now, is no failure."""
    once = "test -e /root/ok-{number} || {{ touch /root/ok-{number}; false; }}"
    deploy = QUIET.replace("echo $PPID-{number}", once)
    shell(lab_host, "for one in $(seq 0 11); do touch /root/ok-$one; done")
    run(lab_host, deploy).ok()
    shell(lab_host, "rm /root/ok-7 /root/ok-11")
    run(lab_host, deploy).ok()


@ANY_IMAGE
def test_sudo_with_a_password_goes_its_own_way_and_is_kept_nowhere(lab_host: LabHost, tmp_path: Path) -> None:
    shell(lab_host, "useradd -m keyed && cp -r /root/.ssh /home/keyed/ && chown -R keyed: /home/keyed/.ssh")
    shell(lab_host, "chpasswd", stdin=f"keyed:{PASSWORD}\n")
    shell(lab_host, "printf 'keyed ALL=(ALL) ALL\\n' >/etc/sudoers.d/keyed")
    login = LabHost(**{**vars(lab_host), "user": "keyed"})
    deploy = f"""
import sys
from pyinfra import host
from pyinfra.facts.server import Command
for _ in range(2):
    seen = host.get_fact(Command, command="id -un", _sudo=True, _sudo_password={PASSWORD!r})
    print("SEEN", seen, file=sys.stderr)
print("SEEN", host.get_fact(Command, command="id -un"), file=sys.stderr)
"""
    prompted = f"""
import sys
from pyinfra import host
from pyinfra.connectors import util
from pyinfra.facts.server import Command
util.getpass = lambda prompt: {PASSWORD!r}  # what a person types
for _ in range(2):
    print("SEEN", host.get_fact(Command, command="id -un", _sudo=True), file=sys.stderr)
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTWRIGHT_CACHE", str(tmp_path))
        for _ in range(2):
            assert found(login, deploy, "SEEN") == [" root", " root", " keyed"]
            assert found(login, prompted, "SEEN") == [" root", " root"]
        kept = file_of("x").parent
    whole: list[Any] = [path.read_bytes() for path in kept.iterdir()]
    assert whole
    assert all(PASSWORD.encode() not in zlib.decompress(one) for one in whole)


def test_a_login_that_has_ended_takes_no_lock(lab_host: LabHost) -> None:
    """What a killed controller had begun goes on without it: no lock may be left that nobody holds."""
    words = ["sh", "-c", text("run-lock.sh"), "run-lock.sh", "take", "dead", "300", "me", "test"]
    for over, taken in (("any", 0), ("ssh", 1)):
        shell(lab_host, "rm -f /run/hostwright/lock /root/taking")
        # Its parents end at once, as those of a command do when its connection is cut.
        late = f"sleep 1; {shlex.join([*words, over])}; touch /root/taking"
        shell(lab_host, f"setsid --fork sh -c {shlex.quote(late)} >/dev/null 2>&1 </dev/null")
        eventually(lambda: ssh(lab_host, "test -e /root/taking").returncode == 0)
        assert ssh(lab_host, "test -e /run/hostwright/lock").returncode == taken
    # Another server than sshd: its login cannot be told apart, and is not refused.
    shell(lab_host, "rm -f /run/hostwright/lock")
    # From a file: of the words that it starts, systemd replaces ${...} by itself.
    shell(lab_host, "cat >/root/run-lock.sh", stdin=text("run-lock.sh"))
    call = (
        f"import subprocess; subprocess.run({['sh', '/root/run-lock.sh', *words[4:], 'ssh']!r}, check=True)"
    )
    shell(lab_host, shlex.join(["systemd-run", "--quiet", "--wait", "python3", "-c", call]))
    assert shell(lab_host, "sed -n s/^session=//p /run/hostwright/lock") == ""
    shell(lab_host, "rm /run/hostwright/lock")


@ANY_IMAGE
def test_a_second_login_proves_that_one_gets_in_and_asks_nothing(lab_host: LabHost) -> None:
    deploy = """
import sys
from pyinfra import host
from pyinfra.api import StringCommand
other = type(host.connector)(host.state, host)
other.connect()
done, output = other.run_shell_command(StringCommand("echo in"))
print("SEEN", done, output.stdout, other._channel, other.facts, file=sys.stderr)
"""
    assert found(lab_host, deploy, "SEEN") == [" True in None None"]


@ANY_IMAGE
def test_without_its_program_the_connector_goes_pyinfras_own_way(lab_host: LabHost) -> None:
    deploy = """
import sys, time
from pyinfra import host
from pyinfra.api import StringCommand
end = "pkill -f 'that come in over one open [c]hannel'"
print("ENDED", host.connector.client.exec_command(end)[1].channel.recv_exit_status(), file=sys.stderr)
time.sleep(0.5)
for _ in range(2):
    print("SEEN", host.run_shell_command(StringCommand("echo alive"))[1].stdout, file=sys.stderr)
"""
    assert found(lab_host, deploy, "ENDED") == [" 0"]
    assert found(lab_host, deploy, "SEEN") == [" alive", " alive"]

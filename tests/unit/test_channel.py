"""The channel that stays open and the program at its other end, over a pipe in the place of SSH's."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.os import tp_read, tp_write
from paramiko import SSHException

from connectors import channel as channel_module
from connectors.channel import Channel, stdin_text
from connectors.frames import ERR, OUT


class Pipe:
    """What paramiko's channel does, to a program of this machine."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.environ = dict(os.environ)

    def exec_command(self, command: str) -> None:
        words = ["/bin/sh", "-c", command]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environ
        )

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    def sendall(self, data: bytes) -> None:
        assert self.running.stdin is not None
        while data:
            data = data[tp_write(self.running.stdin.fileno(), data) :]

    def recv(self, size: int) -> bytes:
        assert self.running.stdout is not None
        return bytes(tp_read(self.running.stdout.fileno(), size))

    def recv_exit_status(self) -> int:
        return self.running.wait()


class Transport:
    """What paramiko's transport does."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe

    def open_session(self) -> Pipe:
        return self.pipe


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe whose program ends with the test."""
    made = Pipe()
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()
        for end in (made.process.stdin, made.process.stdout):
            assert end is not None
            end.close()


@pytest.fixture
def channel(pipe: Pipe) -> Channel:
    """A channel that is open."""
    transport: Any = Transport(pipe)
    return Channel(transport)


def said(channel: Channel, command: str, stdin: str | None = None) -> tuple[int, str, str]:
    reply = channel.run(command, stdin)
    out = gevent.spawn(lambda: "".join(reply.lines(OUT)))
    err = gevent.spawn(lambda: "".join(reply.lines(ERR)))
    with gevent.Timeout(20):
        return reply.code(), out.get(), err.get()


def test_both_outputs_and_the_exit_code(channel: Channel) -> None:
    assert said(channel, "echo one; echo two >&2; printf three; exit 7") == (7, "one\nthree", "two\n")
    assert said(channel, "true") == (0, "", "")
    assert said(channel, "kill -9 $$") == (-1, "", "")
    assert said(channel, "no-such-program")[0] == 127


def test_standard_input_is_whole_and_ends(channel: Channel) -> None:
    text = "".join(f"line {number} ü\n" for number in range(200_000))
    code, out, _ = said(channel, "wc -c; cat", text)
    assert (code, out) == (0, f"{len(text.encode())}\n")
    assert said(channel, "cat") == (0, "", "")
    # Who does not read it does no harm.
    assert said(channel, "exec <&-; sleep 0.1; echo done", text)[:2] == (0, "done\n")


def test_large_output_is_whole(channel: Channel) -> None:
    code, out, err = said(channel, "seq 300000; seq 100000 >&2")
    assert (code, len(out.splitlines()), len(err.splitlines())) == (0, 300_000, 100_000)


def test_lines_come_as_they_are_written(channel: Channel) -> None:
    reply = channel.run("echo now; sleep 30")
    with gevent.Timeout(20):
        assert next(reply.lines(OUT)) == "now\n"
    with pytest.raises(TimeoutError):
        reply.code(0.1)


def test_what_is_left_running_holds_the_end_back_as_under_sshd(channel: Channel) -> None:
    began = time.monotonic()
    assert said(channel, "(sleep 1; echo late) & echo soon")[1] == "soon\nlate\n"
    assert time.monotonic() - began >= 1


def test_several_at_once(channel: Channel) -> None:
    slow = channel.run("sleep 30")
    assert said(channel, "echo quick")[1] == "quick\n"
    with pytest.raises(TimeoutError):
        slow.code(0.01)


def test_reading_commands_take_turns_in_order(channel: Channel) -> None:
    width = max(2, os.cpu_count() or 1)
    replies = channel.read([*["sleep 0.3"] * width, "echo next"])
    with gevent.Timeout(20):
        assert replies[-1].code() == 0
    assert replies[0].code(0.2) == 0


def test_reading_commands_that_are_dropped_end(channel: Channel) -> None:
    width = max(2, os.cpu_count() or 1)
    replies = channel.read([*["sleep 1"] * width, "echo never"])
    assert said(channel, "sleep 0.3")[0] == 0  # the first have begun
    channel.drop()
    with gevent.Timeout(20):
        assert replies[-1].code() == -1
        assert list(replies[-1].lines(OUT)) == []
        assert replies[0].code() == 0


def test_what_only_reads_comes_as_a_whole(channel: Channel) -> None:
    """One packet, and not one for each piece; a long answer comes as it is written."""
    short, long = channel.read(["echo one; sleep 1; echo two", "seq 100000; sleep 1"])
    with gevent.Timeout(20):
        while not long._pieces[OUT]:
            gevent.sleep(0.01)
        assert not long.ended()
        assert short._pieces[OUT] == []
        assert (short.code(), list(short.lines(OUT))) == (0, ["one\n", "two\n"])
        assert (long.code(), len(list(long.lines(OUT)))) == (0, 100_000)


def fact(*words: str) -> str:
    return f"sh -c {shlex.quote(shlex.join(words))}"


def asked(channel: Channel, *words: str) -> tuple[int, str, str]:
    """Have a fact's command run that comes to these words."""
    reply = channel.read([fact(*words)])[0]
    with gevent.Timeout(20):
        code = reply.code()
    # Each can be read again: several operations may have asked for it.
    assert list(reply.lines(OUT)) == list(reply.lines(OUT))
    return code, "".join(reply.lines(OUT)), "".join(reply.lines(ERR))


SAYS = "import os, sys; print(sys.argv, __name__, os.getsid(0) == os.getpid()); print('b', file=sys.stderr)"


@pytest.mark.parametrize(
    "program",
    [
        SAYS,
        "import sys; sys.exit(7)",
        "import sys; sys.exit('no')",
        "raise SystemExit",
        "print('half', end=''); raise ValueError('x')",
        "import sys; print(sys.stdin.read() == '')",
        "import json, os; print(json.dumps(sorted(os.environ)))",
        "import os; print(os.getcwd(), os.umask(0), sorted(os.listdir('/proc/self/fd')))",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nprint(A(1))",
        "import subprocess; print(subprocess.run(['false']).returncode, subprocess.run(['echo', 'x']))",
        "import os; os.kill(os.getpid(), 9)",
        "import os; os._exit(3)",
        "this is no Python",
        "print('\\u00fc')",
        "print('x' * 3_000_000)",
    ],
)
def test_a_fork_does_what_an_interpreter_does(channel: Channel, program: str) -> None:
    """The same program with the same arguments, in a fork and in an interpreter of its own."""
    words = ["python3", "-I", "-c", program, "one", "t'wo", "-x"]
    code, out, err = asked(channel, *words)
    # Of the environment that the pipe has too: readline adds to it behind Python's back.
    alone = subprocess.run(
        words, env=dict(os.environ), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if "getsid" not in program:
        assert out == alone.stdout
    else:
        assert out == "['-c', 'one', \"t'wo\", '-x'] __main__ True\n"
    assert err.splitlines()[-1:] == alone.stderr.splitlines()[-1:]
    assert code == (alone.returncode if alone.returncode >= 0 else -1)


def test_forks_are_apart(channel: Channel) -> None:
    """What one of them does to its own interpreter is nothing to the next."""
    spoil = "import json, os, sys; json.dumps = None; os.environ['X'] = '1'; os.chdir('/'); sys.path.clear()"
    assert asked(channel, "python3", "-I", "-c", spoil)[0] == 0
    look = "import json, os; print(json.dumps('sys' in globals()), 'X' in os.environ, os.getcwd() == '/')"
    assert asked(channel, "python3", "-I", "-c", look)[1] == "false False False\n"


def children(pid: int) -> list[tuple[int, str]]:
    """Return process ids and states of what a process has started and not waited for."""
    command = ["ps", "-o", "pid=,state=", "--ppid", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [(int(line.split()[0]), line.split()[1]) for line in done.stdout.splitlines()]


def test_forks_leave_no_zombies_and_end_with_the_connection(pipe: Pipe, channel: Channel) -> None:
    for _ in range(5):
        assert asked(channel, "python3", "-I", "-c", "pass")[0] == 0
    assert [state for _, state in children(pipe.running.pid)] == ["S"]
    server = children(pipe.running.pid)[0][0]
    assert children(server) == []
    assert pipe.running.stdin is not None
    pipe.running.stdin.close()
    pipe.running.wait(20)
    with gevent.Timeout(20):
        while Path(f"/proc/{server}").exists():
            gevent.sleep(0.02)


def test_words_need_no_shell(channel: Channel) -> None:
    assert asked(channel, "sh", "-c", "echo $0 $1; exit 3", "name", "a b") == (3, "name a b\n", "")
    inner = (
        "if command -v no-such >/dev/null 2>&1; then ( sh -c 'echo x' ); else echo '##PYINFRA_NOCMD##'; fi"
    )
    for needs, said_ in (("nosuch", "##PYINFRA_NOCMD##\n"), ("cat", "x\n")):
        reply = channel.read([f"sh -c {shlex.quote(inner.replace('no-such', needs))}"])[0]
        with gevent.Timeout(20):
            assert (reply.code(), "".join(reply.lines(OUT))) == (0, said_)


SEVERAL = """
import json, os, sys
how, *words = sys.argv[1:]
if how == "alone":
    print(os.getpid(), *words)
    sys.exit(len(words))
print("noise" * 100_000, file=sys.stderr)
for one in json.loads(words[0]):
    print(json.dumps([f"{os.getpid()} {' '.join(one)} \\u00fc\\n", "err", len(one)]))
"""


def test_one_program_answers_several(channel: Channel) -> None:
    """In one go; who asks sees no difference, and what is between them comes as ever."""
    python = ("python3", "-I", "-c")
    commands = [
        fact(*python, SEVERAL, "alone", "a"),
        fact(*python, "print('between')", "alone"),
        fact(*python, SEVERAL, "alone", "b", "it's c"),
        fact(*python, SEVERAL, "alone"),
    ]
    replies = channel.read(commands)
    with gevent.Timeout(20):
        codes = [reply.code() for reply in replies]
    said_ = ["".join(reply.lines(OUT)) for reply in replies]
    assert codes == [1, 0, 2, 0]
    pid = said_[0].split()[0]
    assert said_ == [f"{pid} a \u00fc\n", "between\n", f"{pid} b it's c \u00fc\n", f"{pid}  \u00fc\n"]
    assert ["".join(reply.lines(ERR)) for reply in replies] == ["err", "", "err", "err"]
    # By itself one is as it was sent.
    reply = channel.read(commands[2:3])[0]
    with gevent.Timeout(20):
        assert reply.code() == 2
    assert "".join(reply.lines(OUT)).split(" ", 1)[1] == "b it's c\n"


def test_one_shell_answers_several(channel: Channel) -> None:
    script = """
    if [ "$1" = alone ]; then shift; echo "$# $*"; exit; fi
    shift
    for word; do case $word in *" "*) exit 1 ;; esac; done
    for word; do printf '["%s of %s\\\\n", "", 0]\\n' "$word" "$#"; done
    """
    for words, expected in ((["a", "b"], ["a of 2\n", "b of 2\n"]), (["a", "b c"], ["1 a\n", "1 b c\n"])):
        replies = channel.read([fact("sh", "-c", script, "name", "alone", word) for word in words])
        with gevent.Timeout(20):
            assert [reply.code() for reply in replies] == [0, 0]
        assert ["".join(reply.lines(OUT)) for reply in replies] == expected


@pytest.mark.parametrize(
    "how",
    [
        "sys.exit(1)",
        "print('[]')",
        "print('x')\nprint('y')",
        "print('[1, 2]')\nprint('[1, 2, 3]')",
        'print(\'["", "", 0]\')',
        "os.kill(os.getpid(), 9)",
        "raise ValueError",
    ],
)
def test_where_one_program_cannot_answer_several_each_is_asked_by_itself(channel: Channel, how: str) -> None:
    program = f"""
import os, sys
if sys.argv[1] == "together":
    {how.replace(chr(10), chr(10) + "    ")}
else:
    print(*sys.argv[1:])
"""
    replies = channel.read([fact("python3", "-I", "-c", program, "alone", word) for word in "ab"])
    with gevent.Timeout(20):
        assert [reply.code() for reply in replies] == [0, 0]
    assert [list(reply.lines(OUT)) for reply in replies] == [["alone a\n"], ["alone b\n"]]


def test_several_that_are_dropped_end(channel: Channel) -> None:
    width = max(2, os.cpu_count() or 1)
    several = [fact("python3", "-I", "-c", SEVERAL, "alone", word) for word in "ab"]
    replies = channel.read([*["sleep 1"] * width, *several])
    assert said(channel, "sleep 0.3")[0] == 0  # the first have begun
    channel.drop()
    with gevent.Timeout(20):
        assert [reply.code() for reply in replies[-2:]] == [-1, -1]


def test_a_fact_that_is_asked_by_itself_begins_at_once(channel: Channel) -> None:
    width = max(2, os.cpu_count() or 1)
    channel.read(["sleep 30"] * width)
    with gevent.Timeout(20):
        reply = channel.ask(fact("python3", "-I", "-c", "print('now')"))
        assert (reply.code(), list(reply.lines(OUT))) == (0, ["now\n"])


def test_a_lost_connection_ends_what_is_under_way(pipe: Pipe, channel: Channel) -> None:
    reply = channel.run("sleep 30")
    assert said(channel, "true")[0] == 0
    pipe.running.kill()
    with gevent.Timeout(20):
        assert reply.code() == -1
    assert not channel.absent
    with pytest.raises((SSHException, OSError)):
        channel.run("true")


def test_the_program_ends_with_the_connection(pipe: Pipe, channel: Channel) -> None:
    assert said(channel, "true")[0] == 0
    assert pipe.running.stdin is not None
    pipe.running.stdin.close()
    assert pipe.running.wait(20) == 0


def test_a_host_without_python(pipe: Pipe) -> None:
    pipe.environ = {"PATH": "/nowhere"}
    transport: Any = Transport(pipe)
    channel = Channel(transport)
    with gevent.Timeout(20):
        try:
            reply = channel.run("echo never")
        except (SSHException, OSError):
            gevent.sleep(0.2)
        else:
            assert reply.code() == -1
    assert channel.absent


def test_commands_run_in_a_session_of_their_own(channel: Channel) -> None:
    found = said(
        channel, f"{sys.executable} -c 'import os; print(os.getsid(0) in (os.getpid(), os.getppid()))'"
    )[1]
    assert found == "True\n"


@pytest.mark.parametrize(
    ("given", "sent"),
    [(None, None), ("", None), ("a", "a\n"), ("a\n", "a\n"), (["a", "b\n"], "a\nb\n"), (["a\nb"], "a\nb\n")],
)
def test_standard_input_is_lines(given: Any, sent: str | None) -> None:
    assert stdin_text(given) == sent


def test_two_channels_that_begin_alike_go_their_own_ways() -> None:
    """What they begin with is packed once; what follows is packed with the state of each."""
    pipes = [Pipe(), Pipe()]
    try:
        transports: list[Any] = [Transport(one) for one in pipes]
        channels = [Channel(one) for one in transports]
        asked = ["sh -c 'echo first'", "sh -c 'echo second'"]
        for number, one in enumerate(channels):
            replies = one.read(asked)
            assert [reply.code(20) for reply in replies] == [0, 0]
            assert [list(reply.lines(OUT)) for reply in replies] == [["first\n"], ["second\n"]]
            for word in ("some", "more"):
                reply = one.run(f"echo {word} {number}")
                assert (reply.code(20), list(reply.lines(OUT))) == (0, [f"{word} {number}\n"])
        reply = channels[0].read(asked)[1]
        assert list(reply.lines(OUT)) == ["second\n"]
    finally:
        for pipe in pipes:
            pipe.running.kill()
            pipe.running.wait()


def test_what_goes_to_a_command_is_not_kept(channel: Channel) -> None:
    before = channel_module._packed_first.cache_info().currsize
    assert channel.run("cat", "a secret\n").code(10) == 0
    assert channel_module._packed_first.cache_info().currsize == before

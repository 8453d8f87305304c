"""
Run Python programs in forks of this interpreter, which has started and has imported what they import.

A part of command-runner.py. An interpreter of their own takes each of them 20 to 30 ms of a core.
"""

import importlib
import json
import os
import signal
import socket
import struct
import sys
import traceback
import types

LENGTH = struct.Struct(">I")
# What the facts' programs import.
IMPORTED = ("glob", "grp", "hashlib", "pwd", "re", "shutil", "subprocess", "tempfile")


class Forks:
    """A process of one thread that forks for each program; make it before there are other threads."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        self._socket = ours
        if os.fork() == 0:
            ours.close()
            serve(theirs)
        theirs.close()

    def start(self, words):
        """
        Begin a program: its text, and its arguments.

        Return descriptors to read: its standard output, its standard error, and one that gives its exit code,
        and nothing where a signal ended it. One caller at a time.
        """
        pipes = [os.pipe() for _ in range(3)]
        text = json.dumps(words).encode()
        try:
            socket.send_fds(self._socket, [LENGTH.pack(len(text))], [write for _, write in pipes])
            self._socket.sendall(text)
        finally:
            for _, write in pipes:
                os.close(write)
        return [read for read, _ in pipes]


def serve(requests):
    """Fork for each request, until the other end is closed; children are nobody's to wait for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # The frames come in and go out here, and are not ours.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    for name in IMPORTED:
        importlib.import_module(name)
    while True:
        head, pipes, _, _ = socket.recv_fds(requests, LENGTH.size, 3)
        if len(head) < LENGTH.size:
            os._exit(0)
        text = b""
        while len(text) < LENGTH.unpack(head)[0]:
            text += requests.recv(LENGTH.unpack(head)[0] - len(text))
        if os.fork() == 0:
            watch(json.loads(text), *pipes)
        for pipe in pipes:
            os.close(pipe)


def watch(words, out, err, status):
    """Run a program in a child, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, max(os.sysconf("SC_OPEN_MAX"), 3))
        become(words)
    # Whoever reads waits until all who could write have ended.
    for pipe in (out, err):
        os.close(pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        os.write(status, str(code).encode())
    os._exit(0)


def become(words):
    """Do what `python3 -I -c` would do with a program, in a session of its own, and end."""
    os.setsid()
    program, *arguments = words
    sys.argv = ["-c", *arguments]
    code = 1
    try:
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(program, "<string>", "exec"), vars(sys.modules["__main__"]))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120  # what an interpreter ends with whose output nobody takes
    os._exit(code & 0xFF)

"""
Run Python programs in forks of this interpreter, which has started and has imported what they import.

A part of command-runner.py. An interpreter of their own takes each of them 20 to 30 ms of a core. They find
the standard library alone: that interpreter was started without looking for more.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import types

LENGTH = struct.Struct(">I")
# What most of the facts' programs import. With shutil, tempfile and traceback it would take 11 ms more.
IMPORTED = ("glob", "grp", "hashlib", "pathlib", "pwd", "re", "subprocess")


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
    """Fork for each request, and tell how each child ended, until the other end is closed."""
    ended, end = os.pipe()
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # The frames come in and go out here, and are not ours.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    for name in IMPORTED:
        importlib.import_module(name)
    # What is here is never garbage: a child that looked through it would have to copy it.
    gc.freeze()
    children = {}
    waited = select.poll()
    for handle in (requests.fileno(), ended):
        waited.register(handle, select.POLLIN)
    while True:
        ready = {handle for handle, _ in waited.poll()}
        if ended in ready:
            os.read(ended, 4096)
            tell(children)
        if requests.fileno() not in ready:
            continue
        head, pipes, _, _ = socket.recv_fds(requests, LENGTH.size, 3)
        if len(head) < LENGTH.size:
            os._exit(0)
        text = b""
        while len(text) < LENGTH.unpack(head)[0]:
            text += requests.recv(LENGTH.unpack(head)[0] - len(text))
        out, err, status = pipes
        program, *arguments = json.loads(text)
        # Here, where the compiler is warm: each child would have to copy what it works with.
        code = compiled(program)
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(out, 1)
            os.dup2(err, 2)
            os.closerange(3, max(os.sysconf("SC_OPEN_MAX"), 3))
            become(program, code, arguments)
        children[child] = status
        # Whoever reads waits until all who could write have ended.
        for pipe in (out, err):
            os.close(pipe)


def tell(children):
    """Say how those children ended that have: to whoever reads from each one's descriptor."""
    while children:
        pid, how = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        status = children.pop(pid)
        code = os.waitstatus_to_exitcode(how)
        if code >= 0:
            with contextlib.suppress(OSError):  # nobody reads it any more
                os.write(status, str(code).encode())
        os.close(status)


def compiled(program):
    """Return a program's code; None where it has none, which the child is to say."""
    try:
        return compile(program, "<string>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def become(program, ready, arguments):
    """Do what `python3 -I -c` would do with a program, in a session of its own, and end."""
    os.setsid()
    sys.argv = ["-c", *arguments]
    code = 1
    try:
        sys.modules["__main__"] = types.ModuleType("__main__")
        ready = ready or compile(program, "<string>", "exec", dont_inherit=True)
        exec(ready, vars(sys.modules["__main__"]))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        import traceback  # for this alone

        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120  # what an interpreter ends with whose output nobody takes
    os._exit(code & 0xFF)

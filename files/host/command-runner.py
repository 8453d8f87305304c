"""
Run the commands that come in over one open channel, and send back what they say.

usage: python3 -IS -c ...     standard input: frames in one zlib stream; standard output: frames

A frame has a number, a kind and a length (">IBI"), and that many bytes. In: RUN, a command that begins at
once, and READ, one that waits its turn, so that a host does no more of them at a time than it has CPUs: JSON
{"command": ..., "stdin": ... or null}. DROP ends those that still wait. Out: READY once, then for each
command OUT and ERR as they come, and EXIT with its exit code, -1 where a signal ended it or it never began.

Each command runs as sshd would run it: by the login's shell, in a session of its own. READ may
have, in the place of "command", "words", a program and its arguments as they are once shells have taken them
apart, and "needs", a program without which the answer is a line that says so, or null. With "together", a
list of numbers and arguments, it is several commands of one program: it is run once, with "together" and all
those arguments, for Python as JSON, and prints for each of them a line of JSON: output, errors and exit code.
Where it does not, each is run by itself: with "alone" and its own arguments.
"""

import collections
import json
import os
import pwd
import selectors
import struct
import subprocess
import sys
import threading
import zlib

from python_forks import Forks

HEADER = struct.Struct(">IBI")
RUN, READ, DROP = 1, 2, 3
READY, OUT, ERR, EXIT = 0, 1, 2, 3
PIECE = 65536
# What is no UTF-8 goes through as it is.
UTF = ("utf-8", "surrogateescape")
MISSING = b"##PYINFRA_NOCMD##\n"
SHELL = pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"

writing, forking = threading.Lock(), threading.Lock()
waiting = collections.deque()
turn = threading.Condition()


def frame(number, kind, payload=b""):
    return HEADER.pack(number, kind, len(payload)) + payload


def send(number, kind, payload=b""):
    write(frame(number, kind, payload))


def write(data):
    with writing:
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:
            # The login has ended; what still runs finds its pipes closed, as under sshd.
            os._exit(0)


def is_there(program):
    """Tell whether a program is found as the login finds it; by hand, for shutil takes 4 ms to import."""
    return any(os.access(os.path.join(place, program), os.X_OK) for place in os.get_exec_path())


def feed(pipe, text):
    """Write a command's standard input; it need not read it."""
    try:
        with pipe:
            pipe.write(text.encode())
    except OSError:
        pass


def run(number, request, forks):
    """
    Run a command and send what it says, and at its end its exit code.

    What only reads is waited for as a whole: it goes out in one piece, which is one packet, and not three.
    """
    whole = request.get("whole")
    words = request.get("words") or [SHELL, "-c", request["command"]]
    if request.get("needs") and not is_there(request["needs"]):
        write(frame(number, OUT, MISSING) + frame(number, EXIT, b"0"))
    elif words[:3] == ["python3", "-I", "-c"]:
        with forking:
            out, err, status = forks.start(words[3:])
        with open(out, "rb", 0) as stdout, open(err, "rb", 0) as stderr, open(status, "rb", 0) as end:
            held = pass_on(number, stdout, stderr, whole)
            write(held + frame(number, EXIT, end.read() or b"-1"))
    else:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            start_new_session=True,
        )  # fmt: skip
        if request.get("stdin"):
            threading.Thread(target=feed, args=(process.stdin, request["stdin"]), daemon=True).start()
        else:
            process.stdin.close()
        held = pass_on(number, process.stdout, process.stderr, whole)
        code = process.wait()
        write(held + frame(number, EXIT, str(code if code >= 0 else -1).encode()))


def pass_on(number, out, err, whole):
    """
    Send both outputs as they come, until both are closed: by the command, and by what it left running.

    + whole: hold them back as long as they are short

    Return what is still to be sent.
    """
    held = b""
    for kind, piece in pieces(out, err):
        held += frame(number, kind, piece)
        if not whole or len(held) > PIECE:
            write(held)
            held = b""
    return held


def pieces(out, err):
    """Yield what comes from both pipes, OUT or ERR, until both are closed."""
    with selectors.DefaultSelector() as pipes:
        pipes.register(out, selectors.EVENT_READ, OUT)
        pipes.register(err, selectors.EVENT_READ, ERR)
        while pipes.get_map():
            for key, _ in pipes.select():
                piece = os.read(key.fd, PIECE)
                if piece:
                    yield key.data, piece
                else:
                    pipes.unregister(key.fileobj)
                    key.fileobj.close()


def run_together(request, forks):
    """Run one program for several commands, and send each its answer; where it fails, run it for each."""
    members = request["together"]
    try:
        said = answers(request, forks)
    except Exception:  # it did not say what it should, whatever that was
        said = None
    if said is None or len(said) != len(members):
        for number, arguments in members:
            words = [*request["words"], "alone", *arguments]
            guarded(number, {**request, "together": None, "words": words}, forks)
        return
    for (number, _), pieces_of_it in zip(members, said):  # noqa: B905  # strict= came in Python 3.10
        write(b"".join(frame(number, kind, piece) for kind, piece in pieces_of_it if piece))


def answers(request, forks):
    """Return for each of several commands what is to be sent of it; None where their program failed."""
    if request.get("needs") and not is_there(request["needs"]):
        return None
    members = [arguments for _, arguments in request["together"]]
    if request["words"][0] == "python3":
        with forking:
            out, err, status = forks.start([*request["words"][3:], "together", json.dumps(members)])
        with open(out, "rb", 0) as stdout, open(err, "rb", 0) as stderr, open(status, "rb", 0) as end:
            said = b"".join(piece for kind, piece in pieces(stdout, stderr) if kind == OUT)
            done = end.read() == b"0"
    else:
        process = subprocess.run(
            [*request["words"], "together", *(word for words in members for word in words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, check=False,
        )  # fmt: skip
        said, done = process.stdout, process.returncode == 0
    if not done:
        return None
    found = []
    for line in said.splitlines():
        output, errors, code = json.loads(line)
        found.append(((OUT, output.encode(*UTF)), (ERR, errors.encode(*UTF)), (EXIT, b"%d" % code)))
    return found


def guarded(number, request, forks):
    try:
        if request.get("together"):
            run_together(request, forks)
        else:
            run(number, request, forks)
    except Exception as error:  # whatever it was: who asked waits for an end, and is told
        send(number, ERR, f"{type(error).__name__}: {error}\n".encode())
        send(number, EXIT, b"-1")


def read_in_turn(forks):
    while True:
        with turn:
            while not waiting:
                turn.wait()
            number, request = waiting.popleft()
        guarded(number, request, forks)


def frames():
    unpack = zlib.decompressobj()
    held = b""
    while True:
        piece = os.read(0, PIECE)
        if not piece:
            return
        held += unpack.decompress(piece)
        while len(held) >= HEADER.size:
            number, kind, length = HEADER.unpack_from(held)
            if len(held) < HEADER.size + length:
                break
            yield number, kind, held[HEADER.size : HEADER.size + length]
            held = held[HEADER.size + length :]


def main():
    send(0, READY)
    forks = Forks()
    for _ in range(max(2, os.cpu_count() or 1)):
        threading.Thread(target=read_in_turn, args=(forks,), daemon=True).start()
    for number, kind, payload in frames():
        if kind == RUN:
            threading.Thread(target=guarded, args=(number, json.loads(payload), forks), daemon=True).start()
        else:
            with turn:
                if kind == READ:
                    waiting.append((number, {**json.loads(payload), "whole": True}))
                    turn.notify()
                else:
                    while waiting:
                        number, request = waiting.popleft()
                        for one, _ in request.get("together") or [(number, None)]:
                            send(one, EXIT, b"-1")
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

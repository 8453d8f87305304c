# What every part of diagnose.py stands on: programs that must end, files that may be missing, problems.
import os
import subprocess
import threading

# What could not be found out, in words; the rest is told all the same.
PROBLEMS = []
GUARD = threading.Lock()
# No program that is asked may take longer.
SECONDS = 5.0
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/", "TZ": "UTC"}


def problem(what, why):
    with GUARD:
        PROBLEMS.append(f"{what}: {printable(str(why), 300)}")


def guarded(what, function, *arguments):
    """Return what a part found; None, and a problem, where it failed: it must not hide the rest."""
    try:
        return function(*arguments)
    except subprocess.TimeoutExpired as error:
        problem(what, f"{error.cmd[0]} did not end in {error.timeout:g} s")
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        problem(what, f"{type(error).__name__}: {error}")
    return None


def printable(text, longest=200):
    """Return a text on one line that does nothing to a terminal."""
    line = "".join(one if one.isprintable() else "?" for one in text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def run(*words, stdin=None, seconds=SECONDS, codes=(0,), **more):
    """Return what a program says; it gets nothing of the login's environment, and no terminal."""
    given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        words, capture_output=True, text=True, errors="replace", timeout=seconds, cwd="/",
        env={**CLEAN, **more.pop("env", {})}, **given, **more,
    )  # fmt: skip
    if done.returncode not in codes:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise OSError(f"{words[0]} ended with {done.returncode} {said[-1] if said else ''}".strip())
    return done.stdout


def read(path, default=None):
    """Return a file's text; the default, where one is given, where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        if default is None:
            raise
        return default


def blocks(text):
    """Return the blocks of `systemctl show`, a dict each."""
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in text.split("\n\n")
        if block.strip()
    ]


def volume(path, deadline, clock):
    """Return bytes and number of files below a directory; None where there is none, or too many to count."""
    if not os.path.isdir(path):
        return None
    size, count, left = 0, 0, [path]
    while left:
        if clock() > deadline:
            problem("volumes", f"{path} has too many files to be counted in time")
            return None
        try:
            entries = list(os.scandir(left.pop()))
        except OSError:
            continue  # it has just gone
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
                    count += 1
            except OSError:
                continue
    return {"bytes": size, "files": count}

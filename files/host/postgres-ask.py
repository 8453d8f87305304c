"""
Ask this host's PostgreSQL cluster what facts want to know, all of it in one session of psql.

usage: python3 -I -c ... alone SHELL CLUSTER REQUEST [PROGRAM [ARGUMENT...]]
       python3 -I -c ... together JSON      a list of what comes after `alone`; prints for each of them one
                                            line of JSON: its output, its errors and its exit code

SHELL is the text of postgres-cluster.sh, CLUSTER its argument; where no server runs, nothing is printed, and
that is no error. REQUEST is JSON:

    queries    SQL for whatever database it is asked in
    database   name of the database that `inside` is for, or null; where there is none, nothing is printed
    inside     SQL for that database
    given      SQL whose answer PROGRAM finds at its standard input, and nobody else
    variables  what all of it finds as :'variable'; what it sets besides is for itself alone

PROGRAM is the text of a Python program, run here after that; what it says, it prints itself.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import types

ANYWHERE = ("queries", "given")
# Without PAM, which has a session to open and to write of: nobody logs in here.
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
PSQL = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", "postgres")
# By the name of :'database', so that one that is not there is no error.
CONNECT = r"""
select count(*) = 1 as present,
    'dbname=''' || replace(replace(:'database', '\', '\\'), '''', '\''') || '''' as conninfo
from pg_catalog.pg_database where datname = :'database' and datallowconn \gset
\if :present
\connect -reuse-previous=on :"conninfo"
"""


def quoted(value):
    """Write a word of psql's own commands."""
    for plain, written in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(plain, written)
    return f"'{value}'"


def script(requests, boundary):
    """
    Write what psql reads, and list the parts of what it will print: of which request, and which key.

    Each database is connected to once. What a part has set is forgotten after it.
    """
    lines, parts = [], []

    def part(number, key):
        lines.extend(rf"\set {name} {quoted(value)}" for name, value in requests[number]["variables"].items())
        lines.extend([requests[number][key], "discard all;", rf"\echo {boundary}"])
        parts.append((number, key))

    for number, request in enumerate(requests):
        for key in ANYWHERE:
            if request[key]:
                part(number, key)
    for database in dict.fromkeys(request["database"] for request in requests if request["inside"]):
        within = [number for number, request in enumerate(requests) if request["database"] == database]
        lines.extend([rf"\set database {quoted(database)}", CONNECT])
        for number in within:
            part(number, "inside")
        lines.extend([r"\else", *[rf"\echo {boundary}"] * len(within), r"\endif"])
    return "\n".join([*lines, ""]), parts


def asked(requests):
    """
    Ask all of that in one session.

    Return for each request what was printed for each key, and the session's errors and exit code.
    """
    boundary = os.urandom(16).hex()
    text, parts = script(requests, boundary)
    printed = [dict.fromkeys((*ANYWHERE, "inside"), "") for _ in requests]
    if not parts:
        return printed, "", 0
    done = subprocess.run(
        [*AS_POSTGRES, f"{os.environ['CLUSTER_BIN']}/psql", *PSQL],
        input=text.encode(), capture_output=True, check=False,
    )  # fmt: skip
    pieces = done.stdout.decode("utf-8", "surrogateescape").split(f"{boundary}\n")
    for (number, key), piece in zip(parts, pieces):  # noqa: B905  # strict= came in Python 3.10
        printed[number][key] = piece
    code = done.returncode if done.returncode >= 0 else 1
    return printed, done.stderr.decode("utf-8", "surrogateescape"), code


def run(program, arguments, given):
    """Run a Python program here; return its output, its errors and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv, sys.stdin = ["-c", *arguments], io.StringIO(given)
    main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            exec(compile(program, "<string>", "exec", dont_inherit=True), vars(sys.modules["__main__"]))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if end.code is not None and not isinstance(end.code, int):
                print(end.code, file=sys.stderr)
        except Exception:  # whatever it was is said, as an interpreter of its own would
            import traceback  # for this alone

            traceback.print_exc()
            code = 1
    sys.modules["__main__"] = main
    return out.getvalue(), err.getvalue(), code


def answers(requests, programs):
    """Return what is to be said to each of several requests for the cluster that is in the environment."""
    printed, errors, code = asked(requests)
    if len(requests) > 1 and (errors or code):
        # Whose error that is, each of them says by itself.
        return [answers([request], [program])[0] for request, program in zip(requests, programs)]  # noqa: B905
    said = []
    for _, program, found in zip(requests, programs, printed):  # noqa: B905
        out, err, ended = "", "", 0
        if program and code == 0:
            out, err, ended = run(program[0], program[1:], found["given"])
        said.append((found["queries"] + found["inside"] + out, errors + err, code or ended))
    return said


def together(members):
    """Return what is to be said to each: each cluster is found once, and asked once."""
    said = {}
    for shell, cluster in dict.fromkeys((one[0], one[1]) for one in members):
        mine = [number for number, one in enumerate(members) if (one[0], one[1]) == (shell, cluster)]
        found = subprocess.run(
            ["sh", "-c", shell, "postgres-cluster.sh", cluster, "ask-up", "env", "-0"],
            capture_output=True, check=False,
        )  # fmt: skip
        if found.returncode != 0 or not found.stdout:
            code = found.returncode if found.returncode >= 0 else 1
            said.update(dict.fromkeys(mine, ("", found.stderr.decode(errors="replace"), code)))
            continue
        os.environb.clear()
        os.environb.update(dict(line.split(b"=", 1) for line in found.stdout.split(b"\0") if line))
        os.chdir("/")
        requests = [json.loads(members[number][2]) for number in mine]
        said.update(zip(mine, answers(requests, [members[number][3:] for number in mine])))  # noqa: B905
    return [said[number] for number in range(len(members))]


def main(how, *words):
    if how == "together":
        for one in together(json.loads(words[0])):
            print(json.dumps(one))
        return 0
    out, err, code = together([list(words)])[0]
    for stream, text in ((sys.stdout, out), (sys.stderr, err)):
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

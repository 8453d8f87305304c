"""
Run SQL, and a Python program with the whereabouts of this host's PostgreSQL cluster in its environment.

usage: python3 -I -c ... SHELL CLUSTER NEED SQL PROGRAM [ARGUMENT...]

SHELL is the text of postgres-cluster.sh, which does both; CLUSTER and NEED are its arguments. SQL is JSON:
the words that it gets after "sql", or null for none. PROGRAM is the text of a program, and is run by the
interpreter that runs this. Where NEED is not so, this ends as postgres-cluster.sh does: for ask-up with 0,
without a word.
"""

import json
import os
import subprocess
import sys


def main():
    shell, cluster, need, sql, program, *arguments = sys.argv[1:]
    asked = ["sh", "-c", shell, "postgres-cluster.sh", cluster, need]
    words = json.loads(sql)
    if words is not None:
        code = subprocess.run([*asked, "sql", *words], check=False).returncode
        if code != 0:
            sys.exit(code if code > 0 else 1)
    found = subprocess.run([*asked, "env", "-0"], stdout=subprocess.PIPE, check=False)
    if found.returncode != 0 or not found.stdout:
        sys.exit(found.returncode if found.returncode >= 0 else 1)
    os.environb.clear()
    os.environb.update(dict(line.split(b"=", 1) for line in found.stdout.split(b"\0") if line))
    os.chdir("/")
    sys.argv = ["-c", *arguments]
    return program


if __name__ == "__main__":
    exec(compile(main(), "<string>", "exec", dont_inherit=True), vars(sys.modules["__main__"]))

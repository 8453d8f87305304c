"""
Compare a role's password with the one in a file on this host, or set it, as a SCRAM-SHA-256 verifier.

usage: postgres-cluster.sh CLUSTER up python3 -c ... set ROLE PASSWORD_FILE
       python3 -c ... check ROLE PASSWORD_FILE [ROLE PASSWORD_FILE]...     JSON on standard input: for each
       role what the server keeps of its password

check prints for each match, differs or absent (no password yet, no such role, no readable file). Neither the
password nor its verifier is ever printed, is an argument, or reaches the server's log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc
SALT_BYTES = 16  # what PostgreSQL itself uses
DEFAULT_ITERATIONS = 4096  # PostgreSQL's before 16, where scram_iterations came


AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


class RefusedError(Exception):
    """Something that the person who runs this has to read."""


def saslprep(password: str) -> str:
    """Prepare a password as RFC 4013 says, which every SCRAM client does before it logs in."""
    if password.isascii():
        return password  # PostgreSQL takes plain ASCII as it is
    # Imported for those few: their tables take longer to load than all the rest to run.
    import stringprep
    import unicodedata

    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)
    )
    # Unicode 3.2, the version the RFC is written for: unassigned there is refused below.
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    prohibited = (
        stringprep.in_table_a1, stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3,
        stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7,
        stringprep.in_table_c8, stringprep.in_table_c9,
    )  # fmt: skip
    right_to_left = any(map(stringprep.in_table_d1, prepared))
    if not prepared or any(table(c) for c in prepared for table in prohibited):
        raise RefusedError(
            "has a character that clients prepare differently (RFC 4013); use letters and digits"
        )
    if right_to_left and (
        any(map(stringprep.in_table_d2, prepared))
        or not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1]))
    ):
        raise RefusedError("mixes writing directions, which RFC 4013 forbids; use letters and digits")
    return prepared


def verifier(password: str, salt: bytes, iterations: int) -> str:
    """Compute what PostgreSQL keeps in pg_authid (RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored_text}:{server_text}"


def same(password: str, kept: str) -> bool:
    found = VERIFIER.fullmatch(kept)
    if found is None:
        return False  # md5, or something older
    again = verifier(password, base64.b64decode(found[2]), int(found[1]))
    return hmac.compare_digest(again, kept)


def read_password(file: str) -> str:
    """Read and check the password; errors name the file, never what is in it."""
    path = Path(file)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("is not a regular file")
        if status.st_mode & 0o077:
            raise RefusedError(f"can be read by others than its owner; run: chmod 0600 {file}")
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise RefusedError(
            "does not exist; the step that makes the password has to run before this one"
        ) from None
    except UnicodeDecodeError:
        raise RefusedError("is not UTF-8 text; write the password again") from None
    password = text[:-1] if text.endswith("\n") else text
    if not password:
        raise RefusedError("is empty; write the password into it, or remove it so that a new one is made")
    if CONTROL.search(password):
        raise RefusedError("has more than one line or a control character in it; write one line of text")
    return saslprep(password)


def psql(sql: str, *variables: str) -> str:
    command = [*AS_POSTGRES, f"{os.environ['CLUSTER_BIN']}/psql", "-X", "-q", "-A", "-t"]
    options = ["-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", "postgres"]
    for variable in variables:
        options += ["-v", variable]
    done = subprocess.run([*command, *options], input=sql, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # Only the message itself: the lines after it quote the statement.
        errors = re.findall(r"(?:ERROR|FATAL|psql): .*", done.stderr)
        raise RefusedError("could not be set: " + VERIFIER.sub("(the password)", "; ".join(errors)))
    return done.stdout.rstrip("\n")


def set_password(role: str, password: str) -> None:
    iterations = int(psql("select current_setting('scram_iterations', true);") or DEFAULT_ITERATIONS)
    new = verifier(password, os.urandom(SALT_BYTES), iterations)
    # Nothing of this statement may stay anywhere: log, statistics, or the log of a failed statement.
    psql(
        "begin;\n"
        "set local log_statement = 'none';\n"
        "set local log_min_duration_statement = -1;\n"
        "set local log_min_duration_sample = -1;\n"
        "set local log_transaction_sample_rate = 0;\n"
        "set local log_min_error_statement = 'panic';\n"
        "set local log_duration = off;\n"
        "set local track_activities = off;\n"
        "set local pg_stat_statements.track = 'none';\n"
        f"alter role :\"role\" password '{new}';\n"
        "commit;\n",
        f"role={role}",
    )


def state(file: str, kept: str | None) -> str:
    try:
        password = read_password(file)
    except RefusedError:
        return "absent"
    return "absent" if not kept else "match" if same(password, kept) else "differs"


def main(action: str, role: str, file: str, *more: str) -> int:
    if action == "check":
        roles, files = [role, *more[::2]], [file, *more[1::2]]
        kept: dict[str, str | None] = json.loads(sys.stdin.read().strip() or "{}") or {}
        for one, its_file in zip(roles, files):  # noqa: B905  # strict= came in Python 3.10
            print(state(its_file, kept.get(one)))
        return 0
    try:
        password = read_password(file)
        mine = psql("select rolpassword from pg_authid where rolname = :'role';", f"role={role}")
        if not (mine and same(password, mine)):
            set_password(role, password)
    except RefusedError as problem:
        print(f"PostgreSQL: password of role {role}: {file} {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

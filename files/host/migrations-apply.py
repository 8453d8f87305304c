# Apply an app's pending migrations with psql, one after the other, as the app's own role.
# usage: migrations-apply.py SPEC PSQL PORT [--dry]    in a unit that has the credential "password"
# SPEC is JSON: directory, host, database, role, lock_seconds, tries, and files in order, each with name,
# sha256, transaction and indexes, as they were checked on the machine that deploys.
# Exit codes: 0 done or nothing to do, 1 a migration failed, 3 files were refused, 4 no database or no lock.
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import time

LOCK_KEY = 0x686F737477726967  # "hostwrig"; advisory locks are of one database each
LOCK_WAIT = 60.0
NUMBER = re.compile(r"\d{3,9}(?=_)")
# lock_timeout and deadlock_detected: another session was in the way, and may be gone a moment later.
BUSY = re.compile(r"\b(55P03|40P01): ")

HAS_LEDGER = "to_regclass('public.schema_migrations') IS NOT NULL"
ROWS = "SELECT coalesce(json_agg(json_build_array(name, sha256)), '[]') FROM public.schema_migrations"
LEDGER = """CREATE TABLE IF NOT EXISTS public.schema_migrations (
name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"""
# Before each file, and before its row: whatever a file set for its session ends with it. From 14 on the
# server looks whether we are still there, so that the statement of a killed run ends too.
SETTLE = """RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL;
DO $$ BEGIN IF current_setting('server_version_num')::int >= 140000 THEN
PERFORM set_config('client_connection_check_interval', '2s', false); END IF; END $$;"""
HOLDER = """SELECT 'process ' || a.pid || ' (' || a.application_name || ')'
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
AND (l.classid::bigint << 32) + l.objid::bigint = KEY LIMIT 1"""
INVALID = """SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relname = NAME AND pg_has_role(c.relowner, 'USAGE') LIMIT 1"""
# The transactions that have been open the longest: one of them is in the way.
BLOCKERS = """SELECT string_agg(format('process %s (%s, %s) %s, its transaction open since %s', pid, usename,
coalesce(nullif(application_name, ''), 'no name'), state, date_trunc('second', xact_start)), '; ')
FROM (SELECT * FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND xact_start IS NOT NULL ORDER BY xact_start LIMIT 3) a"""


class StoppedError(Exception):
    """Why nothing more was run, and the exit code for it."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class SessionError(Exception):
    """psql ended; its last lines."""


class Session:
    """One psql, and so one session, which the lock ends with."""

    def __init__(self, spec, psql, port, password):
        options = {"lock_timeout": f"{spec['lock_seconds']}s", "statement_timeout": "0",
                   "idle_in_transaction_session_timeout": "0", "client_min_messages": "warning"}  # fmt: skip
        # The password is in psql's environment alone: no argument, no file, no other process.
        environment = {
            "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PGPASSWORD": password,
            "PGCLIENTENCODING": "UTF8", "PGAPPNAME": "hostwright-migrate", "PGCONNECT_TIMEOUT": "10",
            "PGOPTIONS": " ".join(f"-c {key}={value}" for key, value in options.items()),
        }  # fmt: skip
        command = [psql, "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
        command += ["-h", spec["host"], "-p", port, "-U", spec["role"], "-d", spec["database"]]
        self.mark = f"hostwright-{os.urandom(8).hex()}"
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
            env=environment, encoding="utf-8", errors="replace",
        )  # fmt: skip

    def run(self, text):
        """Run SQL, show what it says, and return the values of `ask`; SessionError where it fails."""
        # Where psql has ended, its last words are read below.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{text}\n\\echo {self.mark}\n")
            self.process.stdin.flush()
        values, said = [], []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == self.mark:
                return values
            if line.startswith(self.mark + " "):
                values.append(line[len(self.mark) + 1 :])
            elif not line.startswith("LOCATION:"):
                said.append(line)
                print(line, flush=True)
        self.process.wait()
        raise SessionError("\n".join(said))

    def ask(self, expression):
        """Return an expression's value as text; None for null."""
        rows = f"FROM (SELECT ({expression})::text) AS one (value) WHERE value IS NOT NULL"
        return next(iter(self.run(f"SELECT '{self.mark} ' || value {rows};")), None)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def path_of(spec, file):
    return os.path.join(spec["directory"], file["name"] + ".sql")


def check_files(spec):
    """Refuse to go on with other files than those that were checked."""
    for file in spec["files"]:
        path = path_of(spec, file)
        try:
            with open(path, "rb") as content:
                digest = hashlib.sha256(content.read()).hexdigest()
        except OSError as problem:
            raise StoppedError(3, f"{path}: {problem.strerror}; deploy again") from None
        if digest != file["sha256"]:
            raise StoppedError(3, f"{path} is not the file that was checked; deploy again")


def ledger(session):
    return dict(json.loads(session.ask(ROWS))) if session.ask(HAS_LEDGER) == "true" else {}


def number(name):
    found = NUMBER.match(name)
    return int(found[0]) if found else -1


def pending(files, had):
    """Return what is still to run; refuse files that were changed or come too late, before any runs."""
    changed = [file["name"] for file in files if had.get(file["name"]) not in (None, file["sha256"])]
    if changed:
        remedy = "put the old text back and add a new file"
        raise StoppedError(3, f"{', '.join(changed)}: changed since it was applied; {remedy}")
    todo = [file for file in files if file["name"] not in had]
    latest = max(had, key=number, default="")
    late = [file["name"] for file in todo if number(file["name"]) <= number(latest)]
    if late:
        remedy = "give it the next number"
        raise StoppedError(3, f"{', '.join(late)}: numbered before {latest}, which was applied; {remedy}")
    return todo


def take_lock(session):
    """Wait until no other run is at work; the lock ends with the session, however that ends."""
    deadline = time.monotonic() + LOCK_WAIT
    while session.ask(f"pg_try_advisory_lock({LOCK_KEY})") != "true":
        if time.monotonic() > deadline:
            holder = session.ask(HOLDER.replace("KEY", str(LOCK_KEY))) or "a session that has just ended"
            what = f"another migration run still holds the lock after {LOCK_WAIT:.0f} s: {holder}"
            raise StoppedError(4, f"{what}; nothing was run; run again once it has ended")
        time.sleep(0.5)


def drop_invalid(session, names):
    """Remove what a cut-off CREATE INDEX CONCURRENTLY left: IF NOT EXISTS would take it for the index."""
    for name in names:
        found = session.ask(INVALID.replace("NAME", literal(name)))
        if found is not None:
            print(f"dropping the invalid index {found}, which an interrupted run left", flush=True)
            session.run(f"DROP INDEX CONCURRENTLY {found};")


def apply(session, spec, file):
    values = f"{literal(file['name'])}, {literal(file['sha256'])}"
    row = f"INSERT INTO public.schema_migrations (name, sha256) VALUES ({values});"
    session.run(SETTLE)
    if not file["transaction"]:
        drop_invalid(session, file["indexes"])
        session.run(f"\\i '{path_of(spec, file)}'")
        session.run(f"{SETTLE}\n{row}")
        return
    session.run("BEGIN;")
    begun = session.ask("pg_current_xact_id()")
    session.run(f"\\i '{path_of(spec, file)}'")
    if session.ask("pg_current_xact_id()") != begun:
        raise StoppedError(1, f"{file['name']} ended its own transaction; part of it is there, mend by hand")
    session.run(f"{SETTLE}\n{row}\nCOMMIT;")


def attempt(make, spec, done):
    """Apply what is pending in one session; return the file that was blocked, or None when all is done."""
    session = make()
    try:
        try:
            take_lock(session)
            todo = pending(spec["files"], ledger(session))
            if todo:
                session.run(LEDGER)
        except SessionError as problem:
            raise StoppedError(4, f"no migration was run: {problem}") from None
        for file in todo:
            started = time.monotonic()
            try:
                apply(session, spec, file)
            except SessionError as problem:
                if BUSY.search(str(problem)):
                    return file
                kept = f"; applied before it and kept: {', '.join(done)}" if done else ""
                raise StoppedError(1, f"{file['name']} failed and {left(file)}{kept}") from None
            done.append(file["name"])
            print(f"applied: {file['name']} ({time.monotonic() - started:.2f} s)", flush=True)
        return None
    finally:
        session.close()


def left(file):
    return "was rolled back" if file["transaction"] else "may have run in part; it is run again next time"


def migrate(make, spec):
    done = []
    for turn in range(1, spec["tries"] + 1):
        blocked = attempt(make, spec, done)
        if blocked is None:
            if not done:
                print("no pending migrations")
            return
        what = f"{blocked['name']} did not get its locks within {spec['lock_seconds']} s"
        if turn < spec["tries"]:
            print(f"{what} (try {turn} of {spec['tries']}); trying again in {turn} s", flush=True)
            time.sleep(turn)
    session = make()
    try:
        found = session.ask(BLOCKERS) or "none that this role may see; look as postgres, in pg_stat_activity"
    finally:
        session.close()
    raise StoppedError(
        1,
        f"{what}, {spec['tries']} times over, and {left(blocked)}\n"
        f"open transactions: {found}\nend what is in the way, or wait for it, and run again",
    )


def show(make, spec):
    session = make()
    try:
        todo = pending(spec["files"], ledger(session))
    except SessionError as problem:
        raise StoppedError(4, str(problem)) from None
    finally:
        session.close()
    print("\n".join(f"pending: {file['name']}" for file in todo) or "no pending migrations")


def main(spec_path, psql, port, *flags):
    try:
        with open(spec_path, encoding="utf-8") as file:
            spec = json.load(file)
        with open(os.path.join(os.environ["CREDENTIALS_DIRECTORY"], "password"), encoding="utf-8") as file:
            password = file.read().removesuffix("\n")

        def make():
            return Session(spec, psql, port, password)

        check_files(spec)
        (show if flags == ("--dry",) else migrate)(make, spec)
    except StoppedError as problem:
        print(f"migrations: {problem}", file=sys.stderr, flush=True)
        return problem.code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""
Make indexes beside all that goes on, and make again what an interrupted making left behind.

usage: postgres-cluster.sh CLUSTER up python3 -c ... DATABASE    JSON on standard input: lock_seconds, tries,
       and indexes, each with name, schema and create, the statement

Nobody waits for it: it gives up a lock that it does not get in time, leaves nothing, and tries again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

# lock_timeout and deadlock_detected: another session was in the way, and may be gone a moment later.
BUSY = re.compile(r"\b(55P03|40P01): ")
HOLDERS = """select 'process ' || pid || ' (' || application_name || '), in a transaction for '
|| date_trunc('second', now() - xact_start) from pg_stat_activity
where xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'
order by xact_start limit 5;"""


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def psql(database: str, sql: str) -> tuple[int, str, str]:
    command = [f"{os.environ['CLUSTER_BIN']}/psql", "-X", "-q", "-A", "-t"]
    options = ["-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
    done = subprocess.run(
        ["runuser", "-u", "postgres", "--", *command, *options],
        input=sql, capture_output=True, text=True, check=False, env={**os.environ, "PGDATABASE": database},
    )  # fmt: skip
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def settle(lock_seconds: int, schema: str) -> str:
    """Write what each session begins with; from 14 on a server notices that we are gone."""
    path = '"' + schema.replace('"', '""') + '"'
    return (
        f"set lock_timeout = '{lock_seconds}s'; set statement_timeout = 0;\n"
        "do $$ begin if current_setting('server_version_num')::int >= 140000 then\n"
        "perform set_config('client_connection_check_interval', '2s', false); end if; end $$;\n"
        f"set search_path = pg_catalog, {path}, public;\n"
    )


def drop_leftover(index: dict[str, str]) -> str:
    """Write what drops an index of this name that was never finished, and nothing else."""
    return (
        "select format('drop index concurrently %I.%I', n.nspname, c.relname) from pg_index i\n"
        "join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace\n"
        f"where not i.indisvalid and c.relname = {literal(index['name'])}\n"
        f"and n.nspname = {literal(index['schema'])} \\gexec\n"
    )


def make(database: str, index: dict[str, str], lock_seconds: int, tries: int) -> str:
    """Make one index; return what was wrong, or nothing."""
    begin = settle(lock_seconds, index["schema"]) + drop_leftover(index)
    for attempt in range(1, tries + 1):
        code, _, said = psql(database, begin + index["create"] + ";\n")
        if code == 0:
            return ""
        busy = BUSY.search(said) is not None
        # It would cost every write its upkeep, and answer no question.
        left, _, why = psql(database, begin)
        if not busy:
            break
        if attempt < tries:
            time.sleep(attempt)
    lines = [line for line in said.splitlines() if re.search(r"ERROR|FATAL|DETAIL|HINT|psql: ", line)]
    if busy:
        lines.append(f"it did not get its locks in {tries} times {lock_seconds} s; open transactions:")
        lines += [f"  {line}" for line in psql(database, HOLDERS)[1].splitlines()]
    if left != 0:
        lines.append(
            f"an INVALID index of that name is left, which the next run drops: {why.splitlines()[0]}"
        )
    return "\n".join(lines) or said


def main(database: str) -> int:
    spec = json.load(sys.stdin)
    for index in spec["indexes"]:
        wrong = make(database, index, spec["lock_seconds"], spec["tries"])
        if wrong:
            print(f"PostgreSQL: index {index['name']} in {database}: {wrong}", file=sys.stderr)
            return 1
        print(f"made index {index['name']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

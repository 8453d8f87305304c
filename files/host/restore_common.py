# What the programs of a restore share: psql, tables, and how they speak. A part of restore-*.py.
# All of them run below postgres-cluster.sh, which says where the server is.
import json
import os
import re
import subprocess

# An upload and a backup are root's: postgres reads them by a capability, and nobody has to own them anew.
# Without the bit access(2) would look without it, and by that pg_restore finds its files from 17 on.
READER = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
          "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
          "--securebits=+no_setuid_fixup", "--"]  # fmt: skip
NAME_LISTS = {"local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces"}


class FailedError(Exception):
    """What went wrong and what to do, for whoever reads it at night."""


def tool(name):
    return f"{os.environ['CLUSTER_BIN']}/{name}"


def environment(**settings):
    """Return the environment of a client with more settings of its session."""
    more = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return {**os.environ, "PGOPTIONS": f"{os.environ['PGOPTIONS']} {more}".strip()}


def psql(sql, database="postgres", variables=None, env=None):
    """Run SQL as the administrator and return the rows that it gives, each a list of texts."""
    words = [word for name, value in (variables or {}).items() for word in ("-v", f"{name}={value}")]
    done = subprocess.run(
        ["runuser", "-u", "postgres", "--", tool("psql"), "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1",
         *words, "-d", conninfo(database)],
        input=sql, capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip
    if done.returncode != 0:
        raise FailedError(f"database {database}: {clean(done.stderr)}")
    return [line.split("\t") for line in done.stdout.splitlines()]


def clean(said):
    """Return what a client says is wrong, or its last words, without its own name before each."""
    lines = [re.sub(r"^(psql|pg_restore)(:<stdin>:\d+)?: ", "", line) for line in said.strip().splitlines()]
    # The statement that failed follows, and may be long.
    wrong = next((place for place, line in enumerate(lines) if re.match(r"error: |ERROR: ", line)), None)
    return "\n".join(lines[-8:] if wrong is None else lines[wrong : wrong + 8])


def conninfo(database):
    value = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{value}'"


def identifier(value):
    return '"' + value.replace('"', '""') + '"'


def literal(value):
    return "'" + value.replace("'", "''") + "'"


def live(database):
    """Return what the live database is like; None where there is none."""
    rows = psql(
        """select to_jsonb(d) || jsonb_build_object('oid', d.oid::bigint, 'owner', pg_get_userbyid(datdba),
        'encoding_name', pg_encoding_to_char(encoding), 'size', pg_database_size(d.oid),
        'tablespace', spcname, 'server', current_setting('server_version_num')::int)
        from pg_database d join pg_tablespace t on t.oid = dattablespace where datname = :'database';""",
        variables={"database": database},
    )
    return json.loads(rows[0][0]) if rows else None


def holds(condition, database, role):
    """Return whether the app's own condition is true, asked as its own role, and what it gave."""
    rows = psql(
        f'set role {identifier(role)}; set search_path = "$user", public; '
        f"set default_transaction_read_only = on;\n{condition};",
        database,
    )
    if len(rows) > 1 or len(rows[0] if rows else []) > 1:
        # The last of several would speak for all of them.
        return False, " ".join(word for row in rows[:5] for word in row) + ", more than one value"
    given = rows[0][0] if rows else ""
    return given == "t", given


# As a backup counts them: what inherits from a table is a table of its own.
COUNT = r"""select format('select %L, count(*) from only %I.%I', nspname || '.' || relname, nspname, relname)
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and relpersistence <> 't' and nspname !~ '^pg_' and nspname <> 'information_schema'
order by 1 \gexec
"""


def count(database):
    """Return "schema.table" → rows, counted."""
    return {name: int(rows) for name, rows in psql(COUNT, database)}


def write(path, text):
    """Write a whole file by rename, and have it on the disk."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)
    handle = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def megabytes(size):
    return f"{size / 1e6:.0f} MB"

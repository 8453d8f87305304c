# The session whose snapshot is dumped, and what is asked in it: a part of backup_make.py.
import contextlib
import json
import subprocess

from backup_common import FailedError

# Rows are counted in these: plain tables whose data pg_dump writes. What belongs to an extension it does not.
TABLES = """
select coalesce(json_agg(json_build_array(n.nspname, c.relname, format('%I.%I', n.nspname, c.relname))
    order by n.nspname, c.relname), '[]')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence in ('p', 'u')
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
        and d.deptype = 'e')
    and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid
        and d.deptype = 'e');
"""
ABOUT = """
select json_build_object(
    'server_version', current_setting('server_version'),
    'database_bytes', pg_database_size(current_database()),
    'table_bytes', (select coalesce(sum(pg_table_size(c.oid)), 0) from pg_class c
        where c.relkind in ('r', 'm') and c.relpersistence <> 't'),
    'ledger', exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'name'
            and a.atttypid in ('text'::regtype, 'varchar'::regtype)
        where n.nspname = 'public' and c.relname = 'schema_migrations' and c.relkind = 'r'));
"""
LEDGER = (
    "select coalesce(json_agg(name order by name collate \"C\"), '[]') from only public.schema_migrations;"
)


class Session:
    """A psql that stays: its transaction holds the snapshot that is dumped and that rows are counted in."""

    def __init__(self, server, database):
        self.database = database
        self.psql = server.start(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, sql):
        """Return the one line that SQL gives, however long it takes."""
        line = ""
        with contextlib.suppress(BrokenPipeError):
            self.psql.stdin.write(sql.replace("\n", " ") + "\n")
            self.psql.stdin.flush()
            line = self.psql.stdout.readline()
        if not line:
            _, wrong = self.psql.communicate()
            raise FailedError(
                f"database {self.database}: {wrong.strip() or 'the server closed the connection'}"
            )
        return line.rstrip("\n")

    def tell(self, sql):
        self.ask(sql + " select 1;")

    def close(self):
        self.psql.kill()
        self.psql.communicate()


def lock_tables(rows):
    """Return statements that lock tables of TABLES; LOCK itself takes no snapshot."""
    names = [f"only {text}" for _, _, text in rows]
    some = (", ".join(names[first : first + 100]) for first in range(0, len(names), 100))
    return " ".join(f"lock table {few} in access share mode;" for few in some)


def count(session, quoted, ledger):
    """Return table → rows, and the names in the ledger of migrations, all in the snapshot of the dump."""
    session.tell("set local max_parallel_workers_per_gather = 0;")
    rows = {table: int(session.ask(f"select count(*) from only {text};")) for table, text in quoted.items()}
    return rows, json.loads(session.ask(LEDGER)) if ledger else []

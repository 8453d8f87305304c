# Say, as JSON, whether an app's database can be restored from what is asked for, and what would be lost.
# usage: postgres-cluster.sh CLUSTER up python3 ... restore-check.py SPEC
# SPEC is JSON: app, database, role, from (a stamp, "newest" or null), made (UNIX time of what comes from
# elsewhere, or null), time_columns, wipe_when (SQL or null). Changes nothing.
import json
import sys
import time

from restore_common import FailedError, holds, literal, live, psql
from restore_files import about, choose, fits, old_enough, stamps, verify

TIMES = {"timestamp with time zone", "timestamp without time zone", "date"}
NUMBERS = {"integer", "bigint", "numeric", "double precision", "real"}


def made_at(stamp):
    return time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone


def columns(database, wanted):
    """Return table → (quoted table, quoted column, type), of those that are there."""
    rows = psql(
        """select t.key, quote_ident(nspname) || '.' || quote_ident(relname), quote_ident(attname),
        atttypid::regtype from jsonb_each_text(:'wanted'::jsonb) t
        join pg_namespace
            on nspname = case when t.key like '%.%' then split_part(t.key, '.', 1) else 'public' end
        join pg_class c on relnamespace = pg_namespace.oid and relkind in ('r', 'p')
            and relname = case when t.key like '%.%' then split_part(t.key, '.', 2) else t.key end
        join pg_attribute on attrelid = c.oid and attname = t.value and attnum > 0 and not attisdropped;""",
        database,
        {"wanted": json.dumps(wanted)},
    )
    return {row[0]: row[1:] for row in rows}


def newer(database, wanted, made):
    """Return a line for each declared table: how many rows are newer than the backup."""
    if not wanted or made is None:
        return []
    found, asked, said = columns(database, wanted), [], []
    for table, column in wanted.items():
        if table not in found:
            said.append(f"{table}: there is no such table with a column {column}; correct time_columns")
            continue
        quoted, name, kind = found[table]
        if kind not in TIMES and kind not in NUMBERS:
            said.append(f"{table}.{column} is {kind}, which is no time; correct time_columns")
            continue
        # One without a time zone means what it means in the database's own.
        value = f"to_timestamp({name}::double precision)" if kind in NUMBERS else f"{name}::timestamptz"
        asked.append(
            f"select {literal(table)}, count(*), max({value}) at time zone 'UTC' from {quoted} "
            f"where {value} > to_timestamp({made});"
        )
    for table, rows, last in psql("\n".join(asked), database) if asked else ():
        said.append(
            f"{table}: {rows} rows are newer" + (f", the last of {last[:19]} UTC" if int(rows) else "")
        )
    return said


def estimates(database):
    """Return "schema.table" → about how many rows it has, without reading one."""
    rows = psql(
        "select schemaname || '.' || relname, n_live_tup from pg_stat_user_tables order by 1;", database
    )
    return {name: int(rows) for name, rows in rows}


def check(spec):
    now = live(spec["database"])
    if now is None:
        raise FailedError(f"there is no database {spec['database']!r} on this host; run deploy.py first")
    found = {
        "server": now["server"],
        "size": now["size"],
        "stamps": stamps(spec["app"]),
        "path": None,
        "backup": None,
    }
    made = spec["made"]
    if spec["from"] is not None:
        found["path"] = choose(spec["app"], spec["from"])
        found["backup"] = about(found["path"])
        fits(found["backup"], spec["app"])
        old_enough(found["backup"]["server_version"], now["server"])
        verify(found["path"], found["backup"]["files"])
        made = made_at(found["backup"]["stamp"])
    found["newer"] = newer(spec["database"], spec["time_columns"], made)
    found["rows"] = estimates(spec["database"])
    if spec["wipe_when"] is not None:
        found["may_wipe"], found["said"] = holds(spec["wipe_when"], spec["database"], spec["role"])
    return found


if __name__ == "__main__":
    try:
        print(json.dumps(check(json.loads(sys.argv[1]))))
    except FailedError as error:
        print(json.dumps({"problem": str(error)}))

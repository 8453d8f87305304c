"""
Read what costs time in databases, and show no value of anybody's: what is sent has no literal left in it.

usage: postgres-cluster.sh CLUSTER ask-up python3 -c ... LINES MEGABYTES DATABASE...
       LINES of each list at most; MEGABYTES from which on a table is large

Prints one JSON object, database to what was found in it; null where there is no such database.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from postgres_statements import without_values

QUERY = r"""
select to_regclass('public.pg_stat_statements') is not null
    and 'pg_stat_statements' = any(string_to_array(
        replace(current_setting('shared_preload_libraries'), ' ', ''), ',')) as counted \gset
\if :counted
with mine as (
    select s.query, pg_get_userbyid(s.userid) as role, s.calls, s.total_exec_time, s.rows,
        s.shared_blks_hit, s.shared_blks_read
    from public.pg_stat_statements s
    join pg_database d on d.oid = s.dbid and d.datname = current_database()
    -- The administrator's own: backups, migrations of ours, and what reads this.
    where s.userid <> 10)
select coalesce(jsonb_agg(to_jsonb(one) order by one.total_exec_time desc), '[]')
from (select query, role, sum(calls) as calls, sum(total_exec_time) as total_exec_time, sum(rows) as rows,
    sum(shared_blks_hit) as hit, sum(shared_blks_read) as read
    from mine group by query, role order by sum(total_exec_time) desc limit :lines) one;
\else
select 'null';
\endif
select jsonb_build_object(
    'since', (select extract(epoch from coalesce(stats_reset, pg_postmaster_start_time()))
        from pg_stat_database where datname = current_database()),
    'tables', (select coalesce(jsonb_agg(to_jsonb(t) order by t.seq_tup_read desc), '[]') from (
        select format('%I.%I', schemaname, relname) as name, pg_table_size(relid) as size, seq_scan,
            seq_tup_read, coalesce(idx_scan, 0) as idx_scan
        from pg_stat_user_tables
        where seq_scan > 0 and pg_table_size(relid) >= :megabytes * 1048576::bigint
        order by seq_tup_read desc limit :lines) t),
    'unused', (select coalesce(jsonb_agg(to_jsonb(u) order by u.size desc), '[]') from (
        select format('%I.%I', s.schemaname, s.indexrelname) as name, s.relname as table_name,
            pg_relation_size(s.indexrelid) as size
        from pg_stat_user_indexes s join pg_index i on i.indexrelid = s.indexrelid
        where s.idx_scan = 0 and i.indisvalid and not i.indisunique and not i.indisreplident
        order by pg_relation_size(s.indexrelid) desc limit :lines) u),
    'invalid', (select coalesce(jsonb_agg(i.indexrelid::regclass::text), '[]')
        from pg_index i where not i.indisvalid),
    'duplicate', (select coalesce(jsonb_agg(to_jsonb(d) order by d.size desc), '[]') from (
        select array_agg(i.indexrelid::regclass::text order by i.indisunique desc, i.indexrelid) as names,
            i.indrelid::regclass::text as table_name,
            sum(pg_relation_size(i.indexrelid)) - max(pg_relation_size(i.indexrelid)) as size
        from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
        where i.indisvalid and n.nspname not in ('pg_catalog', 'pg_toast', 'information_schema')
        group by i.indrelid, c.relam, i.indkey::text, i.indclass::text, i.indcollation::text,
            i.indoption::text, i.indnkeyatts, coalesce(pg_get_expr(i.indexprs, i.indrelid), ''),
            coalesce(pg_get_expr(i.indpred, i.indrelid), '')
        having count(*) > 1 limit :lines) d));
"""


def psql(database: str, lines: int, megabytes: int) -> Any:
    command = [f"{os.environ['CLUSTER_BIN']}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        ["runuser", "-u", "postgres", "--", *command, "-v", f"lines={lines}", "-v", f"megabytes={megabytes}"],
        input=QUERY, capture_output=True, text=True, check=False, env={**os.environ, "PGDATABASE": database},
    )  # fmt: skip
    if done.returncode != 0:
        if "does not exist" in done.stderr:
            return None
        raise RuntimeError(done.stderr.strip())
    first, second = done.stdout.strip().splitlines()
    statements = json.loads(first)
    for one in statements or ():
        one["query"] = without_values(one["query"])
    return {"statements": statements, **json.loads(second)}


def main(lines: str, megabytes: str, *databases: str) -> int:
    try:
        found = {database: psql(database, int(lines), int(megabytes)) for database in databases}
    except RuntimeError as problem:
        print(f"PostgreSQL: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

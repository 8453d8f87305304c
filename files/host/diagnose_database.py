# The database server, and each app's database: sizes, connections, cache, slow statements, dead rows, old
# transactions. Statements are those of pg_stat_statements, without their values.
import glob
import json
import os
import re

from diagnose_common import printable, read, run
from postgres_statements import without_values

LINES = 15
QUERY = r"""
select to_regclass('public.pg_stat_statements') is not null
    and 'pg_stat_statements' = any(string_to_array(
        replace(current_setting('shared_preload_libraries'), ' ', ''), ',')) as counted \gset
\if :counted
select coalesce(jsonb_agg(to_jsonb(one) order by one.total_ms desc), '[]')
from (select query, pg_get_userbyid(s.userid) as role, sum(calls) as calls, sum(total_exec_time) as total_ms,
    sum(rows) as rows from public.pg_stat_statements s
    join pg_database d on d.oid = s.dbid and d.datname = current_database()
    -- The administrator's own: backups, migrations of ours, and what reads this.
    where s.userid <> 10 group by 1, 2 order by 4 desc limit :lines) one;
\else
select 'null';
\endif
select jsonb_build_object(
    'bytes', pg_database_size(current_database()),
    'hit', (select blks_hit from pg_stat_database where datname = current_database()),
    'read', (select blks_read from pg_stat_database where datname = current_database()),
    'commits', (select xact_commit from pg_stat_database where datname = current_database()),
    'rollbacks', (select xact_rollback from pg_stat_database where datname = current_database()),
    'written', (select tup_inserted + tup_updated + tup_deleted from pg_stat_database
        where datname = current_database()),
    'deadlocks', (select deadlocks from pg_stat_database where datname = current_database()),
    'since', (select extract(epoch from coalesce(stats_reset, pg_postmaster_start_time()))
        from pg_stat_database where datname = current_database()),
    'connections', (select coalesce(jsonb_object_agg(state, n), '{}') from (
        select coalesce(state, 'other') as state, count(*) as n from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() group by 1) c),
    'dead_rows', (select coalesce(sum(n_dead_tup), 0) from pg_stat_user_tables),
    'live_rows', (select coalesce(sum(n_live_tup), 0) from pg_stat_user_tables),
    -- Dead rows take as much room as living ones: an estimate, and the free room within pages is not in it.
    'dead_bytes', (select coalesce(sum(pg_table_size(relid) * n_dead_tup
        / greatest(n_dead_tup + n_live_tup, 1)), 0)::bigint from pg_stat_user_tables),
    'tables', (select coalesce(jsonb_object_agg(name, size), '{}') from (
        select format('%I.%I', schemaname, relname) as name, pg_total_relation_size(relid) as size
        from pg_stat_user_tables order by 2 desc limit :lines) t));
"""
SERVER = r"""
select jsonb_build_object(
    'used', (select count(*) from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid()),
    'max', current_setting('max_connections')::int,
    'oldest_transaction', (
        select greatest(0, coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0))
        from pg_stat_activity where xact_start is not null and pid <> pg_backend_pid()
        and backend_type = 'client backend'),
    'waiting', (select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and backend_type = 'client backend'),
    'frozen_age', (select max(age(datfrozenxid)) from pg_database),
    'databases', (select jsonb_agg(datname) from pg_database where not datistemplate));
"""


def cluster_of(wanted):
    """Return "VERSION/NAME" of the cluster, and its server's directory and port; None where none runs."""
    found = sorted(glob.glob("/etc/postgresql/*/*/postgresql.conf"))
    names = ["/".join(path.split("/")[3:5]) for path in found]
    if wanted is not None:
        names = [one for one in names if one == wanted]
    if not names:
        return None
    if len(names) > 1:
        raise OSError(f"there are several clusters: {', '.join(names)}; name one in postgresql.cluster")
    given = re.findall(
        r"^\s*data_directory\s*=?\s*'([^']*)'", read(f"/etc/postgresql/{names[0]}/postgresql.conf"), re.M
    )
    data = given[-1] if given else f"/var/lib/postgresql/{names[0]}"
    lines = read(f"{data}/postmaster.pid", "").splitlines()
    # A power cut leaves the file of a server that is no more.
    if len(lines) < 8 or not os.path.exists(f"/proc/{lines[0]}") or not lines[7].startswith("ready"):
        raise OSError(f"PostgreSQL {names[0]} does not accept connections; pg_lsclusters shows its state")
    return names[0], lines[4], lines[3]


def ask(cluster, database, query):
    name, directory, port = cluster
    said = run(
        f"/usr/lib/postgresql/{name.partition('/')[0]}/bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1",
        "-v", f"lines={LINES}", stdin=query, user="postgres", group="postgres", extra_groups=[],
        env={
            "PGHOST": directory, "PGPORT": port, "PGDATABASE": database, "PGAPPNAME": "hostwright-diagnose",
            "PGCONNECT_TIMEOUT": "3", "PGCLIENTENCODING": "UTF8",
            # Nobody waits for what only looks on, and it does not wait for anybody.
            "PGOPTIONS": "-c search_path=pg_catalog -c lc_messages=C -c client_min_messages=warning"
            " -c default_transaction_read_only=on -c statement_timeout=4s -c lock_timeout=1s",
        },
    )  # fmt: skip
    return [json.loads(line) for line in said.strip().splitlines()]


def database(spec):
    """Return the server and its apps' databases; None where there is no server."""
    cluster = cluster_of(spec["cluster"])
    if cluster is None:
        return None
    (server,) = ask(cluster, "postgres", SERVER)
    there = server.pop("databases")
    found = {}
    for name in spec["databases"]:
        if name not in there:
            continue
        statements, about = ask(cluster, name, QUERY)
        for one in statements or ():
            one["query"] = printable(without_values(one["query"]), 320)
            one["total_ms"] = round(float(one["total_ms"]), 3)
        found[name] = {**about, "statements": statements}
    return {"cluster": cluster[0], **server, "databases": found}

# What an undo asks of the databases: a part of trial-undo.py.
import glob
import json
import os
import subprocess
import time

from database_names import SWITCHER, quoted, rename

# After a boot the server may still be starting.
DATABASE = 60
CLIENT = ["runuser", "-u", "postgres", "--", "psql"]


def server(cluster):
    """Return the environment in which Debian's psql finds a cluster; the host's only one without a name."""
    return {**os.environ, **({"PGCLUSTER": cluster} if cluster else {})}


def beyond_return(run):
    """Return the apps whose earlier release cannot live with what a migration of this run has done."""
    found = {}
    for app, about in run["releases"].items():
        wanted = about.get("irreversible")
        if not wanted:
            continue
        ask = "select name from public.schema_migrations"
        began = time.monotonic()
        while True:
            done = subprocess.run(
                ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", wanted["database"], "-c", ask],
                capture_output=True, text=True, check=False, cwd="/", env=server(wanted["cluster"]),
            )  # fmt: skip
            if done.returncode == 0 or time.monotonic() - began > DATABASE:
                break
            time.sleep(1)
        had = {name.removesuffix(".sql") for name in done.stdout.split()}
        # Where the database does not say, the code that fits the migration is the safer one.
        names = sorted(set(wanted["names"]) & had) if done.returncode == 0 else wanted["names"]
        if names:
            found[app] = names
    return found


def ask(cluster, sql):
    """Run SQL as the administrator and return its rows; wait for a server that is still starting."""
    began = time.monotonic()
    while True:
        done = subprocess.run(
            [*CLIENT, "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", "postgres"],
            input=sql, capture_output=True, text=True, check=False, cwd="/", env=server(cluster),
        )  # fmt: skip
        # 2: there was no connection.
        if done.returncode != 2 or time.monotonic() - began > DATABASE:
            break
        time.sleep(0.5)
    done.check_returncode()
    return [line.split("\t") for line in done.stdout.splitlines()]


def databases_back(snapshot, program):
    """
    Give back their names to the databases that a run has switched, as its notes in the snapshot tell.

    Which is which is asked of the server, by oid: cut off anywhere, it is done again. What the run had only
    begun to fill is dropped; what was whole is kept under its dated name. Returns what was done.
    """
    said = []
    for path in sorted(glob.glob(snapshot + "/databases/*.json")):
        with open(path, encoding="utf-8") as file:
            note = json.load(file)
        cluster = note["cluster"]
        # The run's clients are dead; what its last session was about to commit must be over before we look.
        ours = f"from pg_stat_activity where application_name = '{SWITCHER}'"
        ask(cluster, f"select pg_terminate_backend(pid) {ours};")
        while ask(cluster, f"select pid {ours};"):
            time.sleep(0.1)
        names = dict(ask(cluster, "select oid, datname from pg_database;"))
        old, live, fresh = names.get(str(note["live"])), note["database"], note["fresh"]
        there = fresh in names.values()
        if old == note["replaced"]:
            said += program(*note["stop"]).splitlines()
            # Somebody may have dropped the new one meanwhile.
            pairs = [(live, fresh)] if live in names.values() else []
            rename(CLIENT, server(cluster), [*pairs, (old, live)])
            said.append(f"{old} is database {live} again; what took its place is kept as {fresh}")
        elif old != live:
            raise ValueError(f"{live}: the database with oid {note['live']} is now {old}; see pg_database")
        elif there and not note["loaded"]:
            ask(cluster, f"drop database {quoted(fresh)} with (force);")
            said.append(f"dropped {fresh}, which was not whole; {live} was not touched")
        elif there:
            said.append(f"{live} was not touched; what should have taken its place is kept as {fresh}")
    return said

# What an undo asks of the databases: a part of trial-undo.py.
import os
import subprocess
import time

# After a boot the server may still be starting.
DATABASE = 60


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

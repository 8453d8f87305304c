# Give databases other names, all or none of them. A part of trial-undo.py and restore-switch.py.
import subprocess
import time

# The session that renames; whoever undoes it waits for its end before it looks.
SWITCHER = "hostwright-switch"
IN_USE = "is being accessed by other users"
PATIENCE = 30


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def rename(client, env, pairs):
    """
    Rename databases in one transaction, once the connections to them have been ended.

    + client: words that begin a psql as the administrator, connected to none of them
    + env: its environment
    + pairs: from and to, in order

    Raises ValueError with what the server said.
    """
    names = ", ".join("'" + name.replace("'", "''") + "'" for name, _ in pairs)
    end = (
        "select pg_terminate_backend(pid) from pg_stat_activity "
        f"where datname in ({names}) and pid <> pg_backend_pid();"
    )
    # Renaming is part of a transaction as any other change of the catalog: a power cut leaves all or none.
    both = "".join(f"alter database {quoted(old)} rename to {quoted(new)};" for old, new in pairs)
    deadline = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run(
            [*client, "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres"],
            input=f"{end}\nbegin;\n{both}\ncommit;\n", capture_output=True, text=True, check=False, cwd="/",
            env={**env, "PGAPPNAME": SWITCHER, "PGOPTIONS": "-c lock_timeout=10s -c synchronous_commit=on"},
        )  # fmt: skip
        if done.returncode == 0:
            return
        if IN_USE not in done.stderr or time.monotonic() > deadline:
            raise ValueError(
                f"{', '.join(old for old, _ in pairs)} could not be renamed: {done.stderr.strip()}"
            )
        time.sleep(0.05)

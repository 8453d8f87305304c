# Let the app's role into a fresh database for the time of its migrations, or no longer.
# usage: postgres-cluster.sh CLUSTER up python3 ... restore-hba.py admit|dismiss DATABASE ROLE
# A row for this one database and role, before all others, so that it can change nothing for anybody else. An
# undo puts the file back, and so does the next deploy.
import contextlib
import os
import sys
import time

from restore_common import FailedError, psql

MARK = "# for the time of a restore"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def read(path):
    """Return what a file says and whose it is; root follows no link in postgres's directory."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
        return file.read(), os.fstat(file.fileno())


def replace(path, text, found):
    aside = path + ".restore"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o640)
        os.fchown(file.fileno(), found.st_uid, found.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, path)


def main(verb, database, role):
    path = os.environ["CLUSTER_CONF"] + "/pg_hba.conf"
    try:
        text, found = read(path)
    except OSError as error:
        raise FailedError(f"{path}: {error.strerror}; it has to be a plain file") from None
    lines = text.splitlines()
    kept = [line for line in lines if not line.endswith(MARK)]
    row = f"host\t{quoted(database)}\t{quoted(role)}\t127.0.0.1/32\tscram-sha-256\t{MARK}"
    wanted = [row, *kept] if verb == "admit" else kept
    if wanted == lines:
        return
    replace(path, "\n".join(wanted) + "\n", found)
    rows = psql("select count(*) from pg_hba_file_rules where error is not null;")
    if rows[0][0] != "0":
        replace(path, "\n".join(kept) + "\n", found)
        raise FailedError(f"{path} did not take a row for {database!r}; it is as it was")
    psql("select pg_reload_conf();")
    # A reload is asked for, not waited for.
    time.sleep(0.3)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FailedError as error:
        print(f"restore: {error}", file=sys.stderr)
        sys.exit(1)

# Let the app's role into a fresh database for the time of its migrations, or no longer.
# usage: postgres-cluster.sh CLUSTER up python3 ... restore-hba.py admit|dismiss DATABASE ROLE
# A row for this one database and role, before all others, so that it can change nothing for anybody else. An
# undo puts the file back, and so does the next deploy.
import os
import sys
import time

from restore_common import FailedError, psql

MARK = "# for the time of a restore"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def replace(path, text, found):
    aside = path + ".restore"
    with open(aside, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o640)
        os.fchown(file.fileno(), found.st_uid, found.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, path)


def main(verb, database, role):
    path = os.environ["CLUSTER_CONF"] + "/pg_hba.conf"
    found = os.stat(path)
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
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


try:
    main(*sys.argv[1:])
except FailedError as error:
    print(f"restore: {error}", file=sys.stderr)
    sys.exit(1)

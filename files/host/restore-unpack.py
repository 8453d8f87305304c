# Check what was uploaded for a restore, all of it, and unpack a tar. Touches nothing else.
# usage: postgres-cluster.sh CLUSTER up python3 ... restore-unpack.py SPEC       JSON: app, upload, sha256
import json
import os
import sys

from restore_common import FailedError, psql, write
from restore_upload import check


def main():
    os.umask(0o077)
    spec = json.loads(sys.argv[1])
    server = int(psql("show server_version_num;")[0][0])
    found = check(spec, server)
    write(spec["upload"] + ".json", json.dumps(found))
    version = f" of PostgreSQL {found['version']}" if found["version"] else ""
    print(f"{spec['app']}: what was sent is whole: a dump{version}, format {found['kind']}")


try:
    main()
except FailedError as error:
    print(f"restore: {error}; nothing was touched", file=sys.stderr)
    sys.exit(1)

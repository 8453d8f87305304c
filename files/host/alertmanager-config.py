"""
Put secrets into Alertmanager's configuration, in memory alone, before it starts.

usage: alertmanager-config.py CONFIG SECRETS TO GROUP     SECRETS is a directory with a file for each

Where the configuration has "http://hostwright.invalid/NAME" the content of the file NAME is put.
"""

import grp
import json
import os
import re
import sys

PLACE = re.compile(r'"http://hostwright\.invalid/([a-z_]+)"')


def main(config, secrets, to, group):
    def secret(found):
        with open(os.path.join(secrets, found[1]), encoding="utf-8") as file:
            # JSON's way to quote a text is one of YAML's.
            return json.dumps(file.read().rstrip("\n"))

    with open(config, encoding="utf-8") as file:
        text = PLACE.sub(secret, file.read())
    handle = os.open(f"{to}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchown(file.fileno(), 0, grp.getgrnam(group).gr_gid)
        os.fchmod(file.fileno(), 0o640)
    os.rename(f"{to}.new", to)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as problem:
        sys.exit(f"the configuration of Alertmanager cannot be made: {problem}")

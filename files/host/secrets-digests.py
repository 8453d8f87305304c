"""Print one JSON object: of each secret of a directory owner and mode, of some a salted, slow digest.

usage: secrets-digests.py DIRECTORY SALT ITERATIONS NAME...      NAME: whose digest is wanted
"""

import grp
import hashlib
import json
import os
import pwd
import sys

directory, salt, iterations, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
found = {}
for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
    path = os.path.join(directory, name)
    if name.startswith(".") or not os.path.isfile(path):
        continue
    status = os.lstat(path)
    with open(path, "rb") as file:
        value = file.read()
    found[name] = {
        "user": pwd.getpwuid(status.st_uid).pw_name,
        "group": grp.getgrgid(status.st_gid).gr_name,
        "mode": f"{status.st_mode & 0o7777:04o}",
        "empty": not value.strip(),
        "digest": "",
    }
    if name in wanted:
        found[name]["digest"] = hashlib.pbkdf2_hmac("sha256", value, salt.encode(), iterations).hex()
print(json.dumps(found))

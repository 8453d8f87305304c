# Print the SQL files of a directory as JSON, name to text.
# usage: restore-migrations.py DIRECTORY
import json
import os
import sys

found = {}
for name in sorted(os.listdir(sys.argv[1])) if os.path.isdir(sys.argv[1]) else ():
    if name.endswith(".sql"):
        # Each byte as it is: their digests are compared.
        with open(f"{sys.argv[1]}/{name}", encoding="utf-8", errors="surrogateescape", newline="") as file:
            found[name] = file.read()
print(json.dumps(found))

# Processes that have one secret in their environment or their command line; its value is never shown.
# ABOUT: secret, the file that it is in.
# mypy: ignore-errors
import os
import sys

from tests.acceptance.host.common import ABOUT, answer

with open(ABOUT["secret"], "rb") as file:
    value = file.read().strip()
if not value:
    sys.exit(f"{ABOUT['secret']} is empty")
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    for place in ("environ", "cmdline"):
        try:
            with open(f"/proc/{pid}/{place}", "rb") as file:
                text = file.read()
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                name = file.read().strip()
        except OSError:
            continue  # it ended meanwhile
        if value in text:
            found.append(f"{place} of process {pid}, {name}")
answer({"found": found})

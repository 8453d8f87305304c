"""
Let Prometheus remember of a database what it sees of it now, as if it had been so for a day of the test's.

usage: day_before.py DATABASE      as root on a host whose rules have two seconds in a minute
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:9090/api/v1/query?"
METRIC = "pg_database_size_bytes"
DATA = Path("/var/lib/hostwright/monitoring/prometheus")
# Seconds back, from when until when: a day of 1440 minutes is 2880, and ten of them are room for the test.
BEGIN, END, EVERY = 3600, 600, 60
PATIENCE = 60


def seen(query: str) -> dict[str, str] | None:
    """Return the labels of what Prometheus has, with its value; None where it has nothing yet."""
    with urllib.request.urlopen(URL + urllib.parse.urlencode({"query": query}), timeout=5) as answer:
        found = json.load(answer)["data"]["result"]
    return {**found[0]["metric"], "value": found[0]["value"][1]} if found else None


def text(labels: dict[str, str], value: str, now: int) -> str:
    """Return the samples as promtool reads them."""
    inside = ",".join(f'{name}="{labels[name]}"' for name in sorted(labels) if name != "__name__")
    times = range(now - BEGIN, now - END, EVERY)
    return "".join(
        [f"# TYPE {METRIC} gauge\n", *(f"{METRIC}{{{inside}}} {value} {at}\n" for at in times), "# EOF\n"]
    )


def main(database: str) -> None:
    end = time.monotonic() + PATIENCE
    # Both: what it wrote has to be known from its beginning.
    while True:
        size = seen(f'{METRIC}{{datname="{database}"}}')
        if size is not None and seen(f'pg_stat_database_tup_inserted{{datname="{database}"}}') is not None:
            break
        if time.monotonic() > end:
            sys.exit(f"Prometheus does not see the database {database} within {PATIENCE} s")
        time.sleep(0.5)
    value = size.pop("value")
    with tempfile.TemporaryDirectory(dir=DATA.parent) as made:
        given, blocks = Path(made, "given"), Path(made, "blocks")
        given.write_text(text(size, value, int(time.time())))
        words = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(given), str(blocks)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        for block in blocks.iterdir():
            for one in (block, *block.rglob("*")):
                shutil.chown(one, "prometheus", "prometheus")
            # It looks for new ones each minute.
            block.rename(DATA / block.name)


if __name__ == "__main__":
    main(sys.argv[1])

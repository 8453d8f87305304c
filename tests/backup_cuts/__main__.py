"""Cut off 20 backups under write load, each in another moment, and write docs/backup-cuts.md."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lab import lifecycle
from tests.backup_cuts import shop
from tests.backup_cuts.shop import Cut, Outcome
from tests.lab import templates
from tests.lab.playbook import LabHost, shell

REPORT = Path(__file__).resolve().parent.parent.parent / "docs" / "backup-cuts.md"
ROWS = 900_000
# Parts of the time that a whole one takes: from its first moments to past its end.
CUTS = [
    *(Cut("dump", part) for part in (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)),
    *(Cut("program", part) for part in (0.03, 0.2, 0.45, 0.75, 0.9, 1.0, 1.15)),
    *(Cut("power", part) for part in (0.15, 0.5, 0.85, 1.2)),
    *(Cut("disk", part) for part in (0.3, 0.6, 0.9)),
]
WORDS = {
    "dump": "`kill -9` of pg_dump", "program": "`kill -9` of the program", "power": "power cut",
    "disk": "disk full",
}  # fmt: skip
HEAD = """# Backups that were cut off

Written by `make backup-cuts` on {image}: {count} backups of a database with {rows} rows, which another
program writes to all the time, each cut off at another moment of the {whole:.1f} s that a whole one takes.
What is listed as a backup afterwards is restored and compared; every row whose insert was acknowledged must
be in the database.

| cut off by | at | what the state says | listed | restores | rows acknowledged | lost |
|---|---|---|---|---|---|---|
"""


def line(one: Outcome) -> str:
    restores = ("yes" if one.proven else "**NO**") if one.new else "-"
    return (
        f"| {WORDS[one.cut.how]} | {one.seconds:.2f} s | {one.why} | {'yes' if one.new else 'no'} "
        f"| {restores} | {one.acknowledged} | {one.lost} |"
    )


def main(image: str) -> int:
    name = f"cuts-{image}"
    try:
        with templates.disk("packages", image) as saved:
            up = lifecycle.up(name, image=image, disk=saved)
        host = LabHost(name, image, up.address, up.key, up.known_hosts)
        templates.settled(host, "packages")
        shop.prepare(host, rows=ROWS)
        shop.write(host)
        began = time.monotonic()
        if shop.start(host) != 0:
            print("a backup that nobody cuts off fails", shop.listed(host)["state"])
            return 1
        whole = time.monotonic() - began
        outcomes = []
        for number, how in enumerate(CUTS, 1):
            if how.how == "disk" and CUTS[number - 2].how != "disk":
                shop.mount_small(host, 400)
            outcomes.append(shop.cut(host, how, whole))
            print(
                f"{number}/{len(CUTS)} {'ok ' if outcomes[-1].good else 'BAD'} {line(outcomes[-1])}",
                flush=True,
            )
        # After all that, one that nobody cuts off is whole, and takes away what the others have left.
        time.sleep(1.1)
        after = shop.start(host) == 0 and shop.start(host, shop.PROOF) == 0
        left = shell(host, f"ls -A {shop.ROOT}").split()
        tidy = not [one for one in left if one.startswith(".")]
    finally:
        lifecycle.down(name)
    bad = [one for one in outcomes if not one.good]
    text = HEAD.format(image=image, count=len(CUTS), rows=ROWS, whole=whole)
    text += "\n".join(map(line, outcomes)) + "\n\n"
    text += f"{len(outcomes) - len(bad)} of {len(outcomes)} as promised. The next backup after them was "
    text += (
        f"{'whole and proven' if after else '**NOT WHOLE**'}, and {'nothing' if tidy else '**something**'} "
    )
    text += "that was not finished was left.\n"
    REPORT.write_text(text, encoding="utf-8")
    return 0 if not bad and after and tidy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "bookworm"))

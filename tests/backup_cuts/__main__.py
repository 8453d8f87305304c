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
IMAGES = ("bookworm", "trixie")
ROWS = 900_000
# Parts of the time that a whole one takes, and the moment at which it begins to count.
CUTS = [
    *(Cut("dump", part) for part in (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)),
    *(Cut("program", part) for part in (0.03, 0.2, 0.45, 0.75, 0.95, None, None)),
    *(Cut("power", part) for part in (0.15, 0.5, 0.85, None)),
    *(Cut("disk", part) for part in (0.3, 0.6, 0.9)),
]
WORDS = {
    "dump": "`kill -9` of pg_dump", "program": "`kill -9` of the program", "power": "power cut",
    "disk": "disk full",
}  # fmt: skip
HEAD = """# Backups that were cut off

Written by `make backup-cuts`: {count} backups on each image of a database with {rows} rows, which another
program writes to all the time, each cut off at another moment. What is listed as a backup afterwards is
restored and compared; every row whose insert was acknowledged must be in the database.
"""
TABLE = """
## {image}

A whole one takes {whole:.1f} s.

| cut off by | at | what the state says | listed | restores | rows acknowledged | lost |
|---|---|---|---|---|---|---|
"""


def line(one: Outcome) -> str:
    restores = ("yes" if one.proven else "**NO**") if one.new else "-"
    moment = "its name" if one.seconds is None else f"{one.seconds:.2f} s"
    return (
        f"| {WORDS[one.cut.how]} | {moment} | {one.why} | {'yes' if one.new else 'no'} "
        f"| {restores} | {one.acknowledged} | {one.lost} |"
    )


def cuts(host: LabHost, whole: float) -> list[Outcome]:
    """Cut one backup after another off."""
    outcomes: list[Outcome] = []
    for how in CUTS:
        if how.how == "disk" and outcomes[-1].cut.how != "disk":
            shop.mount_small(host, 400)
        outcomes.append(shop.cut(host, how, whole))
        verdict = "ok " if outcomes[-1].good else "BAD"
        print(f"{host.image} {len(outcomes)}/{len(CUTS)} {verdict} {line(outcomes[-1])}", flush=True)
    return outcomes


def table(image: str) -> tuple[str, bool]:
    """Go through all cuts on one image; return what came of it, and whether all of it is as promised."""
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
            raise SystemExit(f"a backup that nobody cuts off fails: {shop.listed(host)['state']}")
        whole = time.monotonic() - began
        outcomes = cuts(host, whole)
        # After all that, one that nobody cuts off is whole, and takes away what the others have left.
        time.sleep(1.1)
        after = shop.start(host) == 0 and shop.start(host, shop.PROOF) == 0
        tidy = not [one for one in shell(host, f"ls -A {shop.ROOT}").split() if one.startswith(".")]
    finally:
        lifecycle.down(name)
    good = [one for one in outcomes if one.good]
    text = TABLE.format(image=image, whole=whole) + "\n".join(map(line, outcomes))
    text += (
        f"\n\n{len(good)} of {len(outcomes)} as promised, {sum(one.new for one in outcomes)} of them listed. "
        f"The next backup was {'whole and proven' if after else '**NOT WHOLE**'}, "
        f"and {'nothing' if tidy else '**something**'} that was not finished was left.\n"
    )
    return text, len(good) == len(outcomes) and after and tidy


def main(images: list[str]) -> int:
    parts = [table(image) for image in images or IMAGES]
    if not images:
        head = HEAD.format(count=len(CUTS), rows=ROWS)
        REPORT.write_text(head + "".join(text for text, _ in parts), encoding="utf-8")
    return 0 if all(good for _, good in parts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

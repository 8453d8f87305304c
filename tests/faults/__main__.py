"""The command line: `python -m tests.faults`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path

from tests.faults import table, upgrade, workers
from tests.faults.cell import Outcome
from tests.faults.controller import Operation
from tests.lab.playbook import PROJECT

DOCUMENT = PROJECT / "docs" / "faults.md"
PREFACE = f"""\
An upgrade of `examples/rec_io` from one release to the next, which changes code, packages, a
migration, supervisor programs, logrotate, PostgreSQL settings (with a restart), a role, swap
and the firewall. It is broken once after each of its operations, in four ways. A cell is good
where afterwards either all of release 1 works or all of release 2 does: files, processes and
what they run, server settings, rules in the kernel, pages; no acknowledged row is lost,
nothing is left behind, and the next plain `deploy.py` ends with exit code 0 at release 2. Data
does not go back: the migration may be there while release 1 runs.

Each cell says which release the host was at, and how many seconds after the fault all of it was seen to
work. The trial's deadline was {upgrade.TRIAL_SECONDS} s here; it is 300 s by default, and what waits for
it (a cut network) takes as much longer. A power cut counts from the cut until the host has booted and
undone the run; what had not been synced is lost, as it would be."""
log = logging.getLogger("faults")


def _cell(text: str) -> table.Cell:
    kind, _, index = text.partition(":")
    if kind not in table.KINDS or not index.isdigit():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no cell; write a fault and the number of an operation, such as power:10; "
            f"faults: {', '.join(table.KINDS)}"
        )
    return kind, int(index)


def earlier(directory: Path) -> dict[table.Cell, Outcome]:
    """Return what the cells of an earlier run came to, the last time each was run."""
    path = directory / "outcomes.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [Outcome(**json.loads(line)) for line in lines]
    return {(one.kind, one.index): one for one in found}


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Break an upgrade everywhere.")
    parser.add_argument("--jobs", type=int, default=2, help="hosts at a time; default 2")
    parser.add_argument("--image", default="bookworm", help="image of the hosts; default bookworm")
    parser.add_argument(
        "--only", type=_cell, action="append", metavar="FAULT:N",
        help="one cell, such as power:10; repeatable; the document stays as it is; default all",
    )  # fmt: skip
    parser.add_argument("--keep", type=Path, help="directory for the output of bad cells; default a new one")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run that kept its output in --keep: do what is "
        "missing or bad there",
    )  # fmt: skip
    chosen = parser.parse_args(words)
    if chosen.resume and (chosen.keep is None or chosen.only is not None):
        parser.error("--resume goes with --keep DIRECTORY, and without --only")
    return chosen


class Run:
    """All cells of one run, and what they came to."""

    def __init__(self, chosen: argparse.Namespace, place: Path, kept: Path) -> None:
        self.only: list[table.Cell] | None = chosen.only
        self.kept = kept
        self.operations: list[Operation] = []
        self.outcomes = earlier(kept) if chosen.resume else {}
        self.cells: Queue[table.Cell | None] = workers.CONTEXT.Queue()
        self.news: Queue[workers.News] = workers.CONTEXT.Queue()
        (place / "copies").mkdir()
        copies = upgrade.make(place / "copies")
        self.workers = [
            workers.Worker(number, chosen.image, copies, place, self.cells, self.news)
            for number in range(chosen.jobs)
        ]

    def work(self) -> None:
        """Go through all cells; where this process is told to end, take the hosts down first."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for worker in self.workers:
            worker.start()
        try:
            left = len(self.workers)
            while left:
                news = self.news.get()
                if isinstance(news, workers.Ready):
                    self.plan(news)
                elif isinstance(news, workers.Done):
                    self.add(news)
                else:
                    left -= 1
                    log.info("%s is gone%s", news.host, f": {news.problem}" if news.problem else "")
        except KeyboardInterrupt:
            log.info("interrupted: taking the hosts down")
            for worker in self.workers:
                worker.terminate()
            raise
        finally:
            for worker in self.workers:
                worker.join()

    def plan(self, news: workers.Ready) -> None:
        """Hand the cells out, once; each host's upgrade must consist of the same operations."""
        log.info("%s is ready after %.0f s", news.host, news.seconds)
        if self.operations:
            if self.operations != news.operations:
                log.error("%s: its upgrade differs from the other host's: %s", news.host, news.operations)
            return
        self.operations = news.operations
        wanted = self.wanted()
        for one in [*wanted, *([None] * len(self.workers))]:
            self.cells.put(one)
        log.info("%d operations, %d cells", len(news.operations), len(wanted))

    def wanted(self) -> list[table.Cell]:
        return self.only or [
            one
            for one in table.cells(self.operations)
            if one not in self.outcomes or self.outcomes[one].problems
        ]

    def add(self, news: workers.Done) -> None:
        """Keep what a cell came to, and all that was said where it is bad."""
        outcome = news.outcome
        self.outcomes[(outcome.kind, outcome.index)] = outcome
        log.info("%s  %s", time.strftime("%H:%M:%S"), table.line(outcome))
        with (self.kept / "outcomes.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(outcome)) + "\n")
        if outcome.problems:
            for problem in outcome.problems:
                log.info("    %s", problem)
            shutil.copytree(news.place, self.kept / news.place.name, dirs_exist_ok=True)
            log.info("    all that was said is in %s", self.kept / news.place.name)


def main(words: list[str]) -> int:
    """Run the matrix and return 0 where every cell is good."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("lab").setLevel(logging.WARNING)
    chosen = _parse(words)
    kept = chosen.keep or Path(tempfile.mkdtemp(prefix="hostwright-faults-bad-"))
    kept.mkdir(parents=True, exist_ok=True)
    workers.tidy()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostwright-faults-") as directory:
        run = Run(chosen, Path(directory), kept)
        try:
            run.work()
        except KeyboardInterrupt:
            return 130
    minutes = (time.monotonic() - began) / 60
    bad = [one for one in run.outcomes.values() if one.problems]
    log.info("%d cells, %d bad, %.0f minutes", len(run.outcomes), len(bad), minutes)
    if not run.operations:
        return 1
    if chosen.only is None:
        made = (
            f"Made by `make faults` on {time.strftime('%-d %B %Y', time.gmtime())}: {chosen.jobs} hosts of "
            f"{chosen.image} at a time, {minutes:.0f} minutes."
        )
        DOCUMENT.write_text(table.document(run.operations, run.outcomes, made, PREFACE), encoding="utf-8")
        log.info("wrote %s", DOCUMENT.relative_to(PROJECT))
    complete = {*run.outcomes} >= {*(chosen.only or table.cells(run.operations))}
    return 0 if complete and not bad else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

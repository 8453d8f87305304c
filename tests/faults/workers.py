"""Hosts at work on the cells of the matrix, one process each."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import NamedTuple

import lab
from lab import places, state
from lab.errors import LabError
from tests.faults import apart, cell, matrix
from tests.faults.cell import Outcome
from tests.faults.controller import Operation
from tests.faults.machine import MatrixError
from tests.faults.table import Cell
from tests.lab.conftest import left_behind

log = logging.getLogger("faults")
PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
# Not forked: each has mounts of its own.
CONTEXT = multiprocessing.get_context("spawn")


class Ready(NamedTuple):
    """A host is ready: the operations of its upgrade."""

    host: str
    operations: list[Operation]
    seconds: float


class Done(NamedTuple):
    """A cell is done: what it came to, and where all that was said is."""

    outcome: Outcome
    place: Path


class Ended(NamedTuple):
    """A host is gone: why, "" where there was nothing left to do."""

    host: str
    problem: str


News = Ready | Done | Ended


def tidy() -> None:
    """Remove the hosts and saved disks of runs that were killed."""
    for name in left_behind([host.name for host in state.load_all()]):
        lab.down(name)
    for saved in places.make_state().glob("faults-*-*"):
        if not Path(f"/proc/{saved.name.split('-')[1]}").exists():
            shutil.rmtree(saved)


class Worker(CONTEXT.Process):  # type: ignore[name-defined,misc]  # made by the context
    """
    One host: made, given cells until None comes, and taken down.

    + number: of the host
    + image: as for the lab
    + copies: of the project, at release 1 and 2
    + place: directory for what is said
    + cells: what is to be done
    + news: what has been done
    """

    def __init__(
        self,
        number: int,
        image: str,
        copies: tuple[Path, Path],
        place: Path,
        cells: Queue[Cell | None],
        news: Queue[News],
    ) -> None:
        super().__init__()
        self.number, self.image, self.copies, self.place = number, image, copies, place
        self.cells, self.news = cells, news

    def run(self) -> None:
        """Work, in a process of its own."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # Nobody would hand out cells any more.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
        self.host = matrix.host_name(chr(ord("a") + self.number))
        # Beside the hosts' own disks: a temporary directory may be in memory.
        saved = Path(tempfile.mkdtemp(prefix=f"faults-{os.getpid()}-", dir=places.make_state()))
        problem = ""
        apart.enter()
        try:
            self.work(saved / "disk.ext4")
        except (MatrixError, LabError, OSError, ValueError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
        except KeyboardInterrupt:
            problem = "interrupted"
        finally:
            lab.down(self.host)
            shutil.rmtree(saved)
            self.news.put(Ended(self.host, problem))

    def work(self, saved: Path) -> None:
        place = self.place / self.host
        place.mkdir()
        began = time.monotonic()
        ready = matrix.ready(self.host, self.image, self.copies, place, saved)
        self.news.put(Ready(self.host, ready.operations, time.monotonic() - began))
        while (wanted := self.cells.get()) is not None:
            kind, index = wanted
            place = self.place / f"{kind}-{index}"
            place.mkdir()
            try:
                outcome = cell.run(ready.machine, ready.references, self.copies[1], kind, index, place)
            except (MatrixError, LabError, OSError) as error:
                outcome = Outcome(kind, index, problems=[f"the cell could not be run: {error}"])
            self.news.put(Done(outcome, place))

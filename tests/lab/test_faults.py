"""
A sample of the fault matrix, where it hurts most: one host, one fault of each kind, all undone by the host.

All of it, from a fresh disk each time, is `make faults`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import lifecycle
from lab.errors import LabError
from tests.faults import cell, matrix, upgrade
from tests.faults.apart import apart
from tests.lab.conftest import host_name

SAMPLE = (
    ("kill", "PostgreSQL | Put the server settings into effect"),
    ("cut", "Firewall | Close every port that is not declared"),
    ("power", "Release | Switch rec_io"),
    ("fail", "Services | Bring the"),
)
# How soon a host is whole is the matrix's to say; each look costs a quarter of a second of a core.
SECONDS_BETWEEN_LOOKS = 3.0
# Only the host's own undo could have put anything back by then.
BLIND_SECONDS = upgrade.TRIAL_SECONDS + 6


class Sample:
    """One host at release 1, and the copy of the project that has release 2."""

    def __init__(self, ready: matrix.Ready, project: Path, place: Path) -> None:
        self.ready, self.project, self.place = ready, project, place

    def index(self, name: str) -> int:
        found = [one.index for one in self.ready.operations if one.name.startswith(name) and one.changes]
        assert len(found) == 1, f"{name!r} is not one changing operation of {self.ready.operations}"
        return found[0]

    def run(self, kind: str, name: str) -> cell.Outcome:
        place = self.place / kind
        place.mkdir()
        return cell.run(
            self.ready.machine, self.ready.references, self.project, kind, self.index(name), place,
            fresh=False, again=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    name = host_name("bookworm", __name__)
    place = tmp_path_factory.mktemp("faults")
    copies = upgrade.make(tmp_path_factory.mktemp("copies"))
    saved = tmp_path_factory.mktemp("disk") / "disk.ext4"
    try:
        with apart(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(cell, "POLL", SECONDS_BETWEEN_LOOKS)
            try:
                ready = matrix.ready(name, "bookworm", copies, place, saved, "deployed")
                cell.restore(ready.machine, ready.references, place / "looks.log")
                yield Sample(ready, copies[1], place)
            finally:
                lifecycle.down(name)
    except LabError as error:
        pytest.fail(f"the lab cannot run {name}: {error}", pytrace=False)
    finally:
        saved.unlink(missing_ok=True)


@pytest.mark.parametrize(("kind", "name"), SAMPLE)
def test_a_broken_upgrade_leaves_release_1(sample: Sample, kind: str, name: str) -> None:
    outcome = sample.run(kind, name)
    assert (outcome.release, outcome.problems) == (1, [])


def test_without_the_hosts_own_undo_a_mixture_is_seen(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The matrix would notice: the undo is switched off on purpose, and what is left is neither release."""
    monkeypatch.setattr(cell, "UNTIL_WHOLE", BLIND_SECONDS - upgrade.TRIAL_SECONDS)
    began = time.monotonic()
    outcome = sample.run("unwatched", "Release | Switch rec_io")
    assert time.monotonic() - began > BLIND_SECONDS
    assert outcome.release is None
    told = "\n".join(outcome.problems)
    assert "left behind: /var/lib/hostwright/trial" in told
    assert "links.current is" in told


def test_the_next_deploy_makes_even_that_whole(sample: Sample) -> None:
    outcome = cell.Outcome("unwatched", 0)
    ready = sample.ready
    cell.deploy_again(ready.machine, ready.references, outcome, sample.project, sample.place)
    assert outcome.problems == []

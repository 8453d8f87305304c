"""The report of a drift: its exit code, and its lines for people."""

from __future__ import annotations

import pytest

from tasks.drift import Finding, Report, code, lines

ONE = Finding("Swap | Keep 2G of swap", "/swapfile", "2 GiB of swap, in use", "no file", "swap")


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([Report(operations=3)], 0),
        ([Report(notes=["the lists are old"])], 0),
        ([Report(), Report(differences=[ONE])], 2),
        ([Report(differences=[ONE]), Report(errors=["it could not be reached"])], 1),
        ([Report(differences=[ONE], errors=["no"])], 1),
    ],
)
def test_exit_code(reports: list[Report], expected: int) -> None:
    assert code(reports) == expected


def test_each_difference_has_its_setting() -> None:
    said = lines("app-1", Report(operations=30, differences=[ONE], notes=["a note"]))
    assert "app-1" in said[0]
    assert said[0].endswith(": 1 difference")
    assert said[1:] == [
        "  /swapfile",
        "    expected   2 GiB of swap, in use",
        "    found      no file",
        "    setting    swap",
        "    operation  Swap | Keep 2G of swap",
        "  note: a note",
    ]


def test_a_host_that_was_not_asked_is_not_called_as_declared() -> None:
    assert lines("app-1", Report(operations=30))[0].endswith(": as declared")
    said = lines("app-1", Report(errors=["it could not be reached"]))
    assert said[0].endswith(": not wholly asked")
    assert said[1] == "  error: it could not be reached"


def test_a_result_that_the_host_keeps_is_told() -> None:
    assert lines("app-1", Report(operations=30, recorded=True))[1:] == ["  recorded on the host"]

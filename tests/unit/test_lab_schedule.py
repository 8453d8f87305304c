"""The order of the lab's tests, and what one worker keeps together."""

from __future__ import annotations

import pytest

from tests.lab import schedule

MODULE = "tests/lab/test_x.py"


@pytest.mark.parametrize(
    ("test", "scope"),
    [
        ("test_a[bookworm]", f"{MODULE}@bookworm"),
        ("test_a[trixie-002_b.sql-CREATE TABLE late (id int[]);-said]", f"{MODULE}@trixie"),
        ("test_a['user': 'colleague'-true-bookworm]", f"{MODULE}@bookworm"),
        ("test_a[disk.ext4]", MODULE),
        ("test_on_bookworm", MODULE),
    ],
)
def test_tests_of_one_host_stay_together(test: str, scope: str) -> None:
    assert schedule.scope(f"{MODULE}::{test}") == scope


def test_the_longest_module_begins_and_a_new_one_before_it() -> None:
    first, second = (f"tests/lab/{name}.py::test_a[trixie]" for name in schedule.LONGEST_FIRST[:2])
    new = f"{MODULE}::test_a[bookworm]"
    assert sorted([second, new, first], key=schedule.rank) == [new, first, second]


def test_tests_of_one_host_keep_their_order() -> None:
    tests = [f"{MODULE}::test_{name}[bookworm]" for name in "cab"]
    mixed = [test for one in tests for test in (one.replace("bookworm", "trixie"), one)]
    ranked = sorted(mixed, key=schedule.rank)
    assert [test for test in ranked if "bookworm" in test] == tests
    assert [schedule.scope(test) for test in ranked] == [f"{MODULE}@bookworm"] * 3 + [f"{MODULE}@trixie"] * 3

"""The order of the lab's tests, and what one worker keeps together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

from tests.lab import conftest, schedule

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


class Marked(NamedTuple):
    """As much of a test as says where it runs."""

    nodeid: str
    mark: pytest.Mark | None
    image: str | None

    def get_closest_marker(self, _: str) -> pytest.Mark | None:
        return self.mark

    @property
    def callspec(self) -> Any:
        return SimpleNamespace(params={} if self.image is None else {"lab_host": self.image})


def test_what_one_image_proves_runs_on_that_one() -> None:
    mark = pytest.mark.images("bookworm").mark
    marked = {image: Marked("x", mark, image) for image in ("bookworm", "trixie", None)}
    assert {image: conftest.enough(cast(Any, one)) for image, one in marked.items()} == {
        "bookworm": True, "trixie": False, None: True,
    }  # fmt: skip
    assert conftest.enough(cast(Any, Marked("x", None, "trixie")))

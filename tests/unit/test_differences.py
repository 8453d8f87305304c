"""What operations say of differences: to who listens alone, and no line of what not everybody may read."""

from __future__ import annotations

from typing import Any

import pytest

from operations import differences
from operations.differences import File, changed_lines, differs, file_differs, heard, noted

DECLARED = File(user="root", group="root", mode="0644", sha256="aa")


class Asked:
    """Stands for the host at hand: it is asked for one file's text."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def get_fact(self, _: object, *, path: str) -> str | None:
        assert self.text is not None, f"{path} was read"
        return self.text


def test_nothing_is_kept_where_nobody_listens() -> None:
    differs("x", expected=1, found=2)
    noted("y")
    with heard() as (found, notes):
        pass
    assert (found, notes) == ([], [])


def test_who_listens_within_hears_alone() -> None:
    with heard() as (outer, _):
        differs("a", expected="1", found="2")
        with heard() as (inner, notes):
            differs("b", expected=3, found=None)
            noted("a note")
        differs("c", expected="", found="")
    assert [one.what for one in outer] == ["a", "c"]
    assert inner == [("b", "3", "None")]
    assert notes == ["a note"]


def test_an_error_ends_the_listening() -> None:
    with pytest.raises(ValueError, match="no"), heard():
        raise ValueError("no")
    differs("x", expected=1, found=2)  # to nobody


@pytest.mark.parametrize(
    ("found", "text", "expected"),
    [
        (None, None, [("/f", "a file", "none")]),
        ({"mode": "0600"}, None, [("/f", "root:root 0644", "root:root 0600")]),
        ({"user": "www"}, None, [("/f", "root:root 0644", "www:root 0644")]),
        ({"sha256": "bb"}, "a\nB\nc\n", [("/f", "b", "B")]),
        ({"sha256": "bb"}, "a\nc\n", [("/f", "b", "less lines")]),
        ({"sha256": "bb"}, "a\nb\nc\nd\n", [("/f", "no more lines", "d")]),
        # Nobody but its owner may read it: there may be a secret in it.
        (
            {"sha256": "bb", "mode": "0640"},
            None,
            [("/f", "root:root 0644", "root:root 0640"), ("/f", "the declared content", "another")],
        ),
    ],
)
def test_file(
    monkeypatch: pytest.MonkeyPatch,
    found: dict[str, Any] | None,
    text: str | None,
    expected: list[tuple[str, str, str]],
) -> None:
    monkeypatch.setattr(differences, "host", Asked(text))
    there = None if found is None else File(**{**DECLARED, **found})  # type: ignore[typeddict-item]  # its keys
    with heard() as (said, _):
        file_differs("/f", content="a\nb\nc\n", expected=DECLARED, found=there)
    assert said == expected


def test_of_many_changed_lines_the_first_are_shown() -> None:
    less, more = changed_lines("\n".join(f"a{one}" for one in range(20)), "\n")
    assert less == " | ".join([*(f"a{one}" for one in range(differences.LINES)), "..."])
    assert more == ""

"""The pure part of `operations/swap.py`, and what its host program says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api import OperationError

from operations.swap import check_path
from operations.swap_text import fstab_with, fstab_without, parse_size, readable, spelled

OURS = "/swapfile none swap sw 0 0\n"


@pytest.mark.parametrize(
    ("size", "number"), [("1M", 1024**2), ("512M", 512 * 1024**2), ("2G", 2 * 1024**3), ("1T", 1024**4)]
)
def test_sizes(size: str, number: int) -> None:
    assert parse_size(size) == number


@pytest.mark.parametrize(
    ("size", "remedy"),
    [("2GB", "write '2G'"), ("2g", "write '2G'"), ("2 G", "write '2G'"), ("02G", "write '2G'"),
     ("0G", "like '2G'"), ("2", "like '2G'"), ("", "like '2G'"), ("-2G", "like '2G'"), ("512K", "like '2G'"),
     ("2G\n", "write '2G'"), ("1.5G", "like '2G'"), ("2GiB", "write '2G'")],
)  # fmt: skip
def test_bad_sizes_name_the_remedy(size: str, remedy: str) -> None:
    with pytest.raises(OperationError) as caught:
        parse_size(size)
    assert repr(size) in str(caught.value)
    assert remedy in str(caught.value)


def test_a_number_is_no_size() -> None:
    with pytest.raises(OperationError, match="size 2 is not a size"):
        parse_size(2)  # type: ignore[arg-type]


@given(st.integers(min_value=1, max_value=1023), st.sampled_from("MGT"))
def test_sizes_are_said_as_they_were_written(number: int, unit: str) -> None:
    assert readable(parse_size(f"{number}{unit}")) == f"{number} {unit}iB"


@pytest.mark.parametrize(
    "path", ["swapfile", "/a b", "/", "/swap\n", "//swapfile", "/a/../b", "/a/./b", "-x", "/a/"]
)
def test_bad_paths(path: str) -> None:
    with pytest.raises(OperationError, match="is not a plain absolute path"):
        check_path(path)


def test_spelled() -> None:
    assert spelled("//swapfile") == spelled("/./swapfile") == spelled("/x/../swapfile") == "/swapfile"


@pytest.mark.parametrize(
    "line",
    ["/swapfile none swap sw 0 0", "/swapfile\tswap  swap\tdefaults", " /swapfile none swap sw,pri=5 0 0",
     "//swapfile none swap sw 0 0", "/./swapfile none swap", "/\\163wapfile none swap sw 0 0"],
)  # fmt: skip
def test_other_spellings_are_replaced_in_place(line: str) -> None:
    assert fstab_with(f"# top\n{line}\n# end\n", "/swapfile") == f"# top\n{OURS}# end\n"
    assert fstab_with(f"# top\n{line}\n{line}", "/swapfile") == f"# top\n{OURS}"
    assert fstab_without(f"# top\n{line}\n# end\n", "/swapfile") == "# top\n# end\n"


@pytest.mark.parametrize(
    "line",
    ["#/swapfile none swap sw 0 0", "/swapfile2 none swap sw 0 0", "/swapfile /mnt ext4 loop 0 0",
     "UUID=1 none swap sw 0 0", "/dev/sda1 / ext4 errors=remount-ro 0 1", "/swapfile", ""],
)  # fmt: skip
def test_other_lines_are_left(line: str) -> None:
    assert fstab_with(f"{line}\n", "/swapfile") == f"{line}\n{OURS}"
    assert fstab_without(f"{line}\n", "/swapfile") == f"{line}\n"


LINES = st.one_of(
    st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"]), max_size=40),
    st.sampled_from([OURS.strip(), "/swapfile swap swap defaults 0 0", "UUID=1\t/ ext4  rw 0 1", "# x", ""]),
)
FSTABS = st.tuples(st.lists(LINES, max_size=8), st.booleans()).map(
    lambda drawn: "\n".join(drawn[0]) + ("\n" if drawn[1] and drawn[0] else "")
)


@given(FSTABS)
def test_once_and_stable(fstab: str) -> None:
    once = fstab_with(fstab, "/swapfile")
    assert once.count(OURS) >= 1
    assert fstab_with(once, "/swapfile") == once
    assert fstab_without(once, "/swapfile").count(OURS) == 0


@given(FSTABS)
def test_all_other_lines_stay_byte_for_byte(fstab: str) -> None:
    others = fstab_without(fstab, "/swapfile")
    left = fstab_without(fstab_with(fstab, "/swapfile"), "/swapfile")
    # The only byte that may be added is the newline that a last line lacked.
    assert left in (others, f"{others}\n")
    assert fstab_without(others, "/swapfile") == others

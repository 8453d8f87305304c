"""What may be pruned, and what tells two releases apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from facts.release import ReleaseFields, ReleaseState
from operations.release import identity, surplus


def state(**changes: object) -> ReleaseState:
    releases = {
        f"r{number}": ReleaseFields(identity="", made=float(number), venvs=[f"v{number}"])
        for number in range(1, 7)
    }
    base = ReleaseState(
        releases=releases, current="r6", previous="r5", venvs=[f"v{number}" for number in range(7)],
        leftovers=["releases/.r7.new"], in_use=[],
    )  # fmt: skip
    base.update(changes)  # type: ignore[typeddict-item]
    return base


def test_keeps_the_newest_and_their_venvs() -> None:
    assert surplus(state(), 2) == [
        "releases/r3", "releases/r2", "releases/r1", "venvs/v0", "venvs/v1", "venvs/v2", "venvs/v3",
        "releases/.r7.new",
    ]  # fmt: skip


def test_never_current_previous_or_in_use() -> None:
    gone = surplus(state(current="r1", previous="r2", in_use=["r3", "v4"]), 0)
    assert gone == [
        "releases/r6",
        "releases/r5",
        "releases/r4",
        "venvs/v0",
        "venvs/v5",
        "venvs/v6",
        "releases/.r7.new",
    ]


def test_nothing_deployed_yet() -> None:
    assert (
        surplus(ReleaseState(releases={}, current=None, previous=None, venvs=[], leftovers=[], in_use=[]), 4)
        == []
    )


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 99), st.sampled_from("vwx"))),
    st.sampled_from("abcdefgh"), st.integers(0, 9),
)  # fmt: skip
def test_what_is_kept_is_whole(releases: dict[str, tuple[int, str]], current: str, keep: int) -> None:
    found = state(
        releases={
            name: ReleaseFields(identity="", made=float(made), venvs=[venv])
            for name, (made, venv) in releases.items()
        },
        current=current, previous=None, venvs=["v", "w", "x"], leftovers=[],
    )  # fmt: skip
    gone = set(surplus(found, keep))
    kept = {name for name in releases if f"releases/{name}" not in gone}
    assert f"releases/{current}" not in gone
    assert len(kept - {current}) == min(keep, len(releases.keys() - {current}))
    assert not {f"venvs/{releases[name][1]}" for name in kept} & gone


def test_identity_covers_everything_once() -> None:
    same = identity("a", {"x": "1", "y": "2"}, {"l": "/t"})
    assert identity("a", {"y": "2", "x": "1"}, {"l": "/t"}) == same
    others = [
        identity("b", {"x": "1", "y": "2"}, {"l": "/t"}),
        identity("a", {"x": "1"}, {"l": "/t"}),
        identity("a", {"x": "1", "y": "2"}, {"l": "/u"}),
    ]
    assert len({same, *others}) == 4

"""What may be pruned, and what tells two releases apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from facts.release import ReleaseFields, ReleaseState
from operations.release import identity, lacking, surplus


def state(**changes: object) -> ReleaseState:
    releases = {
        f"r{number}": ReleaseFields(
            identity="", made=float(number), venvs=[f"v{number}"], parts=[f"p{number}", "p1"], about=None
        )
        for number in range(1, 7)
    }
    parts: dict[str, str | None] = {f"p{number}": f"r{number}" for number in range(1, 7)}
    base = ReleaseState(
        releases=releases, current="r6", previous="r5", venvs=[f"v{number}" for number in range(7)],
        parts={**parts, "p1": "r6"},
        leftovers=["releases/.r7.new"], in_use=[], good=[],
    )  # fmt: skip
    base.update(changes)  # type: ignore[typeddict-item]
    return base


def test_keeps_the_newest_their_venvs_and_where_their_parts_lie() -> None:
    # p1 is a part of every release, and its files lie in r6.
    assert surplus(state(), 2) == [
        "parts/p2", "parts/p3", "releases/r3", "releases/r2", "releases/r1", "venvs/v0", "venvs/v1",
        "venvs/v2", "venvs/v3", "releases/.r7.new",
    ]  # fmt: skip


def test_never_current_previous_or_in_use() -> None:
    gone = surplus(state(current="r1", previous="r2", in_use=["r3", "v4"]), 0)
    assert gone == [
        "parts/p4", "parts/p5", "parts/p6", "releases/r5", "releases/r4", "venvs/v0", "venvs/v5",
        "releases/.r7.new",
    ]  # fmt: skip


def test_never_what_is_protected() -> None:
    gone = surplus(state(), 0, ["r2", "gone"])
    assert "releases/r2" not in gone
    assert "parts/p2" not in gone
    assert "venvs/v2" not in gone
    assert "releases/r3" in gone


def test_never_the_one_that_a_rollback_goes_to() -> None:
    assert "releases/r2" not in surplus(state(previous="r5", good=["r1", "r2", "r6"]), 0)
    assert "releases/r1" in surplus(state(previous="r5", good=["r1", "r2", "r6"]), 0)


def test_never_the_release_that_a_part_in_use_lies_in() -> None:
    gone = surplus(state(in_use=["p2"]), 0)
    assert "parts/p2" not in gone
    assert "releases/r2" not in gone


def test_what_only_holds_files_keeps_no_parts_of_its_own() -> None:
    # r1 stays, since the current one's p6 lies in it; but nothing stands in its own p1 any more.
    found = state(previous=None)
    found["releases"]["r6"]["parts"] = ["p6"]
    found["parts"] |= {"p6": "r1", "p1": "r2"}
    gone = surplus(found, 0)
    assert "releases/r1" not in gone
    assert {"parts/p1", "releases/r2"} <= set(gone)


def test_nothing_deployed_yet() -> None:
    nothing = ReleaseState(
        releases={}, current=None, previous=None, venvs=[], parts={}, leftovers=[], in_use=[], good=[]
    )
    assert surplus(nothing, 4) == []


def test_parts_that_lead_nowhere() -> None:
    found = state(parts={"p6": "r6"})
    assert lacking(found, "r6") == ["p1"]
    assert lacking(state(parts={"p6": None, "p1": "r1"}), "r6") == ["p6"]
    assert lacking(state(), "r6") == []


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"),
        st.tuples(st.integers(0, 99), st.sampled_from("vwx"), st.sets(st.sampled_from("123"))),
    ),
    st.sampled_from("abcdefgh"), st.integers(0, 9),
    st.dictionaries(st.sampled_from("1234"), st.none() | st.sampled_from("abcdefgh")),
)  # fmt: skip
def test_what_is_kept_is_whole(
    releases: dict[str, tuple[int, str, set[str]]], current: str, keep: int, parts: dict[str, str | None]
) -> None:
    found = state(
        releases={
            name: ReleaseFields(identity="", made=float(made), venvs=[venv], parts=sorted(own), about=None)
            for name, (made, venv, own) in releases.items()
        },
        current=current, previous=None, venvs=["v", "w", "x"], leftovers=[], parts=parts,
    )  # fmt: skip
    gone = set(surplus(found, keep))
    kept = {name for name in releases if f"releases/{name}" not in gone}
    assert f"releases/{current}" not in gone
    assert len(kept - {current}) >= min(keep, len(releases.keys() - {current}))
    assert not {f"venvs/{releases[name][1]}" for name in kept} & gone
    if current in releases:
        own = releases[current][2]
        assert not {f"parts/{part}" for part in own} & gone
        assert not {f"releases/{parts.get(part)}" for part in own} & gone


def test_identity_covers_everything_once() -> None:
    same = identity("a", {"x": "1", "y": "2"}, {"l": "/t"})
    assert identity("a", {"y": "2", "x": "1"}, {"l": "/t"}) == same
    others = [
        identity("b", {"x": "1", "y": "2"}, {"l": "/t"}),
        identity("a", {"x": "1"}, {"l": "/t"}),
        identity("a", {"x": "1", "y": "2"}, {"l": "/u"}),
    ]
    assert len({same, *others}) == 4

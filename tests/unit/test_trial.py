"""The pure parts of a trial: where a rollback goes, what a run may touch, what people are shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from facts.trial import HistoryFields, SnapshotFields
from operations.trial.back import NoWayBackError, target, way
from operations.trial.handler import Handler
from operations.trial.run import About, HostRun
from operations.trial.touched import Touched
from tasks import history as shown


def snapshot(run: str, current: str | None) -> SnapshotFields:
    return SnapshotFields(run=run, made=0.0, current={"shop": current}, files=3, bytes=10, dumps=[])


def run(name: str, outcome: str = "confirmed") -> dict[str, Any]:
    return {
        "id": name, "began": 0.0, "ended": 12.4, "owner": "ann@desk", "purpose": "deploy.py (lab)",
        "outcome": outcome, "releases": {"shop": {"release": "c3"}}, "reason": "",
    }  # fmt: skip


def remembered() -> HistoryFields:
    return HistoryFields(
        runs=[run("1"), run("2"), run("3", "undone"), run("4")],
        releases={
            "shop": {
                "a1": {"state": "good", "at": 1.0},
                "b2": {"state": "good", "at": 2.0},
                "bad": {"state": "bad", "at": 3.0, "why": "Gates | Check the gates of shop"},
                "c3": {"state": "good", "at": 4.0},
            }
        },
        snapshots=[snapshot("1", None), snapshot("2", "a1"), snapshot("3", "b2"), snapshot("4", "b2")],
        trial=None,
        lock={},
    )


PRESENT = ["a1", "b2", "bad", "c3"]


def test_goes_to_the_good_release_before() -> None:
    assert target(remembered(), "shop", "c3", PRESENT, None) == "b2"
    assert target(remembered(), "shop", "b2", PRESENT, None) == "a1"


def test_never_goes_to_one_that_is_gone() -> None:
    assert target(remembered(), "shop", "c3", ["a1", "c3"], None) == "a1"


@pytest.mark.parametrize(
    ("current", "wanted", "words"),
    [
        ("a1", None, "no good release before a1"),
        ("c3", "bad", "is not good: Gates | Check the gates of shop"),
        ("c3", "zz", "it is not on the host; good ones there are: a1, b2, c3"),
        ("c3", "", "several releases begin with it"),
    ],
)
def test_says_why_there_is_no_way_back(current: str, wanted: str | None, words: str) -> None:
    with pytest.raises(NoWayBackError, match=words.replace("|", "\\|")):
        target(remembered(), "shop", current, PRESENT, wanted)


def test_a_release_is_found_by_its_beginning() -> None:
    assert target(remembered(), "shop", "c3", PRESENT, "a") == "a1"


def test_one_that_was_left_is_gone_to_only_by_name() -> None:
    memory = remembered()
    memory["releases"]["shop"]["b2"]["state"] = "left"
    assert target(memory, "shop", "c3", PRESENT, None) == "a1"
    assert target(memory, "shop", "c3", PRESENT, "b2") == "b2"


def test_the_whole_host_goes_back_only_by_the_last_run() -> None:
    assert way(remembered(), "shop", "b2") == ("4", True)
    assert way(remembered(), "shop", "a1") == ("2", False)
    assert way(remembered(), "shop", "gone") is None


def test_a_rollback_counts_as_a_change_of_the_host() -> None:
    memory = remembered()
    memory["runs"].append(run("5", "rolled back"))
    assert way(memory, "shop", "b2") == ("4", False)


def test_what_is_sent_has_each_scope_once() -> None:
    touched = Touched()
    touched.add(["/etc/a"])
    touched.add(["/etc/b"], scope="shop")
    touched.add(["/etc/c"], scope="shop", kept=True)
    touched.effect(["/etc/a"], "swap-apply.sh", says="so")
    assert touched.sent()["files"] == {
        "": {"owned": ["/etc/a"], "kept": []},
        "shop": {"owned": ["/etc/b"], "kept": ["/etc/c"]},
    }
    assert touched.programs() == {"swap-apply.sh"}


def test_people_see_who_is_at_work_and_what_was_undone() -> None:
    memory = remembered()
    memory["lock"] = {"owner": "ann@desk", "purpose": "deploy.py (lab)", "since": "now"}
    memory["trial"] = {"run": {"id": "4"}}
    text = "\n".join(shown.overview(memory))
    assert "at work: ann@desk with deploy.py (lab) since now" in text
    assert "on trial: run 4" in text
    assert "undone in 12 s, shop c3" in text
    assert "bad " in text
    assert "Gates | Check the gates of shop" in text
    assert "no run begins with 'x'" in "\n".join(shown.one(memory, "x"))


@pytest.mark.parametrize("problem", [ValueError("no JSON"), OSError("no room"), ZeroDivisionError()])
def test_whoever_watches_breaks_nothing(problem: Exception, caplog: pytest.LogCaptureFixture) -> None:
    moments = []

    def watch(_: HostRun, moment: str) -> None:
        moments.append(moment)
        raise problem

    about = About("20260101T000000Z-aaaaaa", "ann@desk", "deploy.py (lab)")
    host: Any = SimpleNamespace(print_prefix="[app-1] ")
    Handler(about).look(HostRun(host, about, Touched(), 300, {}, frozenset(), watch=watch), "before")
    assert moments == ["before"]
    assert "[app-1] it was not looked at (before): " in caplog.text
    assert (str(problem) or "ZeroDivisionError") in caplog.text

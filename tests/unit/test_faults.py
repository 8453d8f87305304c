"""The matrix's own judgement: what is a mixture, which cells there are, and the table."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.faults import controller, table, upgrade
from tests.faults.__main__ import earlier, main
from tests.faults.cell import Outcome, rows
from tests.faults.machine import LOOK
from tests.faults.verdict import judge, lost

Seen = dict[str, Any]


def seen(release: int) -> Seen:
    """Return a small host at one release, as host/look.py would describe it."""
    mine = str(release)
    return {
        "release": {
            "links": {"current": f"/r/{mine}", "parts": {mine: f"/r/{mine}"}},
            "releases": {one: f"digest {one}" for one in ("1", "2")[:release]},
            "venvs": {one: f"digest {one}" for one in ("1", "2")[:release]},
            "programs": {"web": {"state": "RUNNING", "runs": {"cwd": f"/r/{mine}"}}},
            "files": {"/etc/a": f"a{mine}", "/etc/b": "b"},
        },
        "data": {
            "rows": {"ledger": ["001"] if release == 1 else ["001", "002"], "probe": [1, 2], "trades": 5},
            "schema": f"schema {mine}",
        },
        "left": {"files": [], "lock": ""},
    }


ONE, TWO = seen(1), seen(2)


def changed(host: Seen, path: str, value: Any) -> Seen:
    """Return a host with one value changed, or taken away where it is None."""
    host = copy.deepcopy(host)
    *way, last = path.split(".")
    place = host
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return host


@pytest.mark.parametrize(("host", "release"), [(ONE, 1), (TWO, 2)])
def test_a_whole_release_is_that_release(host: Seen, release: int) -> None:
    verdict = judge(host, ONE, TWO)
    assert (verdict.release, verdict.problems) == (release, [])


@pytest.mark.parametrize(
    ("host", "path", "value"),
    [
        (ONE, "release.links.current", "/r/2"),
        (ONE, "release.files./etc/a", "a2"),
        (ONE, "release.files./etc/b", None),
        (ONE, "release.files", {**ONE["release"]["files"], "/etc/c": "new"}),
        (ONE, "release.programs.web.state", "STARTING"),
        (ONE, "release.programs.web.runs.cwd", "/r/2"),
        (ONE, "release.programs", "cannot be seen: OSError"),
        (ONE, "release.programs", {}),
        (ONE, "release.releases", {"1": "digest 1", "2": "half"}),
        (ONE, "release.releases", {"1": "half"}),
        (ONE, "release.venvs", {"1": "digest 1", "3": "whose?"}),
        (ONE, "data.schema", "half"),
        (ONE, "data.rows.ledger", ["001", "002"]),
        (ONE, "data.rows", "cannot be seen: OSError"),
        (ONE, "left.files", ["/etc/a.hostwright-undo"]),
        (ONE, "left.lock", "a run"),
        (TWO, "release.links.current", "/r/1"),
        (TWO, "release.releases", {"2": "digest 2"}),
        (TWO, "release.venvs", {"1": "digest 1"}),
        (TWO, "data.rows.ledger", ["001"]),
        (TWO, "data.schema", "schema 1"),
        (TWO, "left.files", ["process 7 of a run: pip"]),
    ],
)
def test_anything_else_is_neither_and_is_named(host: Seen, path: str, value: Any) -> None:
    verdict = judge(changed(host, path, value), ONE, TWO)
    assert verdict.release is None
    assert verdict.problems


def test_the_other_release_may_lie_there_whole() -> None:
    host = changed(ONE, "release.releases", TWO["release"]["releases"])
    host = changed(host, "release.links.parts", {"1": "/r/1", "2": "/r/2"})
    assert judge(host, ONE, TWO).release == 1
    quick = [changed(one, "release.releases", names) for one, names in ((ONE, ["1"]), (TWO, ["1", "2"]))]
    assert judge(changed(ONE, "release.releases", ["1", "2"]), *quick).release == 1
    assert judge(changed(ONE, "release.releases", ["1", "3"]), *quick).release is None


def test_data_does_not_go_back_but_goes_forward_whole() -> None:
    host = changed(changed(ONE, "data.rows.ledger", ["001", "002"]), "data.schema", "schema 2")
    assert judge(host, ONE, TWO).release == 1


def test_lost_rows_are_counted() -> None:
    assert lost(ONE, [1, 2], 5) == []
    assert lost(ONE, [1, 2, 3], 5) == ["1 of 3 rows are lost, such as [3]"]
    assert lost(ONE, [1], 6) == ["the last trade was 6 and is 5"]
    assert lost(changed(ONE, "data.rows", "cannot be seen"), [1], 5) == ["the data cannot be seen"]


def test_only_whole_lines_of_acknowledged_rows_count(tmp_path: Path) -> None:
    told = tmp_path / "rows"
    told.write_text("1\n2\npsql: error: no server\n3", encoding="utf-8")
    assert [row for row in rows(told) if row > 0] == [1, 2]


OPERATIONS = [
    controller.Operation(1, "First | Look", changes=False),
    controller.Operation(2, "Look again", changes=False),
    controller.Operation(3, "Write", changes=True),
    controller.Operation(4, "Look", changes=False),
    controller.Operation(5, "Write again", changes=True),
]


def test_each_state_is_broken_once_in_each_way() -> None:
    assert table.boundaries(OPERATIONS) == {1: 2, 2: 2, 3: 3, 4: 3, 5: 5}
    assert table.cells(OPERATIONS) == [(kind, index) for index in (2, 3, 5) for kind in table.KINDS]
    with pytest.raises(ValueError, match="nothing to break"):
        table.boundaries(OPERATIONS[:2])


def test_the_document_shows_good_bad_shared_and_missing_cells() -> None:
    outcomes = {
        ("kill", 3): Outcome("kill", 3, "Write", 1, 7.4),
        ("cut", 3): Outcome("cut", 3, "Write", None, 100, problems=["a mixture"]),
    }
    text = table.document(OPERATIONS, outcomes, "Made here.", "Shows this.")
    assert "| 1 | First: Look | same state as 2 |  |  |  |" in text
    assert "| 2 | Look again | not run | not run | not run | not run |" in text
    assert "| 3 | Write | release 1, 7 s | **BAD** | not run | not run |" in text
    assert "2 of 12 cells were run, 1 of them are good. Controller killed: 7 s at the median" in text
    assert "- cut:3, after Write: a mixture" in text


def test_a_cell_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "flood:3"])
    assert stopped.value.code == 2
    assert "'flood:3' is no cell; write a fault and the number of an operation" in capsys.readouterr().err


def test_a_run_goes_on_from_what_an_earlier_one_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--resume"])
    assert "--resume goes with --keep DIRECTORY" in capsys.readouterr().err
    outcomes = [Outcome("kill", 3, problems=["a mixture"]), Outcome("kill", 3, "Write", 1, 7.0)]
    lines = "".join(json.dumps(asdict(one)) + "\n" for one in outcomes)
    (tmp_path / "outcomes.jsonl").write_text(lines, encoding="utf-8")
    assert earlier(tmp_path) == {("kill", 3): outcomes[1]}


def test_operations_are_read_from_what_the_run_printed() -> None:
    printed = {"results": {"operations": [{"name": "A", "success": []}, {"name": "B", "success": ["h"]}]}}
    assert [one.changes for one in controller.operations(json.dumps(printed))] == [False, True]


def test_the_two_copies_differ_in_what_is_promised(tmp_path: Path) -> None:
    one, two = upgrade.make(tmp_path)
    for project in (one, two):
        assert "inject.install()" in (project / "config.py").read_text(encoding="utf-8")
    compared = subprocess.run(
        ["diff", "-rq", str(one), str(two)], capture_output=True, text=True, check=False
    ).stdout
    names = {"lab.py", "requirements.txt", "index.html", "trade_manager.py", "live_data_writer.py"}
    assert {name for name in names | {"900_ledger_note.sql", "ledger_keeper.py"} if name in compared} == {
        *names, "900_ledger_note.sql", "ledger_keeper.py",
    }  # fmt: skip
    assert len(compared.splitlines()) == 7


def test_the_program_that_looks_says_what_it_cannot_see() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-", "quick", "{}"], input=LOOK.read_text(encoding="utf-8"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["release"]["links"].startswith("cannot be seen: FileNotFoundError")
